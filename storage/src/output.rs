//! Outputs.

use std::{fs, io, path::Path};

use crate::{
    Draft, Location, Marker, StorageError, Stores, draft::Object, hidden, source::blocking, stores::Place,
};
use futures_util::StreamExt as _;

impl Stores {
    /// Begins an output of an execution's attempt at this place. It appears under its name when it is published, and not before.
    ///
    /// # Errors
    /// Where the folder can't be made or written.
    pub async fn draft_output(&self, url: &str, place: &str, marker: Marker) -> Result<Draft, StorageError> {
        match self.place(&Location::parse(url)?)? {
            Place::File(path) => blocking(move || Draft::of_output(path)).await,
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
        match self.place(&Location::parse(url)?)? {
            Place::File(path) => {
                blocking(move || Ok(path.symlink_metadata().ok().map(|metadata| metadata.len()))).await
            }
            Place::Object { bucket, key } => Ok(bucket.head(&key).await?.map(|meta| meta.size)),
        }
    }

    /// The URLs of the objects below a prefix, in order.
    ///
    /// # Errors
    /// Where they can't be listed, or the URL names no bucket.
    pub async fn list(&self, url: &str) -> Result<Vec<String>, StorageError> {
        let Place::Object { bucket, key } = self.place(&Location::parse(url)?)? else {
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
        let Place::Object { bucket, key } = self.place(&Location::parse(url)?)? else { return Ok(0) };
        let all = bucket.uploads(key.as_ref()).await?;
        Ok(all.iter().filter(|upload| upload.key == key.as_ref()).count())
    }

    /// Whether an output could be written: of a file its folder is made, and a file in it; of an object its bucket is there.
    ///
    /// # Errors
    /// Where it can't, with the reason.
    pub async fn writable(&self, url: &str) -> Result<(), StorageError> {
        match self.place(&Location::parse(url)?)? {
            Place::File(path) => {
                let probe = move || {
                    let (_file, at) = hidden::create_locked(&path)?;
                    // A name is looked at only once its folder is there.
                    let fits = name_fits(&path);
                    fs::remove_file(&at).map_err(StorageError::io("removing", &at))?;
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
fn name_fits(path: &Path) -> Result<(), StorageError> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            Err(StorageError::LongName { path: path.display().to_string() })
        }
        // Creating a file beside it has found out about everything else.
        _ => Ok(()),
    }
}
