//! Outputs as a merge makes them, with a work folder for each.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::io::Write as _;

use millrace_storage::{StagedWrite, StorageError, Stores, WorkStore};

/// The place of an execution's work.
pub const PLACE: &str = "0123456789abcdef-1";

/// An output that is being made, with a work folder of its own.
#[derive(Debug)]
pub struct Output {
    draft: StagedWrite,
    _work: tempfile::TempDir,
}

impl Output {
    pub async fn of(stores: &Stores, url: &str) -> Result<Self, StorageError> {
        let work = tempfile::tempdir().unwrap();
        let marker = WorkStore::in_folder(work.path().to_owned(), stores).marker(PLACE, 1);
        Ok(Self { draft: stores.begin_output(url, marker).await?, _work: work })
    }

    pub fn write(&self, bytes: &[u8]) {
        self.draft.descriptor().unwrap().write_all(bytes).unwrap();
    }

    pub async fn publish(self) -> Result<(), StorageError> {
        self.draft.stage().await?.publish().await
    }
}
