//! Malicious values: each is an error, at a cost in proportion to its bytes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use millrace_schemas::{
    Assembly, LAST_ATTEMPT, LONGEST_LOCATION, Merged, RecordError, Segment, Signal, Upload,
    frame::{Record, schema_id},
};
use proptest::prelude::*;

/// Returns a number in Avro's variable-length encoding.
fn long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn framed<R: Record>(body: &[u8]) -> Vec<u8> {
    let mut value = vec![0];
    value.extend(R::codec().id().to_be_bytes());
    value.extend(body);
    value
}

fn refused<R: Record + std::fmt::Debug>(value: &[u8]) -> RecordError {
    let begun = Instant::now();
    let error = R::decode(value).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(1), "{error}");
    error
}

#[test]
fn claimed_lengths_and_counts_cost_nothing() {
    for claim in [1 << 60, i64::MAX, i64::MIN, -1, -(1 << 60), 1 << 40, 500_000_000, 4_000_000] {
        // The claim is the length of the first field, a text; then the count of an array or a map.
        refused::<Segment>(&framed::<Segment>(&long(claim)));
        refused::<Assembly>(&framed::<Assembly>(&long(claim)));
        let mut body = vec![2, 2, b'a', 0, 0, 0, 2, b'o'];
        body.extend([0; 8]);
        body.extend(long(claim));
        body.extend(long(7));
        refused::<Upload>(&framed::<Upload>(&body));
    }
}

#[test]
fn a_claimed_version_is_no_newer_record_by_itself() {
    for version in 2..1000 {
        let mut value = vec![0];
        value.extend(schema_id(Merged::NUMBER, version).to_be_bytes());
        let error = refused::<Merged>(&value);
        assert!(!matches!(error, RecordError::Newer { .. }), "{error}");
    }
}

#[test]
fn json_that_is_too_deep_is_an_error() {
    for text in [
        format!(r#"{{"labels": {}"#, "{\"a\":".repeat(19_000)),
        format!(r#"{{"made": {}"#, "[".repeat(90_000)),
        "{\"source\":".repeat(9_000),
    ] {
        assert!(matches!(Upload::read(text.as_bytes()), Err(RecordError::Json { .. })));
    }
}

#[test]
fn parts_of_an_upload_are_bounded() {
    let fits = Upload { source: Some("s".repeat(LONGEST_LOCATION)), ..Upload::of("", "out") };
    assert_eq!(Upload::read(&fits.encode().unwrap()).unwrap(), fits);
    let of = || Upload::of("file:///a.mov", "file:///out");
    let many = |count: usize| (0..count).map(|n| n.to_string());
    for upload in [
        Upload { source: Some("s".repeat(LONGEST_LOCATION + 1)), ..of() },
        Upload { name: Some("n".repeat(2000)), ..of() },
        Upload { output_prefix: "o".repeat(5000), ..of() },
        Upload { labels: many(101).map(|n| (n, String::new())).collect(), ..of() },
        Upload { labels: [("a".to_owned(), "b".repeat(5000))].into(), ..of() },
        Upload { dst_formats: many(1001).collect(), ..of() },
        Upload { attempt: i32::MIN, ..of() },
        Upload { attempt: LAST_ATTEMPT + 1, ..of() },
        Upload { segment_time_seconds: f64::NAN, ..of() },
        Upload { deadline_seconds: Some(f64::INFINITY), ..of() },
    ] {
        let error = Upload::read(&upload.encode().unwrap()).unwrap_err();
        assert!(
            matches!(error, RecordError::LargeUpload { .. } | RecordError::UploadNumber { .. }),
            "{error}"
        );
    }
    let json = br#"{"source": "file:///a.mov", "output_prefix": "file:///out", "attempt": -1}"#;
    assert_eq!(
        Upload::read(json).unwrap_err().to_string(),
        "an upload whose attempt is -1; 1 to 1,000,000 is wanted"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_bytes_are_reading_ends_and_no_record_waits(body in prop::collection::vec(any::<u8>(), 0..300)) {
        fn never_waits<R: Record>(body: &[u8]) {
            let result = R::decode(&framed::<R>(body));
            assert!(!matches!(result, Err(RecordError::Newer { .. })));
        }
        never_waits::<Upload>(&body);
        never_waits::<Segment>(&body);
        never_waits::<Signal>(&body);
        never_waits::<Assembly>(&body);
        let _ = Upload::read(&body);
        let mut json = b"{".to_vec();
        json.extend(&body);
        let _ = Upload::read(&json);
    }
}
