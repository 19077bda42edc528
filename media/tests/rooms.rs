//! Where `unsafe` may be: the lint is denied in the whole workspace, and these modules alone are excepted.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Files that may except modules from the lint, each with how many.
const EXCEPTIONS: [(&str, usize); 3] =
    [("media/src/lib.rs", 1), ("media/src/child.rs", 4), ("media/tests/escape.rs", 1)];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust files below a folder, but for what is built and what is fuzzed on its own.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_is_allowed_where_libav_and_the_kernel_are_called_and_nowhere_else() {
    let mut files = Vec::new();
    rust_files(&workspace(), &mut files);
    // In two parts, or this file would be found.
    let name = ["unsafe", "_code"].concat();
    let mut found: Vec<(String, usize)> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(workspace()).unwrap().to_string_lossy().into_owned();
            (path, fs::read_to_string(file).unwrap().matches(&name).count())
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    found.sort();
    let mut expected: Vec<(String, usize)> =
        EXCEPTIONS.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
    expected.sort();
    assert_eq!(found, expected);
}
