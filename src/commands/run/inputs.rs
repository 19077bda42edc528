//! The inputs of a call: files and objects, and the media files of folders and prefixes.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use millrace_formats::Container;
use millrace_processors::trigger::rules::is_media;
use millrace_schemas::output_url;
use millrace_storage::{Location, LocationError, Stores, as_url, url_of};

use crate::commands::CommandError;

/// An input.
#[derive(Debug)]
pub(super) struct Input {
    /// As the person named it; what is not UTF-8 in it is replaced, so it is only to be shown.
    pub(super) name: String,
    /// Its URL, or why it can't be taken.
    pub(super) source: Result<String, String>,
}

fn input(path: &Path) -> Input {
    let source = url_of(path).map_err(|error| error.to_string());
    Input { name: path.display().to_string(), source }
}

/// The URL of a file or an object that an argument names by its URL or its path, written in one way for each file.
pub(in crate::commands) fn url(argument: &OsStr) -> Result<String, String> {
    let named = || -> Result<String, LocationError> {
        let Some(url) = as_url(argument) else { return url_of(Path::new(argument)) };
        match Location::parse(&url)? {
            Location::File { path, .. } => url_of(&path),
            Location::Object { .. } => Ok(url),
        }
    };
    named().map_err(|error| error.to_string())
}

/// The files and objects that the call's paths and URLs stand for.
pub(super) async fn expand(named: &[OsString], stores: &Stores) -> Vec<Input> {
    let mut found = Vec::new();
    for argument in named {
        let path = Path::new(argument);
        match as_url(argument) {
            Some(name) if name.ends_with('/') => found.extend(prefix(&name, stores).await),
            Some(name) => found.push(Input { name, source: url(argument) }),
            None if path.is_dir() => found.extend(folder(path)),
            None => found.push(input(path)),
        }
    }
    found
}

/// The media files below a prefix of a bucket, or of a folder by its URL.
async fn prefix(name: &str, stores: &Stores) -> Vec<Input> {
    let refused = |reason: String| vec![Input { name: name.to_owned(), source: Err(reason) }];
    if let Ok(path) = millrace_storage::path_of(name) {
        return folder(&path);
    }
    match stores.list(name).await {
        Ok(urls) => {
            let media = urls.into_iter().filter(|url| is_media(url));
            let found: Vec<Input> = media.map(|url| Input { name: url.clone(), source: Ok(url) }).collect();
            if found.is_empty() {
                return refused(format!(
                    "{name}: no media files there (looked for .mp4, .mov, .mkv, .ts, …)"
                ));
            }
            found
        }
        Err(error) => refused(error.to_string()),
    }
}

fn folder(path: &Path) -> Vec<Input> {
    let name = path.display().to_string();
    let refused = |reason: String| vec![Input { name: name.clone(), source: Err(reason) }];
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return refused(format!("reading the folder {name}: {error}")),
    };
    let files = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.is_file() && is_media(&path.to_string_lossy())).collect();
    files.sort();
    if files.is_empty() {
        return refused(format!(
            "{name}: no media files in this folder (looked for .mp4, .mov, .mkv, .ts, …)"
        ));
    }
    files.iter().map(|path| input(path)).collect()
}

/// Holds every output to have one input, and no input to be written over.
pub(super) fn check(inputs: &[Input], prefix: &str, formats: &[&Container]) -> Result<(), CommandError> {
    let mut writers: HashMap<String, &str> = HashMap::new();
    for input in inputs {
        let Ok(source) = &input.source else { continue };
        for format in formats {
            let url = output_url(prefix, source, format.name);
            if inputs.iter().any(|other| other.source.as_ref() == Ok(&url)) {
                return Err(CommandError::Call(format!(
                    "{} would be written over an input; choose another --output folder",
                    shown(&url)
                )));
            }
            if let Some(other) = writers.insert(url.clone(), &input.name) {
                return Err(CommandError::Call(format!(
                    "{other} and {} would both be written to {}; run them with different --output folders",
                    input.name,
                    shown(&url)
                )));
            }
        }
    }
    Ok(())
}

/// A URL as a person names it.
pub(in crate::commands) fn shown(url: &str) -> String {
    let path = millrace_storage::path_of(url).ok();
    let here = std::env::current_dir().ok();
    match (path, here) {
        (Some(path), Some(here)) => path.strip_prefix(here).unwrap_or(&path).display().to_string(),
        (Some(path), None) => path.display().to_string(),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use millrace_formats::CONTAINERS;

    use super::*;

    fn named(url: &str) -> Input {
        Input { name: url.into(), source: Ok(url.into()) }
    }

    #[test]
    fn two_inputs_for_one_file_are_a_wrong_call() {
        let inputs = [named("file:///a/x.mov"), named("file:///b/x.mkv")];
        let error = check(&inputs, "file:///out", CONTAINERS).unwrap_err();
        assert_eq!(error.status(), 2);
        assert!(error.to_string().contains("a/x.mov"), "{error}");
        assert!(check(&inputs[..1], "file:///out", CONTAINERS).is_ok());
    }

    #[test]
    fn a_file_has_one_url_however_an_argument_names_it() {
        for argument in ["/in/a b.mov", "file:///in/a b.mov", "file:///in/%61%20b.mov", "/in/./x/../a b.mov"]
        {
            assert_eq!(url(OsStr::new(argument)).unwrap(), "file:///in/a%20b.mov", "{argument}");
        }
        assert_eq!(url(OsStr::new("s3://b/a b.mov")).unwrap(), "s3://b/a b.mov");
        let latin = OsStr::from_bytes(b"/in/caf\xe9.mov");
        assert_eq!(url(latin).unwrap(), "file:///in/caf%E9.mov");
        assert_eq!(url(OsStr::from_bytes(b"file:///in/caf\xe9.mov")), url(latin));
        let error = url(OsStr::from_bytes(b"s3://b/caf\xe9.mov")).unwrap_err();
        assert!(error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn an_input_is_never_written_over() {
        assert!(check(&[named("file:///a/x.mp4")], "file:///a", CONTAINERS).is_err());
    }
}
