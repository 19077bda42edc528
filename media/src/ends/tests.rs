use std::cell::Cell;

use super::*;

/// The message for a file, if it is cut off.
pub(super) fn message(container: &str, file: &[u8]) -> Option<String> {
    ended_early(container, file.len() as u64, &file.to_vec())
}

/// Asserts that there is no message for a file, and this one for its first `length` bytes.
#[track_caller]
pub(super) fn assert_cut(container: &str, file: &[u8], length: usize, why: &str) {
    assert_eq!(message(container, file), None, "the whole file");
    assert_eq!(message(container, &file[..length]), Some(format!("the source is cut off: {why}")));
}

/// A file of ones that has no end, and counts its reads.
struct Endless(Cell<u32>);

impl ReadAt for Endless {
    fn read_at(&self, buffer: &mut [u8], _: u64) -> std::io::Result<usize> {
        self.0.set(self.0.get() + 1);
        buffer.fill(1);
        Ok(buffer.len())
    }
}

struct Unreadable;

impl ReadAt for Unreadable {
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::Error::other("gone"))
    }
}

const CONTAINERS: [&str; 40] = [
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "flv",
    "mpegts",
    "ogg",
    "asf",
    "mxf",
    "nut",
    "wav",
    "w64",
    "aiff",
    "iff",
    "caf",
    "rm",
    "voc",
    "dtshd",
    "mp3",
    "aac",
    "ac3",
    "eac3",
    "loas",
    "amr",
    "au",
    "dsf",
    "ape",
    "tta",
    "wv",
    "gif",
    "apng",
    "mjpeg",
    "ivf",
    "yuv4mpegpipe",
    "dv",
    "gxf",
    "roq",
    "bink",
    "smk",
    "mpeg",
    "no such container",
];

#[test]
fn files_of_no_bytes_and_of_other_bytes_are_not_cut_off() {
    for container in CONTAINERS {
        for file in [vec![], vec![0; 1], vec![0; 100_000], vec![0xff; 100_000], b"RIFF".repeat(20_000)] {
            assert_eq!(ended_early(container, file.len() as u64, &file), None, "{container}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_is_not_cut_off() {
    for container in CONTAINERS {
        assert_eq!(ended_early(container, 1 << 40, &Unreadable), None, "{container}");
    }
}

#[test]
fn a_check_of_a_file_of_any_size_is_bounded() {
    for container in CONTAINERS {
        let file = Endless(Cell::new(0));
        ended_early(container, i64::MAX as u64, &file);
        assert!(file.0.get() <= 200, "{container} takes {} reads", file.0.get());
    }
}
