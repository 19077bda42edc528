//! Completion of command lines, as a shell asks for it.

use std::{path::Path, process::Command};

use crate::common::Place;

/// The words that bash offers for the last word of a command line.
fn offered(place: &Place, line: &[&str]) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_millrace"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let words = line.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let (at, last) = (line.len() - 1, line[line.len() - 1]);
    let script = format!(
        "source <(millrace completions bash); COMP_WORDS=({words}); COMP_CWORD={at}\n\
         _clap_complete_millrace millrace '{last}'; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut shell = Command::new("bash");
    shell.args(["--norc", "-c", &script]).current_dir(place.path("")).env("PATH", path);
    let output = shell.env_remove("MILLRACE_PROFILES").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let words = said.split(['\n', '\u{b}']).filter(|word| !word.is_empty());
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn a_shell_offers_the_profiles_that_ship_those_of_a_folder_and_files() {
    let place = Place::new();
    place.write("ours/weekly.toml", "[[output]]\nformat = \"mp4\"\n");
    place.write("waves.toml", "[[output]]\nformat = \"mp4\"\n");
    place.write("waves.mov", "no profile");
    let run = ["millrace", "run", "a.mov", "--profile", "we"];
    assert_eq!(offered(&place, &run), ["web", "web-av1"]);
    let ours = ["millrace", "run", "a.mov", "--profiles", "ours", "--profile", "we"];
    assert_eq!(offered(&place, &ours), ["web", "web-av1", "weekly"]);
    assert_eq!(offered(&place, &["millrace", "run", "--profile", "wav"]), ["waves.toml"]);
    assert_eq!(offered(&place, &["millrace", "profiles", "show", "po"]), ["podcast"]);
    assert_eq!(offered(&place, &["millrace", "run", "wa"]), ["waves.mov", "waves.toml"]);
    // A folder that is not there takes nothing away.
    let nowhere = ["millrace", "run", "--profiles", "nowhere", "--profile", "hd"];
    assert_eq!(offered(&place, &nowhere), ["hdr"]);
    assert_eq!(offered(&place, &["millrace", "run", "--format", "web"]), ["webm", "webp"]);
    assert!(offered(&place, &["millrace", "exec"]).contains(&"executions".to_owned()));
}

#[test]
fn each_shell_has_a_script_that_calls_the_program() {
    let place = Place::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = place.millrace().args(["completions", shell]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("MILLRACE_COMPLETE"), "{shell}: {said}");
    }
    let output = place.millrace().args(["completions", "sh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
