//! Files and objects that arguments name, by path or URL, and the media files of folders and prefixes.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use millrace_access::{Purpose, Reach};
use millrace_processors::trigger::rules::is_media;
use millrace_profiles::Wanted;
use millrace_storage::{Location, LocationError, Stores, as_url, display_url, url_of};

use crate::error::CommandError;

/// A source to transcode.
#[derive(Debug)]
pub(crate) struct Input {
    /// The name to show, as the argument has it; bytes that are not UTF-8 are replaced.
    pub(crate) name: String,
    /// The URL, or why it can't be read.
    pub(crate) source: Result<String, String>,
}

fn input(path: &Path) -> Input {
    let source = url_of(path).map_err(|error| error.to_string());
    Input { name: path.display().to_string(), source }
}

/// Returns the URL of a file or an object that an argument names by URL or path. A file has one URL, however it is named.
pub(crate) fn parse_url(argument: &OsStr) -> Result<String, String> {
    let named = || -> Result<String, LocationError> {
        let Some(url) = as_url(argument) else { return url_of(Path::new(argument)) };
        match Location::parse(&url)? {
            Location::File { path, .. } => url_of(&path),
            Location::Object { .. } | Location::Web(_) => Ok(url),
        }
    };
    named().map_err(|error| error.to_string())
}

/// Returns the URL of a folder or prefix for outputs, that an argument names by URL or path.
pub(crate) fn parse_output(argument: &OsStr) -> Result<String, String> {
    let url = parse_url(argument)?;
    let location = Location::parse(&url).map_err(|error| error.to_string())?;
    Reach::Everything.check(Purpose::Output, &location).map_err(|refusal| refusal.to_string())?;
    Ok(url)
}

/// Returns the inputs that arguments stand for: files, objects, and the media files below folders and prefixes.
pub(crate) async fn expand(arguments: &[OsString], stores: &Stores) -> Vec<Input> {
    let mut found = Vec::new();
    for argument in arguments {
        let path = Path::new(argument);
        match as_url(argument) {
            Some(name) if name.ends_with('/') => found.extend(prefix(&name, stores).await),
            Some(name) => found.push(Input { name: display_url(&name), source: parse_url(argument) }),
            None if path.is_dir() => found.extend(folder(path)),
            None => found.push(input(path)),
        }
    }
    found
}

/// Returns the media files below a prefix of a bucket, or in a folder that is named by its URL.
async fn prefix(name: &str, stores: &Stores) -> Vec<Input> {
    let refused = |reason: String| vec![Input { name: display_url(name), source: Err(reason) }];
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

/// Checks that every output has one input, and that none would replace an input.
pub(crate) fn check_outputs(inputs: &[Input], prefix: &str, wanted: &[Wanted]) -> Result<(), CommandError> {
    let mut writers: HashMap<String, &str> = HashMap::new();
    for input in inputs {
        let Ok(source) = &input.source else { continue };
        for url in wanted.iter().flat_map(|output| output.output_urls(prefix, source)) {
            if inputs.iter().any(|other| other.source.as_ref() == Ok(&url)) {
                return Err(CommandError::Call(format!(
                    "{} would be written over an input; choose another --output folder",
                    display_name(&url)
                )));
            }
            if let Some(other) = writers.insert(url.clone(), &input.name) {
                return Err(CommandError::Call(format!(
                    "{other} and {} would both be written to {}; run them with different --output folders",
                    input.name,
                    display_name(&url)
                )));
            }
        }
    }
    Ok(())
}

/// Returns a URL as users name it: a file by its path, relative to the current folder if it is below it.
pub(crate) fn display_name(url: &str) -> String {
    let path = millrace_storage::path_of(url).ok();
    let here = std::env::current_dir().ok();
    match (path, here) {
        (Some(path), Some(here)) => path.strip_prefix(here).unwrap_or(&path).display().to_string(),
        (Some(path), None) => path.display().to_string(),
        _ => display_url(url),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use millrace_formats::CONTAINERS;

    use super::*;

    fn all() -> Vec<Wanted> {
        // Packages of one source lie in one folder.
        let files = CONTAINERS.iter().filter(|container| container.is_one_file());
        files.map(|container| Wanted::of(container)).collect()
    }

    fn named(url: &str) -> Input {
        Input { name: url.into(), source: Ok(url.into()) }
    }

    #[test]
    fn two_inputs_for_one_file_are_a_wrong_call() {
        let inputs = [named("file:///a/x.mov"), named("file:///b/x.mkv")];
        let error = check_outputs(&inputs, "file:///out", &all()).unwrap_err();
        assert_eq!(error.status(), 2);
        assert!(error.to_string().contains("a/x.mov"), "{error}");
        assert!(check_outputs(&inputs[..1], "file:///out", &all()).is_ok());
    }

    #[test]
    fn a_file_has_one_url_however_an_argument_names_it() {
        for argument in ["/in/a b.mov", "file:///in/a b.mov", "file:///in/%61%20b.mov", "/in/./x/../a b.mov"]
        {
            assert_eq!(parse_url(OsStr::new(argument)).unwrap(), "file:///in/a%20b.mov", "{argument}");
        }
        assert_eq!(parse_url(OsStr::new("s3://b/a b.mov")).unwrap(), "s3://b/a b.mov");
        let latin = OsStr::from_bytes(b"/in/caf\xe9.mov");
        assert_eq!(parse_url(latin).unwrap(), "file:///in/caf%E9.mov");
        assert_eq!(parse_url(OsStr::from_bytes(b"file:///in/caf\xe9.mov")), parse_url(latin));
        let error = parse_url(OsStr::from_bytes(b"s3://b/caf\xe9.mov")).unwrap_err();
        assert!(error.contains("UTF-8"), "{error}");
    }

    #[test]
    fn an_input_is_never_written_over() {
        assert!(check_outputs(&[named("file:///a/x.mp4")], "file:///a", &all()).is_err());
    }
}
