//! Uploads in parts that are under way, as S3 lists them (ListMultipartUploads): `object_store` has no call for that.

use std::time::Duration;

use object_store::{
    path::Path as Key,
    signer::{Method, SignedUrlOptions, Signer as _},
};
use serde::Deserialize;

use crate::{StorageError, stores::Bucket};

/// For how long a signed request is good.
const GOOD_FOR: Duration = Duration::from_secs(60);

/// An upload that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) upload_id: String,
    /// When it began, in RFC 3339.
    pub(crate) initiated: String,
}

/// A page of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default, rename = "Upload")]
    uploads: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    #[serde(default)]
    next_key_marker: Option<String>,
    #[serde(default)]
    next_upload_id_marker: Option<String>,
}

impl Bucket {
    /// The uploads in parts whose keys begin so; none where the store can't list them. GCS and Azure can't by this way: a
    /// lifecycle rule ends them there.
    pub(crate) async fn uploads(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
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
            let signed = s3.signed_url_opts(Method::GET, &Key::ROOT, GOOD_FOR, &options).await;
            let signed = signed.map_err(StorageError::store("listing uploads in", &url))?;
            // The URL is signed, and so is in no error.
            let answer =
                client.get(signed).send().await.map_err(|error| failed(error.without_url().to_string()))?;
            let status = answer.status();
            let text = answer.text().await.map_err(|error| failed(error.without_url().to_string()))?;
            if !status.is_success() {
                let passes = status.is_server_error() || status.as_u16() == 429;
                let reason = format!("the store answers {status}");
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

    /// Ends an upload; one that is over already is as good.
    pub(crate) async fn end_upload(&self, key: &Key, id: &str) -> Result<(), StorageError> {
        match self.multipart.abort_multipart(key, &id.to_owned()).await {
            Ok(()) => Ok(()),
            Err(error) if is_over(&error) => Ok(()),
            Err(error) => Err(StorageError::store("ending an upload to", &self.url(key))(error)),
        }
    }
}

/// Whether a store says that there is no such upload: it was completed or ended.
pub(crate) fn is_over(error: &object_store::Error) -> bool {
    let said = error.to_string();
    // As S3 says it, and as the store in memory does.
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
