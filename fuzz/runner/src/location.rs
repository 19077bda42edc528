//! URLs and paths.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path},
};

use fastrand::Rng;
use millrace_access::{Location, Scheme, display_url, path_of};

use crate::Target;

/// URLs and paths.
pub const TARGET: Target = Target {
    name: "location",
    check,
    seeds,
    words: &[
        "://",
        "s3://",
        "gs://",
        "az://",
        "http://",
        "https://",
        "file://",
        "file:///",
        "memory://",
        "localhost",
        "/",
        "//",
        "/./",
        "/../",
        "..",
        ".",
        "%2e",
        "%2E%2e",
        "%2F",
        "%252f",
        "%00",
        "%0a",
        "%",
        "%%",
        "%ff",
        "%C3%BC",
        "\\",
        "?",
        "#",
        "@",
        ":",
        "~",
        " ",
        "+",
        "$",
        "ü",
        "\0",
        "\n",
    ],
    memory: (64 << 10, 100),
    longest: 8 << 10,
};

fn check(bytes: &[u8]) -> bool {
    let argument = Location::of_argument(OsStr::from_bytes(bytes));
    if let Ok(location) = &argument {
        check_location(location);
    }
    // As a path, whatever it looks like.
    if let Ok(location) = Location::of_path(Path::new(OsStr::from_bytes(bytes))) {
        check_location(&location);
    }
    let Ok(text) = str::from_utf8(bytes) else { return argument.is_ok() };
    let object = Location::object(Scheme::S3, "videos", text);
    if let Ok(location) = &object {
        check_location(location);
    }
    let url = Location::parse(text);
    if let Ok(location) = &url {
        check_location(location);
        assert_eq!(argument.as_ref(), Ok(location), "a URL is the same as an argument");
        assert!(location.url().len() <= 3 * bytes.len() + 16, "{} is longer than '{text}'", location.url());
    }
    assert_eq!(path_of(text).is_ok(), matches!(url, Ok(Location::File { .. })));
    assert!(!display_url(text).is_empty() || text.is_empty());
    url.is_ok() || object.is_ok()
}

/// What must hold for any location.
fn check_location(location: &Location) {
    let url = location.url();
    let parse = |url: &str| match Location::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => panic!("the URL of {location:?}: {error}"),
    };
    assert_eq!(&parse(&url), location);
    assert_eq!(parse(&url).url(), url, "there is one canonical URL");
    assert_eq!(&parse(&location.folder_url()), location);
    match location {
        Location::File { path, .. } => {
            assert!(path.is_absolute());
            let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
            assert!(path.components().all(is_plain), "{}", path.display());
            assert!(!path.as_os_str().as_bytes().contains(&0));
        }
        Location::Web(address) => {
            assert_eq!(address.url(), url);
            assert_eq!(
                location.to_string().split_once('?').map(|(_, shown)| shown),
                location.has_query().then_some("…")
            );
            assert!(!url.contains(['#', '\\']) && !address.host().contains('@'));
        }
        Location::Object { bucket, key, .. } => {
            assert_eq!(&parse(&location.to_string()), location);
            assert!(!bucket.is_empty() && !bucket.contains('/'));
            let is_part = |part: &str| !matches!(part, "" | "." | "..");
            assert!(key.is_empty() || key.split('/').all(is_part), "{key}");
        }
    }
    assert_eq!(location.parts_below(location), Some(Vec::new()));
    assert!(!location.is_hidden_below(location));
    if let (Some(parent), Some(name)) = (location.parent(), location.name()) {
        assert!(location.is_beneath(&parent) && !parent.is_beneath(location));
        assert_eq!(location.parts_below(&parent), Some(vec![name]));
        // A web server's URL has a query, and the encoding that it was written with.
        if !matches!(location, Location::Web(_)) {
            assert_eq!(&parse(&parent.url_below(&[name])), location);
        }
    }
    // From the root on it is found again, too. Each parent is a copy: of a path of thousands of parts that takes long.
    if url.len() > 4096 {
        return;
    }
    let root = std::iter::successors(Some(location.clone()), Location::parent).last();
    let root = root.unwrap_or_else(|| location.clone());
    let Some(parts) = location.parts_below(&root) else { panic!("{location:?} is not below {root:?}") };
    if !matches!(location, Location::Web(_)) {
        assert_eq!(&parse(&root.url_below(&parts)), location);
    }
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    [
        "s3://videos/in/holiday%201.mov",
        "gs://b/a%2Bb/c%C3%BC.mov",
        "az://container/film.mp4",
        "memory://test/x",
        "s3://videos",
        "https://host:8443/in/a%20b.mov?X-Sig=a%2Fb",
        "http://127.0.0.1/in/",
        "file:///mnt/nas/in/a%20b%25.mov",
        "file://localhost/a/b",
        "/mnt/videos/./x/../a.mov",
        "in/a.mov",
    ]
    .iter()
    .map(|seed| seed.as_bytes().to_vec())
    .collect()
}
