//! Outputs that are whole and proven, and not visible yet: a hidden file beside its name, or an upload whose parts are all
//! there. What tells of it lies in a marker beside the work objects of its execution, so that any process can publish it, and so
//! that it goes with them when nobody does.

use std::io;

use object_store::{multipart::PartId, path::Path as Key};

use crate::{
    Marker, StorageError, Stores, Work,
    draft::Object,
    folder::{FilePlace, is_absent},
    hidden,
    source::blocking,
    stores::{Bucket, Place},
    work::{FileId, Told},
};

/// An output that is staged.
#[derive(Debug)]
pub struct Staged {
    pub(crate) marker: Marker,
    pub(crate) told: Told,
}

impl Work {
    /// What is staged under this token, by the process that staged it or another.
    ///
    /// # Errors
    /// Where nothing is any more, or it is of another output than that at `url`.
    pub async fn staged(&self, place: &str, token: &str, url: &str) -> Result<Staged, StorageError> {
        let marker = Marker { work: self.clone(), place: place.into(), attempt: 0, name: token.into() };
        let url = match self.stores.output(url)? {
            Place::File(_) => url.to_owned(),
            Place::Object { bucket, key } => bucket.url(&key),
        };
        let told = marker.told().await?.filter(|told| told.url == url && told.is_staged());
        told.map(|told| Staged { marker, told })
            .ok_or_else(|| StorageError::Unstaged { path: crate::shown(&url) })
    }
}

impl Staged {
    /// Its name, by which [`Work::staged`] finds it.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.marker.name
    }

    fn stores(&self) -> &Stores {
        &self.marker.work.stores
    }

    /// Whether it was published; the answer to the call that did it may have been lost.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn is_published(&self) -> Result<bool, StorageError> {
        if self.told.is_published {
            return Ok(true);
        }
        match self.stores().output(&self.told.url)? {
            Place::File(place) => {
                let file = self.told.file;
                blocking(move || is_it(&place, file)).await
            }
            Place::Object { bucket, key } => {
                self.object(bucket, key).is_ours((self.told.bytes, self.told.at_ms), None).await
            }
        }
    }

    /// Makes it appear under its name, in place of what is there, at once and whole, and durable.
    ///
    /// # Errors
    /// Where it is gone, or the place can't be written.
    pub async fn publish(mut self) -> Result<(), StorageError> {
        if self.is_published().await? {
            return Ok(());
        }
        let id = self.told.id.clone().unwrap_or_default();
        match self.stores().output(&self.told.url)? {
            Place::File(place) => {
                let file = self.told.file;
                blocking(move || publish_file(&place, &id, file)).await?;
            }
            Place::Object { bucket, key } => {
                let parts = self.told.parts.iter().map(|part| PartId { content_id: part.clone() }).collect();
                self.told.tag =
                    self.object(bucket, key).complete(&id, parts, (self.told.bytes, self.told.at_ms)).await?;
            }
        }
        self.told.is_published = true;
        // What can't be noted now is found by looking at what is there.
        let _ = self.marker.tell(&self.told).await;
        Ok(())
    }

    /// Takes it away: nobody can publish it from here on, and where somebody did, and it is there still, it goes.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub async fn withdraw(self) -> Result<(), StorageError> {
        let id = self.told.id.clone().unwrap_or_default();
        match self.stores().output(&self.told.url)? {
            Place::File(place) => {
                let file = self.told.file;
                blocking(move || withdraw_file(&place, &id, file)).await
            }
            Place::Object { bucket, key } => {
                bucket.end_upload(&key, &id).await?;
                let object = self.object(bucket, key);
                if object.is_ours((self.told.bytes, self.told.at_ms), self.told.tag.as_deref()).await? {
                    object.bucket.remove(vec![object.key]).await?;
                }
                Ok(())
            }
        }
    }

    fn object(&self, bucket: Bucket, key: Key) -> Object {
        Object { bucket, key, place: self.marker.place.clone(), marker: None }
    }
}

/// Whether what lies at a place is the file that was staged.
fn is_it(place: &FilePlace, file: Option<FileId>) -> Result<bool, StorageError> {
    Ok(place.find()?.zip(file).is_some_and(|(found, file)| file.is_of(&FileId::of(&found))))
}

/// Gives the file its name, if it is the one that was staged.
fn publish_file(place: &FilePlace, name: &str, file: Option<FileId>) -> Result<(), StorageError> {
    let unstaged = || StorageError::Unstaged { path: place.path().display().to_string() };
    let folder = place.folder(false)?;
    // The name comes from a file that others may be able to write.
    if !hidden::is_staged_for(name, place) {
        return Err(unstaged());
    }
    let found = folder.read(name.as_ref()).and_then(|found| found.metadata()).map_err(|_| unstaged())?;
    if !file.is_some_and(|file| file.is_of(&FileId::of(&found))) {
        return Err(StorageError::Displaced { path: place.path().display().to_string() });
    }
    folder.rename(name, place.name()).map_err(place.failed("publishing"))?;
    folder.sync();
    // A process that was killed a moment ago may have had a media process that outlived it until now.
    hidden::remove_abandoned(place);
    Ok(())
}

/// Removes the hidden name first: whoever published it did so before, and it is found under its own.
fn withdraw_file(place: &FilePlace, name: &str, file: Option<FileId>) -> Result<(), StorageError> {
    let folder = match place.folder(false) {
        Ok(folder) => folder,
        Err(StorageError::Io { source, .. }) if is_absent(&source) => return Ok(()),
        Err(error) => return Err(error),
    };
    let is_absent = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    if hidden::is_staged_for(name, place) {
        folder
            .remove(name)
            .or_else(|error| if is_absent(&error) { Ok(()) } else { Err(error) })
            .map_err(place.failed("removing"))?;
    }
    if is_it(place, file)? {
        folder.remove(place.name()).map_err(place.failed("removing"))?;
        folder.sync();
    }
    Ok(())
}
