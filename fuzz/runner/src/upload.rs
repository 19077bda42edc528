//! Uploads as HTTP and the topic take them: JSON, or Avro in the Confluent frame.

use std::collections::HashMap;

use fastrand::Rng;
use millrace_access::Location;
use millrace_processors::request;
use millrace_schemas::{
    AudioFacts, OutputFacts, SourceRef, Upload, VideoFacts, execution_id, frame::Record as _, output_prefix,
    source_url,
};

use crate::{Target, equals_itself};

/// Uploads, as JSON and framed.
pub const TARGET: Target = Target {
    name: "upload",
    check,
    seeds,
    words: &[
        "\"source\": \"",
        "\"oss_bucket_name\": \"",
        "\"video_key\": \"",
        "\"output_prefix\": \"",
        "\"segment_time_seconds\": ",
        "\"dst_formats\": [",
        "\"labels\": {",
        "\"made\": [",
        "\"attempt\": ",
        "\"deadline_seconds\": ",
        "\"principal\": \"x\"",
        "\"unknown\": ",
        "\"mp4\"",
        "\"flv\"",
        "../",
        "://",
        "file:///",
        "%2e",
        "\\u0000",
        "\\ud800",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "null",
        "true",
        "1e999",
        "-0.0",
        "1e-320",
        "0.1000000000000000055511151231257827",
        "2147483648",
    ],
    memory: (8 << 20, 200),
    longest: 128 << 10,
};

/// The longest upload that is read, in bytes.
const LONGEST: usize = 100_000;

#[expect(clippy::expect_used)]
fn check(bytes: &[u8]) -> bool {
    let Ok(upload) = Upload::read(bytes) else { return false };
    assert!(bytes.len() <= LONGEST);
    let written = upload.encode().expect("what was read can be written");
    assert!(written.len() <= bytes.len() + 1000, "{} bytes became {}", bytes.len(), written.len());
    if written.len() <= LONGEST {
        let again = Upload::read(&written).expect("what was written can be read");
        assert!(again == upload || !equals_itself(&upload), "{upload:?} became {again:?}");
    }
    // JSON has no numbers that are not finite.
    let json = serde_json::to_vec(&upload).expect("an upload as JSON");
    if bytes.trim_ascii_start().starts_with(b"{") && json.len() <= LONGEST {
        let again = Upload::read(&json).expect("what was written as JSON can be read");
        assert_eq!(again, upload);
    }
    check_meaning(&upload);
    true
}

/// What is derived from an upload.
fn check_meaning(upload: &Upload) {
    let _ = upload.check_by_others();
    if let Ok(time) = request::segment_time(upload.segment_time_seconds) {
        assert!(time.is_finite() && time > 0.0);
    }
    let _ = request::deadline(upload.deadline_seconds);
    let Ok(url) = source_url(upload, "s3") else { return };
    let source = SourceRef { url: url.clone(), version: "1".into(), bytes: 1 };
    assert_eq!(execution_id(upload, &source), execution_id(&upload.clone(), &source));
    let Ok(prefix) = output_prefix(upload, &url) else { return };
    let outputs = request::wanted(upload).map_or_else(|_| Vec::new(), |wanted| wanted.outputs);
    for output in outputs.iter().flat_map(|output| output.output_urls(&prefix, &url)) {
        let places = (Location::parse(&url), Location::parse(&prefix), Location::parse(&output));
        if let (Ok(_), Ok(prefix), Ok(output)) = places {
            assert_eq!(output.parent().as_ref(), Some(&prefix), "{output} lies elsewhere than in {prefix}");
        }
    }
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let small = Upload::of("s3://videos/in/holiday%201.mov", "out");
    let bucket = Upload {
        source: None,
        oss_bucket_name: Some("videos".into()),
        video_key: Some("in/test 1.mov".into()),
        ..small.clone()
    };
    let full = Upload {
        version: Some("9-abc".into()),
        segment_time_seconds: 7.3,
        dst_formats: vec!["mp4".into(), "flv".into()],
        name: Some("friday".into()),
        // One: several have no order, and the same seed shall give the same bytes.
        labels: HashMap::from([("team".into(), "Grüße".into())]),
        deadline_seconds: Some(3600.5),
        overwrite: true,
        strict: true,
        ..Upload::of("file:///in/a.mov", "file:///out")
    };
    let facts = OutputFacts {
        url: "file:///out/a.mp4".into(),
        format: "mp4".into(),
        bytes: 123,
        duration_seconds: 1.5,
        video: Some(VideoFacts { codec: "h264".into(), frame_rate: 29.97, ..VideoFacts::default() }),
        audio: Some(AudioFacts { codec: "aac".into(), sample_rate: 48_000, ..AudioFacts::default() }),
        ..OutputFacts::default()
    };
    let own = Upload {
        attempt: 2,
        work: Some("0123-1".into()),
        replay: Some("19a".into()),
        made: vec![facts],
        ..full.clone()
    };
    let all = [small, bucket, full, own];
    let json = all.iter().filter_map(|upload| serde_json::to_vec(upload).ok());
    let framed = all.iter().filter_map(|upload| upload.encode().ok());
    json.chain(framed).collect()
}
