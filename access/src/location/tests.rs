use proptest::prelude::*;

use super::*;

fn parse(url: &str) -> Location {
    Location::parse(url).unwrap_or_else(|error| panic!("{error}"))
}

fn key(url: &str) -> String {
    match parse(url) {
        Location::Object { key, .. } => key,
        other => panic!("{other}"),
    }
}

#[test]
fn a_key_goes_into_a_url_and_comes_out_as_it_was() {
    for name in
        ["a b.mov", "1+1=2.mov", "50%2F50.mov", "a..b.mov", "映像/休日 #1?.mov", "x&y;z", "ü.mov", "a\\b"]
    {
        assert_eq!(key(&object_url(Scheme::S3, "videos", name)), name);
    }
    let long = "k".repeat(1000);
    assert_eq!(key(&object_url(Scheme::S3, "videos", &long)), long);
    assert_eq!(key("s3://videos/as it is+.mov"), "as it is+.mov");
    assert_eq!(key("gs://videos"), "");
    assert_eq!(key("gs://videos/in/"), "in");
}

#[test]
fn what_no_store_can_hold_is_refused_with_a_reason() {
    for url in [
        "s3://b/a/../c",
        "s3://b/%2E%2E/c",
        "s3://b/./c",
        "s3://b//c",
        "s3://b/c//",
        "s3://b/a%2Fc",
        "s3://b/..%2fc",
        "s3:///c",
        "s3://../c",
        "s3://b c/d",
        "s3://b\\c/d",
        "s3://u:p@b/c",
        "s3://b?x/c",
        "ftp://h/c",
        "c",
        "",
        "s3://b/%01",
        "s3://b/%00",
        "s3://b/\n",
    ] {
        assert!(Location::parse(url).is_err(), "{url:?}");
    }
    assert!(Location::parse(&object_url(Scheme::S3, "b", &"k".repeat(1025))).is_err());
}

#[test]
fn a_file_url_that_could_be_read_in_two_ways_is_refused() {
    for url in [
        "file:///watched/../private/x.mov",
        "file:///watched/%2e%2E/private/x.mov",
        "file:///watched/.%2e/x.mov",
        "file:///a/./x.mov",
        "file:///..",
        "file:///a%2Fb.mov",
        "file:///a/..%2f..%2fetc/passwd",
        "file:///a\\..\\b.mov",
        "file:///a%00.mov",
        "file:///a\0.mov",
        "file:///a\n.mov",
        "file:///a.mov?x",
        "file:///a.mov#x",
        "file://host/a.mov",
        "file://127.0.0.1/a.mov",
        "file://localhosts/a.mov",
        "file://",
        "file:/a.mov",
        "file:a.mov",
    ] {
        assert!(Location::parse(url).is_err(), "{url:?}");
    }
    for (url, canonical) in [
        ("file:///a//b/", "file:///a/b"),
        ("file://localhost/a/b", "file:///a/b"),
        ("file:///a%20b", "file:///a%20b"),
        ("file:///a b", "file:///a%20b"),
        ("file:///%61%5Cb", "file:///a%5Cb"),
        ("file:///a..b/...", "file:///a..b/..."),
        ("file:///c|/x", "file:///c|/x"),
        ("file:////host/share", "file:///host/share"),
        ("file:///", "file:///"),
    ] {
        assert_eq!(parse(url).url(), canonical, "{url}");
    }
}

#[test]
fn paths_are_made_absolute_without_dots() {
    let url = url_of(Path::new("/a/./b/../c d")).unwrap();
    assert_eq!(url, "file:///a/c%20d");
    assert_eq!(path_of(&url).unwrap(), Path::new("/a/c d"));
    assert!(path_of("s3://bucket/key").is_err());
    assert!(Location::of_path(Path::new("a\0b")).is_err() && Location::of_argument("".as_ref()).is_err());
}

#[test]
fn beneath_means_whole_components() {
    for (location, root, parts) in [
        ("s3://videos/in/a.mov", "s3://videos/in/", Some(vec!["a.mov"])),
        ("s3://videos/in/a.mov", "s3://videos/in", Some(vec!["a.mov"])),
        ("s3://videos/in", "s3://videos/in/", Some(vec![])),
        ("s3://videos/a/b.mov", "s3://videos", Some(vec!["a", "b.mov"])),
        ("s3://videos/inner/a.mov", "s3://videos/in", None),
        ("s3://other/in/a.mov", "s3://videos/in", None),
        ("gs://videos/in/a.mov", "s3://videos/in", None),
        ("s3://videos/a.mov", "s3://videos/in", None),
        ("file:///in/t x/a.mov", "file:///in", Some(vec!["t x", "a.mov"])),
        ("file:///in", "file:///", Some(vec!["in"])),
        ("file:///inner/a.mov", "file:///in", None),
        ("file:///a.mov", "s3://in", None),
        ("https://h/in/a.mov?X-Sig=%2F", "https://h/in/", Some(vec!["a.mov"])),
        ("https://H:443/in/t%20x/%61.mov", "https://h/in", Some(vec!["t x", "a.mov"])),
        ("https://h/a.mov", "https://h", Some(vec!["a.mov"])),
        ("https://h/%69n/a.mov", "https://h/in", Some(vec!["a.mov"])),
        ("https://h/in", "https://h/in/", Some(vec![])),
        ("https://h/inner/a.mov", "https://h/in", None),
        ("https://h/a.mov?/in/a.mov", "https://h/in", None),
        ("https://h/IN/a.mov", "https://h/in", None),
        ("http://h/in/a.mov", "https://h/in", None),
        ("https://h:8443/in/a.mov", "https://h/in", None),
        ("https://h.evil/in/a.mov", "https://h/in", None),
        ("https://evil/h/in/a.mov", "https://h/in", None),
        ("https://h/in/a.mov", "s3://h/in", None),
    ] {
        let (location, root) = (parse(location), parse(root));
        let parts = parts.map(|parts| parts.into_iter().map(OsStr::new).collect::<Vec<_>>());
        assert_eq!(location.parts_below(&root), parts, "{location} {root}");
        assert_eq!(location.is_beneath(&root), parts.is_some(), "{location} {root}");
    }
}

#[test]
fn a_url_of_a_web_server_that_could_be_read_in_two_ways_or_holds_a_password_is_refused() {
    for url in [
        "http://",
        "https:///a.mov",
        "https://user:secret@h/a.mov",
        "https://user@h/a.mov",
        "https://h/a.mov#t=1",
        "https://h/in/../a.mov",
        "https://h/in/%2e%2E/a.mov",
        "https://h/in/.%2e/a.mov",
        "https://h/./a.mov",
        "https://h/in//a.mov",
        "https://h/in%2Fa.mov",
        "https://h/in\\..\\a.mov",
        "https://h/in%5C..%5Ca.mov",
        "https://h\\@evil/a.mov",
        "https://h/a b.mov",
        "https://h/a\n.mov",
        "https://h/a%00.mov",
        "https://h/caf%E9.mov",
        "https://h:x/a.mov",
        "https://h:70000/a.mov",
        "https://h/?a=b",
        "https://h?a=b",
        "https://h/in/?a=b",
        &format!("https://h/{}", "k".repeat(8000)),
    ] {
        let refused = Location::parse(url);
        assert!(refused.is_err(), "{url:?}");
        assert!(!refused.unwrap_err().to_string().contains("secret"), "{url}");
    }
    for (url, canonical) in [
        ("https://H.Example:443/a.mov", "https://h.example/a.mov"),
        ("http://h:8080/in/", "http://h:8080/in"),
        ("http://h:8080", "http://h:8080/"),
        ("http://[::1]:80/a.mov", "http://[::1]/a.mov"),
        ("http://0x7f.1/a.mov", "http://127.0.0.1/a.mov"),
        ("https://h/%61+b%2B.mov?X-Sig=a%2Fb&c=", "https://h/%61+b%2B.mov?X-Sig=a%2Fb&c="),
        ("https://h/\u{fc}.mov?", "https://h/%C3%BC.mov"),
        ("https://h/a..b/...", "https://h/a..b/..."),
    ] {
        assert_eq!(parse(url).url(), canonical, "{url}");
        assert_eq!(parse(canonical), parse(url));
    }
}

#[test]
fn a_query_is_part_of_a_source_and_of_nothing_that_is_shown() {
    let location = parse("https://h/in/a%20b.mov?secret=1");
    assert_eq!(location.url(), "https://h/in/a%20b.mov?secret=1");
    assert_ne!(location, parse("https://h/in/a%20b.mov"));
    assert_eq!(location.name(), Some(OsStr::new("a b.mov")));
    assert_eq!(location.parent(), Some(parse("https://h/in/")));
    assert_eq!(location.parent().unwrap().folder_url(), "https://h/in/");
    assert_eq!(parse("https://h/").parent(), None);
    assert_eq!(location.to_string(), "https://h/in/a%20b.mov?…");
    assert!(!format!("{location:?}").contains("secret"));
    assert_eq!(display_url("https://h/a.mov?secret"), "https://h/a.mov?…");
    assert_eq!(display_url("file:///a%3Fb.mov"), "/a?b.mov");
}

#[test]
fn hidden_is_what_lies_behind_a_dot_below_the_root() {
    let root = parse("file:///home/me/.videos");
    assert!(!parse("file:///home/me/.videos/a/b.mov").is_hidden_below(&root));
    for url in ["file:///home/me/.videos/.git/b", "file:///home/me/.videos/a/.b.mov"] {
        assert!(parse(url).is_hidden_below(&root), "{url}");
    }
    assert!(parse("s3://b/in/.x/a.mov").is_hidden_below(&parse("s3://b/in")));
}

#[test]
fn an_argument_is_a_url_or_a_path_and_becomes_one_location() {
    for argument in ["/in/a b.mov", "file:///in/a b.mov", "file:///in/%61%20b.mov", "/in/./x/../a b.mov"] {
        assert_eq!(
            Location::of_argument(OsStr::new(argument)),
            Ok(parse("file:///in/a%20b.mov")),
            "{argument}"
        );
    }
    let latin = OsStr::from_bytes(b"/in/caf\xe9.mov");
    let location = Location::of_argument(latin).unwrap();
    assert_eq!(location.url(), "file:///in/caf%E9.mov");
    assert_eq!(parse(&location.url()), location);
}

/// Parts of URLs that are meant to confuse.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => "[a-z]{1,3}",
        1 => Just(".".to_owned()),
        2 => Just("..".to_owned()),
        1 => Just(String::new()),
        1 => "(%2[eE]|\\.){1,3}",
        1 => "(%2[fF]|%5[cC]|%00|%25|\\\\|\\?|#| |é|%E9|@|:|%){1,3}",
        1 => Just("..%2f".to_owned()),
    ]
}

proptest! {
    #[test]
    fn a_canonical_url_is_parsed_to_the_same_location(
        scheme in "file|s3|gs|az|memory|http|https",
        host in prop_oneof![2 => Just(String::new()), 2 => Just("videos".to_owned()), 1 => part()],
        parts in prop::collection::vec(part(), 0..6),
    ) {
        let url = format!("{scheme}://{host}/{}", parts.join("/"));
        if let Ok(location) = Location::parse(&url) {
            let canonical = location.url();
            prop_assert_eq!(Location::parse(&canonical), Ok(location.clone()), "{}", url);
            prop_assert_eq!(Location::parse(&canonical).unwrap().url(), canonical);
            // The standard's own reading of it is no other file.
            if let (Location::File { path }, Ok(read)) = (&location, Url::parse(&location.url())) {
                prop_assert_eq!(read.to_file_path(), Ok(path.clone()));
            }
        }
    }

    #[test]
    fn nothing_with_dots_escapes_a_root(parts in prop::collection::vec(part(), 0..6)) {
        let below = parts.join("/");
        for root in ["file:///watched/in", "s3://videos/in", "https://h/in"] {
            let Ok(location) = Location::parse(&format!("{root}/{below}")) else { continue };
            prop_assert!(location.is_beneath(&parse(root)), "{}", location);
            let parts = location.parts_below(&parse(root)).unwrap();
            let plain = |part: &&OsStr| !matches!(part.as_encoded_bytes(), b"" | b"." | b"..")
                && !part.as_encoded_bytes().iter().any(|byte| matches!(byte, b'/' | 0));
            prop_assert!(parts.iter().all(plain), "{}", location);
        }
    }

    #[test]
    fn any_path_has_a_url_that_is_parsed_to_it(name in prop::collection::vec(1_u8..=255, 1..20)) {
        let path = Path::new("/in").join(OsStr::from_bytes(&name));
        let location = Location::of_path(&path).unwrap();
        prop_assert_eq!(Location::parse(&location.url()), Ok(location));
    }

    #[test]
    fn parts_below_a_root_make_the_same_location_again(
        parts in prop::collection::vec(prop::collection::vec(1_u8..=255, 1..5), 1..4)
    ) {
        let root = Location::of_path(Path::new("/in")).unwrap();
        let path = parts.iter().fold(PathBuf::from("/in"), |path, part| {
            let part: Vec<u8> = part.iter().map(|byte| if *byte == b'/' { b'.' } else { *byte }).collect();
            path.join(OsStr::from_bytes(&part))
        });
        let location = Location::of_path(&path).unwrap();
        if let Some(below) = location.parts_below(&root) {
            prop_assert_eq!(Location::parse(&root.url_below(&below)), Ok(location.clone()));
        }
    }
}
