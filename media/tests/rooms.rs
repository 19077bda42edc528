//! What the modules of the media crate may do: where `unsafe` may be, and that no two files use each other.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Files that may except modules from the lint, each with how many.
const EXCEPTIONS: [(&str, usize); 3] =
    [("media/src/lib.rs", 2), ("media/src/child.rs", 3), ("media/tests/escape.rs", 1)];

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

/// The paths that a file uses, each as its names: those of `use` trees, and those that stand in its code.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    // Tests may use what is around them.
    let code = code.split("#[cfg(test)]").next().unwrap_or_default().replace("pub(in crate::", "pub(in ");
    let mut found = Vec::new();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    while let Some(next) = code[at..].find("::") {
        let name_at = code[..at + next].rfind(|c| !is_name(c)).map_or(0, |before| before + 1);
        at += next + 2;
        // The rest of a path is read with its beginning.
        if !code[..name_at].ends_with(':') {
            tree(&code[name_at..], &[], &mut found);
        }
    }
    found
}

/// Reads a `use` tree, or a single path, at the beginning of a text; returns how long it is.
fn tree(text: &str, before: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if !name.is_empty() {
            at += name.len();
            path.push(name);
            if text[at..].starts_with("::") {
                at += 2;
                continue;
            }
        } else if rest.starts_with('{') {
            at += 1;
            loop {
                at += text[at..].len() - text[at..].trim_start().len();
                if text[at..].starts_with('}') {
                    return at + 1;
                }
                let read = tree(&text[at..], &path, found);
                at += read.max(1);
                let to_next = text[at..].find([',', '}']).unwrap_or(0);
                at += to_next + usize::from(text[at + to_next..].starts_with(','));
            }
        }
        found.push(path);
        return at;
    }
}

/// The files that each file of a crate's `src` uses, by their modules' paths.
fn uses(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    rust_files(src, &mut files);
    let module = |file: &Path| -> Vec<String> {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let names = path.iter().map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name != "lib").collect()
    };
    let modules: BTreeSet<Vec<String>> = files.iter().map(|file| module(file)).collect();
    let mut all = BTreeMap::new();
    for file in &files {
        let own = module(file);
        if own.last().is_some_and(|name| name == "tests") {
            continue;
        }
        let mut used = BTreeSet::new();
        for path in paths(&fs::read_to_string(file).unwrap()) {
            let mut at = own.clone();
            for name in &path {
                match name.as_str() {
                    "crate" => at.clear(),
                    "super" => drop(at.pop()),
                    "self" => {}
                    name => {
                        at.push(name.to_owned());
                        if !modules.contains(&at) {
                            at.pop();
                            break;
                        }
                    }
                }
            }
            if at != own {
                used.insert(at.join("::"));
            }
        }
        all.insert(own.join("::"), used);
    }
    all
}

#[test]
fn no_files_of_the_media_child_use_each_other() {
    let uses = uses(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(
        uses["child::graph"].contains("child::libav::scaler"),
        "paths are read: {:?}",
        uses["child::graph"]
    );
    let mut left = uses;
    left.retain(|file, _| file.starts_with("child") && !file.starts_with("child::codec"));
    // A file that uses none of those that are left, or that none of them uses, is in no circle.
    loop {
        let count = left.len();
        let others: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|_, used| used.iter().any(|file| others.contains(file)));
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        left.retain(|file, _| used.contains(file));
        if left.len() == count {
            break;
        }
    }
    let circles: Vec<String> = left
        .iter()
        .map(|(file, used)| {
            let used: Vec<&str> =
                used.iter().filter(|file| left.contains_key(*file)).map(String::as_str).collect();
            format!("{file} -> {}", used.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "files that use each other:\n{}", circles.join("\n"));
}
