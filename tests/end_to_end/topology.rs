//! The documents show what the program is.

use std::process::Command;

fn millrace(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millrace")).args(arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn document(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_readmes_picture_is_the_programs() {
    let picture = format!("```mermaid\n{}```", millrace(&["topology", "--format", "mermaid"]));
    assert!(document("README.md").contains(&picture), "README.md's picture should be:\n{picture}");
}

#[test]
fn every_drawing_shows_every_processor() {
    for format in ["text", "mermaid", "dot"] {
        let drawing = millrace(&["topology", "--format", format]);
        for processor in millrace_processors::topology().processors {
            assert!(drawing.contains(processor.name), "{format}: {}", processor.name);
        }
    }
}

#[test]
fn the_readme_names_every_flag_of_run() {
    let help = millrace(&["run", "--help"]);
    let readme = document("README.md");
    for word in help.split_whitespace().filter(|word| word.starts_with("--")) {
        let flag = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if !["--help", "--version", "--verbose"].contains(&flag) {
            assert!(readme.contains(flag), "README.md does not name {flag}");
        }
    }
}

#[test]
fn the_text_shows_depth_and_lag_of_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let drawing = millrace(&["topology", "--data", data]);
    assert!(!drawing.contains("depth"), "there is no log yet");
    let log = millrace_runtime::Embedded::open(&folder.path().join("log.sqlite")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        use millrace_runtime::Log;
        log.ensure(&millrace_topology::streams::ALL).await.unwrap();
        let upload = millrace_schemas::Upload::of("file:///a.mov", "file:///out");
        let emit = millrace_topology::Emit::new(millrace_topology::streams::UPLOADS, "a", &upload).unwrap();
        let records = vec![emit.into()];
        log.commit(millrace_runtime::Transaction { records, ..Default::default() }).await.unwrap();
    });
    let drawing = millrace(&["topology", "--data", data]);
    let line = |start: &str| drawing.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("uploads  ").ends_with(" 1"), "{drawing}");
    assert!(line("segments  ").ends_with(" 0"), "{drawing}");
    assert!(line("uploads ─►").ends_with("lag 1"), "{drawing}");
}

/// Its file, `mod`, and its name in the list.
#[test]
fn a_processor_costs_one_file_and_its_name_in_one_list() {
    let source = |name: &str| document(&format!("processors/src/{name}.rs"));
    let list = source("lib");
    let list = list.lines().find_map(|line| line.strip_prefix("processors!(")?.strip_suffix(");")).unwrap();
    let declared: Vec<&str> = list.split(", ").collect();
    let graph = millrace_processors::topology();
    assert_eq!(graph.processors.iter().map(|spec| spec.name).collect::<Vec<_>>(), declared);
    let root = env!("CARGO_MANIFEST_DIR");
    for spec in graph.processors {
        assert!(source(spec.name).contains("pub fn spec()"), "{} declares itself elsewhere", spec.name);
        // Who runs them knows none by its name: no other file need change.
        for file in ["engine/src/lib.rs", "topology/src/graph.rs"] {
            let text = std::fs::read_to_string(format!("{root}/{file}")).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let names = code.filter(|line| line.contains(&format!("\"{}\"", spec.name)));
            let names: Vec<_> = names.collect();
            assert!(names.is_empty(), "{file} names '{}': {names:?}", spec.name);
        }
    }
}
