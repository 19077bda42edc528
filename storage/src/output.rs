//! Outputs.

use std::io;

use crate::{
    Draft, Marker, StorageError, Stores,
    draft::Object,
    folder::FilePlace,
    hidden::{self, Hidden},
    source::blocking,
    stores::Place,
};
use futures_util::StreamExt as _;

impl Stores {
    /// Begins an output of an execution's attempt at this place. It appears under its name when it is staged and published, and not before.
    ///
    /// # Errors
    /// Where the folder can't be made or written.
    pub async fn draft_output(&self, url: &str, place: &str, marker: Marker) -> Result<Draft, StorageError> {
        match self.output(url)? {
            Place::File(file) => {
                let url = url.to_owned();
                blocking(move || Draft::of_output(file, url, marker)).await
            }
            Place::Object { bucket, key } => {
                let object = Object { bucket, key, place: place.into(), marker: Some(marker) };
                blocking(move || Draft::of_object(object)).await
            }
        }
    }

    /// How large what is at a URL is; `None` where nothing is.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn size(&self, url: &str) -> Result<Option<u64>, StorageError> {
        match self.either(url)? {
            Place::File(place) => blocking(move || Ok(place.find()?.map(|metadata| metadata.len()))).await,
            Place::Object { bucket, key } => Ok(bucket.head(&key).await?.map(|meta| meta.size)),
        }
    }

    /// The URLs of the objects below a prefix, in order.
    ///
    /// # Errors
    /// Where they can't be listed, or the URL names no bucket.
    pub async fn list(&self, url: &str) -> Result<Vec<String>, StorageError> {
        let Place::Object { bucket, key } = self.source(url)?.1 else {
            return Err(StorageError::Url { url: url.into(), reason: "a bucket is wanted here".into() });
        };
        let mut found: Vec<String> =
            bucket.list(&key).await?.iter().map(|meta| bucket.url(&meta.location)).collect();
        found.sort();
        Ok(found)
    }

    /// How many uploads in parts to this URL are under way; 0 where the store can't list them.
    ///
    /// # Errors
    /// Where the store does not say.
    pub async fn open_uploads(&self, url: &str) -> Result<usize, StorageError> {
        let Place::Object { bucket, key } = self.output(url)? else { return Ok(0) };
        let all = bucket.uploads(key.as_ref()).await?;
        Ok(all.iter().filter(|upload| upload.key == key.as_ref()).count())
    }

    /// Whether an output could be written: of a file its folder is made, and a file in it; of an object its bucket is there.
    ///
    /// # Errors
    /// Where it can't, with the reason.
    pub async fn writable(&self, url: &str) -> Result<(), StorageError> {
        match self.output(url)? {
            Place::File(place) => {
                let probe = move || {
                    let hidden = hidden::create_locked(&place)?;
                    // A name is looked at only once its folder is there.
                    let fits = name_fits(&place, &hidden);
                    hidden.remove();
                    fits
                };
                blocking(probe).await
            }
            Place::Object { bucket, key } => {
                match bucket.store.list(Some(&key)).next().await {
                    // Who may not list may write all the same.
                    None | Some(Ok(_) | Err(object_store::Error::PermissionDenied { .. })) => Ok(()),
                    Some(Err(error)) => Err(StorageError::store("writing to", url)(error)),
                }
            }
        }
    }
}

/// Asks the file system whether it takes a file of this name, since the name of a draft is another and shorter one.
fn name_fits(place: &FilePlace, hidden: &Hidden) -> Result<(), StorageError> {
    match hidden.folder.find(place.name()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            Err(StorageError::LongName { path: place.path().display().to_string() })
        }
        // Creating a file beside it has found out about everything else.
        _ => Ok(()),
    }
}
