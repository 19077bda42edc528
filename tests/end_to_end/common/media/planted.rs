//! Planted faults: in a work object, as a worker reports it that is wrong, and in an output, as a muxer writes it that is
//! wrong. `merge` must refuse the one, and its proof and `millrace verify` must find the other.

use std::path::Path;

use serde_json::Value;

use super::{
    ffmpeg,
    index::{self, Mp4, Tag},
    scenes::Scene,
    work::Work,
};
use crate::common::Place;

/// Why the proof refuses an output.
pub const NOT_PROVEN: &str = "could not be proven";

/// Changes a file.
type Change<T> = Box<dyn Fn(&mut T)>;

/// An output with a fault.
pub enum Output {
    /// Put together of work objects that are wrong in the same way, so that they agree with each other.
    Of(Work),
    /// An mp4 whose bytes were changed.
    Mp4(Change<Mp4>),
    /// An flv whose tags were changed.
    Flv(Change<Vec<Tag>>),
    /// A Matroska file whose bytes were changed.
    Mkv(Change<Vec<u8>>),
    /// A transport stream whose bytes were changed.
    Ts(Change<Vec<u8>>),
}

impl Output {
    pub fn mp4(change: impl Fn(&mut Mp4) + 'static) -> Self {
        Self::Mp4(Box::new(change))
    }

    pub fn flv(change: impl Fn(&mut Vec<Tag>) + 'static) -> Self {
        Self::Flv(Box::new(change))
    }

    pub fn mkv(change: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        Self::Mkv(Box::new(change))
    }

    pub fn ts(change: impl Fn(&mut Vec<u8>) + 'static) -> Self {
        Self::Ts(Box::new(change))
    }

    /// The format of its file; that of work objects is up to the caller.
    fn format(&self) -> &'static str {
        match self {
            Self::Of(_) | Self::Mp4(_) => "mp4",
            Self::Flv(_) => "flv",
            Self::Mkv(_) => "mkv",
            Self::Ts(_) => "ts",
        }
    }

    /// An mp4 that ffmpeg makes of the right one with these options.
    pub fn by_ffmpeg(options: &'static [&'static str]) -> Self {
        Self::mp4(move |file| {
            let folder = tempfile::tempdir().unwrap();
            let [right, wrong] = ["right.mp4", "wrong.mp4"].map(|name| folder.path().join(name));
            std::fs::write(&right, &file.0).unwrap();
            let (from, to) = (right.to_str().unwrap(), wrong.to_str().unwrap());
            ffmpeg(&[&["-i", from][..], options, &[to]].concat());
            file.0 = std::fs::read(wrong).unwrap();
        })
    }

    fn change(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Of(_) => bytes,
            Self::Mp4(change) => {
                let mut file = Mp4(bytes);
                change(&mut file);
                file.0
            }
            Self::Flv(change) => {
                let mut tags = index::tags(&bytes);
                change(&mut tags);
                index::flv(&tags)
            }
            Self::Mkv(change) | Self::Ts(change) => {
                let mut file = bytes;
                change(&mut file);
                file
            }
        }
    }
}

/// The checks of `millrace verify` that fail.
fn failed_checks(place: &Place, source: &Path, output: &Path) -> Vec<String> {
    let mut verify = place.millrace();
    verify.arg("verify").args([source, output]).args(["--pictures", "--sound", "--json"]);
    let ran = verify.output().unwrap();
    let line: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    let failed = line["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false);
    let failed: Vec<String> = failed.map(|check| check["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ran.status.code(), Some(i32::from(!failed.is_empty())));
    failed
}

/// Plants faults of one kind in one scene, and collects those that are not found.
pub struct Planter {
    pub scene: Scene,
    missed: Vec<String>,
    outputs: usize,
}

impl Planter {
    /// Outputs without a fault are proven, and pass.
    pub fn new(scene: Scene) -> Self {
        for format in ["mp4", "flv", "mkv"] {
            let output = scene.shop.path(&format!("right.{format}"));
            scene.shop.merge(&scene.work, &output).unwrap();
            scene.shop.prove(&scene.work, &output).unwrap();
            assert_eq!(failed_checks(&scene.place, &scene.source, &output), [""; 0], "{format}");
        }
        Self { scene, missed: Vec::new(), outputs: 0 }
    }

    /// Plants a fault in the work objects of some workers; the others are right. `merge` must refuse them for a reason with
    /// these words.
    pub fn in_objects(&mut self, fault: &str, words: &str, change: impl FnOnce(&mut Work)) {
        let mut work = self.scene.work.clone();
        change(&mut work);
        let refused = match self.scene.shop.merge(&work, &self.scene.shop.path("refused.mp4")) {
            Ok(_) => "nothing".to_owned(),
            Err(reason) => reason,
        };
        if !refused.contains(words) {
            self.missed.push(format!("{fault}: merge refuses {refused}, expected: {words}"));
        }
    }

    /// Plants a fault in an output. The check of `verify` with this name must fail.
    pub fn in_output(&mut self, fault: &str, check: &str, output: &Output) {
        self.plant(fault, check, output.format(), output);
    }

    /// Plants a fault in an output, in one fact that its file states. The proof must refuse it for a reason with these words,
    /// which name the fact.
    pub fn in_fact(&mut self, fault: &str, words: &str, output: &Output) {
        self.outputs += 1;
        let Scene { shop, work, .. } = &self.scene;
        let path = shop.path(&format!("wrong.{}", output.format()));
        shop.merge(work, &path).unwrap();
        std::fs::write(&path, output.change(std::fs::read(&path).unwrap())).unwrap();
        let refused = match shop.prove(work, &path) {
            Ok(facts) => format!("nothing: {facts:?}"),
            Err(reason) => reason,
        };
        if !refused.contains(NOT_PROVEN) || !refused.contains(words) {
            self.missed.push(format!("{fault}: the proof refuses {refused}, expected: {words}"));
        }
    }

    /// Plants a fault in all work objects that it concerns, and puts an output of this format together.
    pub fn in_all_objects(&mut self, fault: &str, check: &str, format: &str, change: impl FnOnce(&mut Work)) {
        let mut work = self.scene.work.clone();
        change(&mut work);
        self.plant(fault, check, format, &Output::Of(work));
    }

    fn plant(&mut self, fault: &str, check: &str, format: &str, output: &Output) {
        self.outputs += 1;
        let Scene { shop, source, work, place, .. } = &self.scene;
        let path = shop.path(&format!("wrong.{format}"));
        let of = if let Output::Of(wrong) = output { wrong } else { work };
        shop.merge(of, &path).unwrap_or_else(|reason| panic!("{fault}: no output was written: {reason}"));
        std::fs::write(&path, output.change(std::fs::read(&path).unwrap())).unwrap();
        if shop.prove(work, &path).is_ok() {
            self.missed.push(format!("{fault}: merge proves it"));
        }
        let failed = failed_checks(place, source, &path);
        if !failed.iter().any(|failed| failed == check) {
            self.missed.push(format!("{fault}: verify fails {failed:?}, expected: {check}"));
        }
    }

    /// Panics if a fault was not found, or if another number of outputs had one.
    pub fn end(self, outputs: usize) {
        assert!(self.missed.is_empty(), "not found:\n{}", self.missed.join("\n"));
        assert_eq!(self.outputs, outputs);
    }
}
