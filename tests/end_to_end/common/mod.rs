//! What the end to end tests share: media made by ffmpeg, the program under test, and ffmpeg as the judge.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

pub mod bucket;
pub mod cluster;
pub mod compare;
pub mod judge;
pub mod media;
pub mod package;
pub mod profiles;
pub mod proxy;
pub mod reader;
pub mod serving;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The buckets of tests.
const BUCKETS: [&str; 2] = ["s3://videos", "s3://buckettestfnf"];

/// A folder of its own for a test: sources, outputs and data.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `millrace` in this folder; where it serves, uploads reach what is in this folder, and the buckets of tests.
    pub fn millrace(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_millrace"));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_remove("MILLRACE_LOG");
        let roots = format!("{},{}", self.folder.path().display(), BUCKETS.join(","));
        command.env("MILLRACE_SOURCE_ROOTS", &roots).env("MILLRACE_OUTPUT_ROOTS", &roots);
        command
    }

    /// `millrace run INPUTS --output out --data data --json`, and more.
    pub fn run_command(&self, inputs: &[&Path], more: &[&str]) -> Command {
        let mut command = self.millrace();
        command.arg("run").args(inputs).args(["--output", "out", "--data", "data", "--json"]).args(more);
        command
    }

    pub fn run(&self, inputs: &[&Path], more: &[&str]) -> Ran {
        Ran::of(self.run_command(inputs, more).output().unwrap())
    }

    /// The names in a folder, hidden ones too.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.path(folder))
            .map(|entries| entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }
}

/// What a call said.
pub struct Ran {
    pub status: i32,
    pub lines: Vec<Value>,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        Self {
            status: output.status.code().unwrap_or(-1),
            lines: stdout.lines().map(parse).collect(),
            stderr,
        }
    }

    /// The one result of a call that must have succeeded.
    pub fn success(&self) -> &Value {
        assert_eq!(self.status, 0, "{}\n{:?}", self.stderr, self.lines);
        assert_eq!(self.lines.len(), 1);
        assert_eq!(self.lines[0]["state"], "succeeded");
        &self.lines[0]
    }

    /// The reason of a call whose one input must have failed.
    pub fn failure(&self) -> &str {
        assert_eq!(self.status, 1, "{}\n{:?}", self.stderr, self.lines);
        assert_eq!(self.lines.len(), 1);
        assert_eq!(self.lines[0]["state"], "failed");
        self.lines[0]["reason"].as_str().unwrap()
    }
}
