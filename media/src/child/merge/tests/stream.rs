//! Transport streams: what a receiver would stumble over, and what is not what was put in, is found in a file.

use millrace_formats::container::{Index, STREAM_DELAY};

use super::{
    codecs::{Job, content, encode_ranges, settings_of},
    *,
};

/// The bytes of a packet.
const PACKET: usize = 188;

/// A file of one track of pictures, and the job that made it.
fn made() -> (Job, File, Vec<u8>) {
    let container = tables().containers.iter().find(|container| container.index == Index::Stream).unwrap();
    let settings = settings_of(container.video_codec().unwrap(), None);
    let job = Job::new(container, &settings, &encode_ranges(&settings, &[(0, 27)], 1));
    let output = tempfile::tempfile().unwrap();
    job.merge(&output, None).unwrap();
    let bytes = content(&output);
    (job, output, bytes)
}

/// The offset of the last packet with the begin of a picture.
fn last_picture(bytes: &[u8]) -> usize {
    let starts = bytes.chunks(PACKET).map(|packet| packet.windows(4).any(|code| code == [0, 0, 1, 0xe0]));
    starts.collect::<Vec<_>>().iter().rposition(|starts| *starts).unwrap() * PACKET
}

fn place(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|found| found == wanted).unwrap()
}

#[test]
fn pictures_are_as_far_behind_their_clock_as_receivers_buffer() {
    let (job, output, _) = made();
    let again = tempfile::tempfile().unwrap();
    let video = job.merge(&again, Some(&output)).unwrap().video.unwrap();
    let delay = STREAM_DELAY as f64 / 1e6;
    // Behind it, the pictures that are decoded before the first one that is shown.
    assert!((delay..delay + 0.5).contains(&video.first_seconds), "{}", video.first_seconds);
    let first = video.first_seconds + 26.0 / 25.0;
    assert!((video.last_seconds - first).abs() < 2e-5, "{} instead of {first}", video.last_seconds);
}

#[test]
fn a_packet_that_is_missing_or_late_or_of_another_mark_is_found() {
    type Change = fn(&mut Vec<u8>);
    let (job, _, bytes) = made();
    let changes: [(&str, Change); 8] = [
        ("a packet less", |bytes| drop(bytes.drain(8 * PACKET..9 * PACKET))),
        ("a picture less", |bytes| bytes.truncate(last_picture(bytes))),
        ("a packet that is cut off", |bytes| bytes.truncate(bytes.len() - 1)),
        ("another mark", |bytes| {
            let at = place(bytes, b"a mark");
            bytes[at] = b'b';
        }),
        // The presentation time lies behind nine bytes, its lowest bits in the last of five.
        ("a picture a tick later", |bytes| {
            let packet = last_picture(bytes);
            let at = packet + place(&bytes[packet..], &[0, 0, 1, 0xe0]) + 9 + 4;
            bytes[at] ^= 2;
        }),
        ("a keyframe that does not say so", |bytes| {
            let packet =
                bytes.chunks(PACKET).position(|packet| packet[3] & 0x20 != 0 && packet[5] & 0x40 != 0);
            bytes[packet.unwrap() * PACKET + 5] ^= 0x40;
        }),
        ("another byte of a codec header", |bytes| {
            let at = place(bytes, &[0, 0, 1, 0x67]);
            bytes[at + 8] ^= 1;
        }),
        ("another byte of a picture", |bytes| {
            let at = bytes.len() - 1;
            bytes[at] ^= 1;
        }),
    ];
    for (what, change) in changes {
        let mut changed = bytes.clone();
        change(&mut changed);
        assert_ne!(changed, bytes, "{what}");
        let mut other = tempfile::tempfile().unwrap();
        other.write_all(&changed).unwrap();
        let again = tempfile::tempfile().unwrap();
        let refused = job.merge(&again, Some(&other)).expect_err(what);
        assert!(
            refused.contains("could not be proven right") || refused.contains("reading the source"),
            "{what}: {refused}"
        );
    }
}
