//! The program as users meet it. All end to end tests are one binary, which links once, and whose modules share a broker and a schema
//! registry: `cargo test --test end_to_end run::` runs those of `run.rs`.
//!
//! Tests of all modules run beside each other in one process. A test must not change what belongs to the whole process: environment
//! variables, the current directory, signal handlers, resource limits.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod common;

mod access;
mod api;
mod audio_codecs;
mod bit_rates;
mod burnt;
mod chaos;
mod clips;
mod cluster;
mod codecs;
mod commands;
mod completion;
mod containers;
mod copies;
mod crash;
mod deploy;
mod differential;
mod encryption;
mod exact;
mod examples;
mod hdr;
mod http;
mod key_ends;
mod ladder;
mod lengths;
mod lies;
mod light;
mod loudness;
mod marks;
mod mutants;
mod package_codecs;
mod packages;
mod pictures;
mod player;
mod poison;
mod profile_folder;
mod profiles;
mod random_profiles;
mod rates;
mod refusals;
mod reported;
mod run;
mod security;
mod serve;
mod sources;
mod stills;
mod stores;
mod terminal;
mod topology;
mod transport;
mod trim;
mod verify;
mod verify_packages;
mod waveform;
mod web;

/// A file that is not declared above is not compiled, and its tests would silently not run.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let declared: Vec<String> = include_str!("main.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .map(|name| format!("{name}.rs"))
        .collect();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_source = name.ends_with(".rs") && name != "main.rs";
        assert!(!is_source || declared.contains(&name), "main.rs does not declare {name}");
    }
}
