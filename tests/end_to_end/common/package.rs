//! Packages as files: what lies in them, and what they list themselves.

use std::{collections::BTreeMap, fs, path::Path};

/// All files below a folder, by their names relative to it, with their sizes.
pub fn files(folder: &Path) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            all.extend(files(&path).into_iter().map(|(below, size)| (format!("{name}/{below}"), size)));
        } else {
            all.insert(name, fs::metadata(&path).map_or(0, |metadata| metadata.len()));
        }
    }
    all
}

/// Returns the folder of a package, which is the only one.
pub fn folder(files: &BTreeMap<String, u64>) -> &str {
    let mut folders: Vec<&str> = files.keys().filter_map(|name| Some(name.split_once('/')?.0)).collect();
    folders.dedup();
    assert_eq!(folders.len(), 1, "{files:?}");
    folders[0]
}

/// Holds a package to its own list: all objects are there and nothing else.
pub fn is_whole(package: &Path) {
    let files = files(package);
    let folder = folder(&files);
    let list = fs::read(package.join(folder).join("package.json")).unwrap();
    let list: serde_json::Value = serde_json::from_slice(&list).unwrap();
    let listed = list["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| (object["name"].as_str().unwrap().to_owned(), object["bytes"].as_u64().unwrap()));
    let mut found = files.clone();
    found.remove(&format!("{folder}/package.json")).unwrap();
    assert_eq!(found, listed.collect());
}
