//! A few thousand inputs for each parser, always the same ones. `make fuzz` goes on from there.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;

use millrace_fuzz::{Limit, Runner, target};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn hold(name: &str, inputs: u64) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fuzz");
    let runner = Runner { memory: &MEMORY, folder };
    let outcome = runner.run(target(name).unwrap(), 1, Limit::Inputs(inputs)).unwrap();
    if let Some(failure) = outcome.failure {
        panic!("{}; again: make fuzz TARGET={name} INPUT={}", failure.reason, failure.input.display());
    }
    assert!(outcome.valid * 50 > outcome.inputs, "{} of {inputs} inputs are valid", outcome.valid);
}

#[test]
fn any_bytes_are_one_record_or_none_and_a_record_is_written_as_it_was_read() {
    hold("frame", 4000);
}

#[test]
fn any_notification_tells_no_more_than_its_bytes_do() {
    hold("notification", 4000);
}

#[test]
fn any_work_object_is_whole_in_both_its_readers_or_damaged() {
    hold("work_object", 4000);
}

#[test]
fn any_url_has_one_canonical_form_and_lies_beneath_its_parents() {
    hold("location", 1500);
}

#[test]
fn any_upload_is_read_within_bounds_and_written_as_it_was_read() {
    hold("upload", 4000);
}

#[test]
fn any_captions_are_laid_out_within_bounds_in_utf_8() {
    hold("captions", 800);
}
