//! Open multipart uploads, as S3 lists them (ListMultipartUploads): `object_store` has no call for that.

use std::time::Duration;

use object_store::{
    path::Path as Key,
    signer::{Method, SignedUrlOptions, Signer as _},
};
use serde::Deserialize;

use crate::{error::StorageError, objects::bucket::Bucket};

/// How long a signed URL is valid.
const VALID_FOR: Duration = Duration::from_secs(60);

/// An open multipart upload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct OpenUpload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    /// When it began, as RFC 3339.
    pub(crate) initiated: String,
}

/// A page of a listing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<OpenUpload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: Option<String>,
    #[serde(default)]
    next_upload_id_marker: Option<String>,
}

impl Bucket {
    /// Returns the open multipart uploads whose keys begin with `prefix`; none if the store can't list them. GCS and Azure can't: a
    /// lifecycle rule of the bucket aborts old uploads there.
    pub(crate) async fn uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, StorageError> {
        let Some(s3) = &self.s3 else { return Ok(Vec::new()) };
        let url = format!("{self:?}");
        let failed = |reason: String| StorageError::Store {
            doing: "listing uploads in",
            path: url.clone(),
            reason,
            passes: true,
        };
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build();
        let client = client.map_err(|error| failed(error.to_string()))?;
        let (mut found, mut markers) = (Vec::new(), Vec::new());
        loop {
            let mut query =
                vec![("uploads".to_owned(), String::new()), ("prefix".to_owned(), prefix.to_owned())];
            query.append(&mut markers);
            let options = SignedUrlOptions::new().with_query(query);
            let signed = s3.signed_url_opts(Method::GET, &Key::ROOT, VALID_FOR, &options).await;
            let signed = signed.map_err(StorageError::store("listing uploads in", &url))?;
            // The URL holds a signature, and so must be in no error.
            let answer =
                client.get(signed).send().await.map_err(|error| failed(error.without_url().to_string()))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| failed(error.without_url().to_string()))?;
            if !status.is_success() {
                let passes = status.is_server_error() || status.as_u16() == 429;
                let reason = format!("the store responds with status {status}");
                return Err(StorageError::Store { doing: "listing uploads in", path: url, reason, passes });
            }
            let page: Page = quick_xml::de::from_str(&text).map_err(|error| failed(error.to_string()))?;
            found.extend(page.uploads);
            match (page.is_truncated, page.next_key_marker) {
                (true, Some(key)) => {
                    markers.push(("key-marker".to_owned(), key));
                    markers.extend(page.next_upload_id_marker.map(|id| ("upload-id-marker".to_owned(), id)));
                }
                _ => return Ok(found),
            }
        }
    }

    /// Aborts an upload. One that was completed or aborted already is no error.
    pub(crate) async fn abort_upload(&self, key: &Key, id: &str) -> Result<(), StorageError> {
        match self.multipart.abort_multipart(key, &id.to_owned()).await {
            Ok(()) => Ok(()),
            Err(error) if is_over(&error) => Ok(()),
            Err(error) => Err(StorageError::store("aborting an upload to", &self.url(key))(error)),
        }
    }
}

/// Returns `true` if a store's error means that there is no such upload: it was completed or aborted.
pub(crate) fn is_over(error: &object_store::Error) -> bool {
    let said = error.to_string();
    // The texts of S3 and of the store in memory.
    matches!(error, object_store::Error::NotFound { .. })
        || ["NoSuchUpload", "MultipartUpload not found"].iter().any(|known| said.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_s3_writes_it() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>
            <Upload><Key>out/a.mp4</Key><UploadId>u1</UploadId><Initiated>2026-11-20T00:00:00.000Z</Initiated></Upload>
            <Upload><Key>out/b.mp4</Key><UploadId>u2</UploadId><Initiated>2026-11-20T00:00:01.000Z</Initiated></Upload>
            <IsTruncated>false</IsTruncated></ListMultipartUploadsResult>"#;
        let page: Page = quick_xml::de::from_str(xml).unwrap();
        assert_eq!(page.uploads.len(), 2);
        assert_eq!((page.uploads[1].key.as_str(), page.uploads[1].upload_id.as_str()), ("out/b.mp4", "u2"));
        let none = "<ListMultipartUploadsResult><Bucket>b</Bucket></ListMultipartUploadsResult>";
        assert!(quick_xml::de::from_str::<Page>(none).unwrap().uploads.is_empty());
    }
}
