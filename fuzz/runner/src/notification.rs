//! Notifications of object stores.

use fastrand::Rng;
use millrace_processors::trigger::notification::{Notification, ObjectEvent, read};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::Target;

/// Notifications of object stores.
pub const TARGET: Target = Target {
    name: "notification",
    check,
    seeds,
    words: &[
        "{\"Records\": [",
        "{\"records\": [",
        "{\"events\": [",
        "{\"Message\": \"{",
        "{\"body\": \"{",
        "{\"s3\": {",
        "\"oss\": ",
        "\"detail\": ",
        "\"detail-type\": \"Object Created\"",
        "\"eventName\": \"ObjectCreated:Put\"",
        "\"eventTime\": \"2026-11-20T00:00:00Z\"",
        "\"object\": {\"key\": \"",
        "\"bucket\": {\"name\": \"",
        "\"file\": \"",
        "\"Event\": \"s3:TestEvent\"",
        "%2F",
        "%",
        "%E6%98",
        "\\u0000",
        "\\ud800",
        "+",
        "\\\"",
        "\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "null",
        "1e999",
    ],
    memory: (1 << 20, 200),
    longest: 128 << 10,
};

#[expect(clippy::expect_used)]
fn check(bytes: &[u8]) -> bool {
    let Ok(notification) = read(bytes) else { return false };
    assert_eq!(read(bytes).as_ref(), Ok(&notification), "it is read the same again");
    let mut length = 0;
    for event in &notification.events {
        let keys = &event.keys;
        assert!((1..=3).contains(&keys.len()));
        assert!(!keys[0].is_empty() && !keys[0].ends_with('/'), "a folder is told as an object: {event:?}");
        length += event.bucket.len() + keys.iter().map(String::len).sum::<usize>();
        length += event.version.as_ref().map_or(0, String::len);
        length += event.sequencer.as_ref().map_or(0, String::len);

        let again = read(s3(event).to_string().as_bytes()).expect("a notification of S3's shape");
        let [again] = &again.events[..] else { panic!("one event became {:?}", again.events) };
        assert_eq!((&again.bucket, &again.keys[0]), (&event.bucket, &keys[0]));
        assert_eq!((&again.version, &again.sequencer), (&event.version, &event.sequencer));
    }
    assert!(length <= 3 * bytes.len(), "{} bytes tell {length}", bytes.len());
    notification != Notification::default()
}

/// An event as Amazon S3 tells it.
fn s3(event: &ObjectEvent) -> Value {
    let key = utf8_percent_encode(&event.keys[0], NON_ALPHANUMERIC).to_string();
    json!({"Records": [{"eventName": "ObjectCreated:Put", "eventTime": "2026-11-20T00:00:00.123Z", "s3": {
        "bucket": {"name": event.bucket},
        "object": {"key": key, "eTag": event.version, "sequencer": event.sequencer},
    }}]})
}

fn seeds(_: &mut Rng) -> Vec<Vec<u8>> {
    let place = json!({"bucket": {"name": "videos"}, "object": {"key": "in/my+film%2B1%E6%98%A0.mov", "size": 1024,
        "eTag": "\"d41d8cd98f00b204e9800998ecf8427e\"", "sequencer": "0055AED6DCD90281E5"}});
    let s3 = json!({"Records": [{"eventVersion": "2.1", "eventTime": "1970-01-01T00:00:01.500Z",
        "eventName": "ObjectCreated:Put", "s3": place}]});
    let minio = json!({"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": "videos/in/a b.mov", "Records": [
        {"eventName": "s3:ObjectCreated:CompleteMultipartUpload", "eventTime": "2026-11-20T00:00:00.123Z", "s3": {
        "bucket": {"name": "videos"}, "object": {"key": "in%2Fa+b.mov", "size": 9, "eTag": "x-2", "sequencer": "17C4E2"}}}]});
    let sns = json!({"Type": "Notification", "Message": s3.to_string()});
    let queue = json!({"Records": [{"messageId": "1", "body": sns.to_string()}]});
    let oss = json!({"events": [{"eventName": "ObjectCreated:PostObject", "eventTime": "2026-11-20T00:00:00.000Z", "oss": place}]});
    let bridge = json!({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "time": "2026-11-20T00:00:00Z",
        "detail": {"bucket": {"name": "videos"}, "object": {"key": "in/a b.mov", "etag": "abc", "sequencer": "62E"}}});
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "videos"});
    [s3, minio, sns, queue, oss, bridge, test].iter().map(|seed| seed.to_string().into_bytes()).collect()
}
