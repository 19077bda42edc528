//! Fuzz targets: each parser of bytes from outside, with what must hold for any bytes.
//!
//! A target's check panics if something does not hold. [`Runner::run`] feeds it mutated examples, by seed, with stable Rust; the targets
//! in `fuzz/fuzz_targets` feed it to libFuzzer.

mod captions;
mod frame;
mod location;
mod mutate;
mod notification;
mod run;
mod subtitles;
mod upload;
mod work_object;

use fastrand::Rng;

pub use run::{Failure, Limit, Outcome, Runner};

/// A parser, and what must hold for it.
pub struct Target {
    /// What `TARGET=` and the folder of failing inputs are called.
    pub name: &'static str,
    /// Returns `true` if the bytes are valid; panics if something does not hold.
    pub check: fn(&[u8]) -> bool,
    /// Makes inputs that the parser takes, by the encoders of Millrace; mutations begin with them.
    pub seeds: fn(&mut Rng) -> Vec<Vec<u8>>,
    /// What mutations insert: words of the format.
    pub words: &'static [&'static str],
    /// How much memory parsing may take, in bytes: of any input, and for each byte of it.
    pub memory: (usize, usize),
    /// The longest input that is made, in bytes: longer than the parser takes.
    pub longest: usize,
}

pub use captions::TARGET as CAPTIONS;
pub use frame::TARGET as FRAME;
pub use location::TARGET as LOCATION;
pub use notification::TARGET as NOTIFICATION;
pub use subtitles::TARGET as SUBTITLES;
pub use upload::TARGET as UPLOAD;
pub use work_object::TARGET as WORK_OBJECT;

/// The targets, in the order in which a run without `TARGET=` takes them.
pub const TARGETS: [&Target; 7] =
    [&FRAME, &NOTIFICATION, &WORK_OBJECT, &LOCATION, &UPLOAD, &CAPTIONS, &SUBTITLES];

/// Returns the target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Returns `false` if a value holds a NaN, which equals nothing.
fn equals_itself<T: PartialEq>(value: &T) -> bool {
    let same = value;
    value == same
}
