//! What a codec, a container and a filter cost: a file here, and a line in the list of its table. So no other code may know one by
//! its name.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use millrace_formats::TABLES;

/// A file of Rust: its path from the workspace's root, and its text.
type Source = (String, String);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// All files of Rust in a folder, and in those beneath it.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let path = format!("{folder}/{name}");
        if root().join(&path).is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            found.push((path.clone(), read(&path)));
        }
    }
    found
}

/// The code of all crates but `formats`, and but what only tests are made of.
fn others() -> Vec<Source> {
    let mut all = sources("src");
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !["formats", "fuzz", "servers", "target"].contains(&name.as_str())
            && root().join(&name).join("Cargo.toml").exists()
        {
            all.extend(sources(&format!("{name}/src")));
        }
    }
    all
}

/// The lines of code of a file, with their numbers: neither comments, nor unit tests.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..tests].lines().enumerate().map(|(i, line)| (i + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Code that may know names of codecs and containers, and why.
const EXCEPTIONS: [(&str, &str); 13] = [
    ("media/src/ends.rs", "demuxers of sources: how a file that was cut off is known"),
    ("media/src/child/source.rs", "demuxers of sources: how each is read"),
    ("media/src/child/inspect/keyframes.rs", "demuxers of sources: where decoding can begin"),
    ("media/src/child/libav/codec.rs", "a quirk of libavcodec's decoder"),
    ("media/src/child/libav/input.rs", "a quirk of libavformat's demuxers"),
    ("media/src/child/libav/subtitle.rs", "texts of sources that have a length in front"),
    ("packages/src/codecs.rs", "four-character codes of sample entries"),
    ("packages/src/codecs/entry.rs", "four-character codes of boxes"),
    ("processors/src/trigger/rules.rs", "suffixes of sources"),
    ("schemas/src/records/upload.rs", "the default of a released schema"),
    ("simulation/src/ports.rs", "the simulated media, which stand for real ones"),
    ("simulation/src/profiles.rs", "the profiles of simulated users"),
    ("simulation/src/users.rs", "the simulated users, who ask for formats by name"),
];

/// Lines of code that name an entry of a table, as a text or by libavcodec's constant.
fn naming(sources: &[Source], names: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        if is_test || EXCEPTIONS.iter().any(|(file, _)| file == path) {
            continue;
        }
        for (number, line) in code(text) {
            // Demuxers of sources have several names in one: `container().contains("mp4")`.
            let line_of_output = line.replace(".contains(\"", ".contains(");
            let names_one = |name: &String| {
                let constant = format!("AV_CODEC_ID_{}", name.to_uppercase());
                line_of_output.contains(&format!("\"{name}\"")) || line.contains(&constant)
            };
            if names.iter().any(names_one) {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    found
}

/// The modules that a registry lists in its tables: those whose folder is `folder`.
fn listed(registry: &str, kind: &str) -> Vec<String> {
    let text = registry.split_once(kind).map_or("", |(_, list)| list);
    let list = text.split_once('{').and_then(|(_, list)| list.split_once('}')).map_or("", |(list, _)| list);
    list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// How a module and its entry are called: a name that users write may have dashes.
fn spellings(name: &str) -> [String; 2] {
    [name.to_owned(), name.replace('_', "-")]
}

/// What is wrong with a table: an entry that costs more than its file and its line, or less.
fn faults(registry: &str, kind: &str, files: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let names = listed(registry, kind);
    if names.is_empty() {
        faults.push(format!("the registry lists nothing of {kind}"));
    }
    for name in &names {
        match files.get(name) {
            None => faults.push(format!("'{name}' is listed and has no file")),
            Some(text) if !spellings(name).iter().any(|name| text.contains(&format!("\"{name}\""))) => {
                faults.push(format!("the file of '{name}' does not have its name"));
            }
            Some(text) if !text.contains("const ENTRY:") => {
                faults.push(format!("the file of '{name}' has no entry"));
            }
            Some(_) => {}
        }
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let words = code(registry).flat_map(|(_, line)| line.split(move |c| !is_word(c)));
        let lines = words.filter(|word| word == name).count();
        if lines != 1 {
            faults.push(format!("the registry names '{name}' {lines} times"));
        }
    }
    for (file, text) in files {
        if !names.contains(file) {
            faults.push(format!("the file '{file}' is not listed"));
        }
        for name in names.iter().filter(|name| *name != file) {
            if code(text).any(|(_, line)| line.contains(&format!("\"{name}\""))) {
                faults.push(format!("the file '{file}' names '{name}'"));
            }
        }
    }
    faults
}

/// The files of a folder by their names, without what lies beneath.
fn files(folder: &str) -> BTreeMap<String, String> {
    let all = sources(folder).into_iter();
    let own = all.filter_map(|(path, text)| {
        let name = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rs")?;
        (!name.contains('/')).then(|| (name.to_owned(), text))
    });
    own.collect()
}

/// The tables of the program and the planted ones: registry, the type of the entries, and the folder of their files.
const TABLES_OF: [(&str, &str, &str); 9] = [
    ("codec", "CODECS: &'static dyn Codec", "codec"),
    ("container", "CONTAINERS: &'static Container", "container"),
    ("filter", "FILTERS: &'static dyn Filter", "filter"),
    ("temporal", "TEMPORAL: &'static dyn TemporalFilter", "temporal"),
    ("picture", "PICTURES: &'static PictureFormat", "picture"),
    ("intermediate", "INTERMEDIATES: &'static dyn Codec", "intermediate"),
    ("planted/codec", "PLANTED: &'static dyn Codec", "planted/codec"),
    ("planted/container", "PLANTED: &'static Container", "planted/container"),
    ("planted/filter", "PLANTED: &'static dyn Filter", "planted/filter"),
];

fn all_names() -> Vec<String> {
    let of =
        |(registry, kind, _): &(&str, &str, &str)| listed(&read(&format!("formats/src/{registry}.rs")), kind);
    TABLES_OF.iter().flat_map(of).flat_map(|name| spellings(&name)).collect()
}

#[test]
fn an_entry_costs_one_file_and_one_line() {
    for (registry, kind, folder) in TABLES_OF {
        let registry = read(&format!("formats/src/{registry}.rs"));
        let faults = faults(&registry, kind, &files(&format!("formats/src/{folder}")));
        assert!(faults.is_empty(), "{folder}: {}", faults.join("; "));
    }
}

#[test]
fn the_tables_are_what_the_registries_list() {
    let of = |at: usize| {
        let (registry, kind, _) = TABLES_OF[at];
        listed(&read(&format!("formats/src/{registry}.rs")), kind)
    };
    assert_eq!(TABLES.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>(), of(0));
    let containers: Vec<String> =
        TABLES.containers.iter().map(|container| container.name.replace('-', "_")).collect();
    assert_eq!(containers, of(1));
    assert_eq!(TABLES.filters.iter().map(|filter| filter.name()).collect::<Vec<_>>(), of(2));
}

#[test]
fn no_code_elsewhere_knows_a_codec_a_container_or_a_filter_by_its_name() {
    let mut names = all_names();
    names.extend(TABLES.codecs.iter().flat_map(|codec| codec.encoders()).map(|name| (*name).to_owned()));
    let found = naming(&others(), &names);
    assert!(found.is_empty(), "ask the tables of millrace-formats instead:\n{}", found.join("\n"));
}

#[test]
fn each_exception_is_one() {
    let others = others();
    for (file, why) in EXCEPTIONS {
        let is_there = others.iter().any(|(path, text)| {
            path == file && !naming(&[("another.rs".into(), text.clone())], &all_names()).is_empty()
        });
        assert!(is_there, "{file} ({why}) names nothing: take it off the list");
    }
}

/// What the tests above look for is seen where it is.
#[test]
fn a_planted_name_is_found_and_tests_and_comments_are_not() {
    let names = vec!["mp4".to_owned(), "aac".to_owned()];
    let found = |text: &str| naming(&[("src/a.rs".into(), text.into())], &names);
    assert_eq!(found("\nif format == \"mp4\" {}"), ["src/a.rs:2: if format == \"mp4\" {}"]);
    assert_eq!(found("matches!(id, AVCodecID::AV_CODEC_ID_AAC)").len(), 1);
    assert!(found("// not \"mp4\"\nsource.container().contains(\"mp4\")").is_empty());
    assert!(found("#[cfg(test)]\nmod tests {\n\"mp4\"\n}").is_empty());
    let excepted = (EXCEPTIONS[0].0.to_owned(), "\"mp4\"".to_owned());
    let test = ("processors/src/split/plan/tests.rs".to_owned(), "\"mp4\"".to_owned());
    assert!(naming(&[excepted, test], &names).is_empty());
}

#[test]
fn an_entry_that_costs_more_or_less_is_found() {
    let registry = "table! {\n    CODECS: &'static dyn Codec {\n        vp9,\n        opus,\n    }\n}\n";
    let kind = "CODECS: &'static dyn Codec";
    let file = |name: &str, more: &str| (name.to_owned(), format!("const ENTRY: X = Y; \"{name}\" {more}"));
    let found = |registry: &str, files: &[(String, String)]| {
        faults(registry, kind, &files.iter().cloned().collect::<BTreeMap<_, _>>()).join("; ")
    };
    let both = [file("vp9", ""), file("opus", "")];
    assert_eq!(found(registry, &both), "");
    assert_eq!(found(registry, &both[..1]), "'opus' is listed and has no file");
    let third = [both[0].clone(), both[1].clone(), file("hevc", "")];
    assert_eq!(found(registry, &third), "the file 'hevc' is not listed");
    let twice = format!("{registry}fn f() {{ vp9::special() }}\n");
    assert_eq!(found(&twice, &both), "the registry names 'vp9' 2 times");
    let other = [both[0].clone(), file("opus", "\n if name == \"vp9\"")];
    assert_eq!(found(registry, &other), "the file 'opus' names 'vp9'");
    let empty = [both[0].clone(), ("opus".to_owned(), String::new())];
    assert_eq!(found(registry, &empty), "the file of 'opus' does not have its name");
    assert_eq!(found("", &[]), format!("the registry lists nothing of {kind}"));
}
