//! The S3 store of the tests of packages, with a bucket.

use std::sync::LazyLock;

use millrace_servers::Store;

/// The store, which ends with the tests.
pub static STORE: LazyLock<Store> = LazyLock::new(|| {
    let store = Store::start().unwrap();
    store.bucket("videos").unwrap();
    store
});
