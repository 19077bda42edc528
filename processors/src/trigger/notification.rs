//! Notifications of object stores about new objects, in the shapes that the stores send. Pure.
//!
//! | from | shape | the key |
//! |---|---|---|
//! | Amazon S3, and through SNS or SQS | `{"Records": [{"eventName": "ObjectCreated:Put", "s3": …}]}` | form-encoded: `+` is a space |
//! | Amazon S3 through EventBridge | `{"source": "aws.s3", "detail-type": "Object Created", "detail": …}` | as it is |
//! | MinIO | as S3, with `EventName` and `Key` beside | form-encoded |
//! | versitygw | as S3 | as it was in the request's path: percent-encoded |
//! | Alibaba Cloud OSS | `{"events": [{"eventName": "ObjectCreated:PutObject", "oss": …}]}` | as it is |
//!
//! Since a store may encode keys differently than its shape documents, other readings of the key are tried, too.

use percent_encoding::percent_decode_str;
use serde_json::Value;

/// The most events of a notification, including those that a queue or a topic forwards together. Stores send one or a few. Each may
/// cost requests to the store, and all of a notification are one task.
pub const MOST_EVENTS: usize = 1000;

/// A new object, or a new version of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEvent {
    /// The bucket.
    pub bucket: String,
    /// The possible keys, likeliest first.
    pub keys: Vec<String>,
    /// The ETag, without quotes; `None` if the notification has none.
    pub version: Option<String>,
    /// The store's sequencer, which orders the events of an object; `None` if the notification has none.
    pub sequencer: Option<String>,
    /// The time, in milliseconds since 1970; `None` if the notification has none.
    pub at_ms: Option<i64>,
}

/// A notification. Removals, restores and tests have no events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// The events, in the order of the notification.
    pub events: Vec<ObjectEvent>,
}

/// Reads a notification from JSON.
///
/// # Errors
/// If its shape is unknown, or if it has more than [`MOST_EVENTS`] events.
pub fn read(value: &[u8]) -> Result<Notification, String> {
    let json: Value =
        serde_json::from_slice(value).map_err(|error| format!("a notification must be JSON: {error}"))?;
    shape(&json, 0)
}

/// Reads a notification that is nested `depth` deep in notifications of queues or topics.
fn shape(json: &Value, depth: usize) -> Result<Notification, String> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    // SNS, and queues, wrap the notification as a text.
    for name in ["Message", "body"] {
        if let (Some(inner), true) = (text(name), depth < 3) {
            let inner: Value = serde_json::from_str(inner).unwrap_or(Value::Null);
            if inner.is_object() {
                return shape(&inner, depth + 1);
            }
        }
    }
    if text("file").is_some() {
        return Err("files are reported by the process that watches their folder, and by nobody else".into());
    }
    if let Some(records) = json.get("Records").or_else(|| json.get("records")).and_then(Value::as_array) {
        check_count(records.len())?;
        let mut events = Vec::new();
        for record in records {
            let notification = match record.get("s3") {
                Some(s3) => read_event(record, "eventName", s3, KeyEncoding::Form),
                // The records of a queue are notifications.
                None if depth < 3 => shape(record, depth + 1)?,
                None => return Err("a record has an unknown shape".into()),
            };
            events.extend(notification.events);
            check_count(events.len())?;
        }
        return Ok(Notification { events });
    }
    if let Some(events) = json.get("events").and_then(Value::as_array) {
        check_count(events.len())?;
        let found = events.iter().map(|event| {
            event.get("oss").map_or_else(
                || Err("an event has an unknown shape".to_owned()),
                |oss| Ok(read_event(event, "eventName", oss, KeyEncoding::Plain).events),
            )
        });
        let events = found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        return Ok(Notification { events });
    }
    if let (Some(_), Some(detail)) = (text("detail-type"), json.get("detail")) {
        return Ok(read_event(json, "detail-type", detail, KeyEncoding::Plain));
    }
    // A store sends a test when notifications are set up, and SNS asks for a confirmation before it sends any.
    let is_test = text("Event").is_some_and(|event| event.ends_with("TestEvent"))
        || text("Type").is_some_and(|kind| kind.ends_with("Confirmation"));
    if is_test {
        return Ok(Notification::default());
    }
    Err("the shape is unknown; those of S3, MinIO, versitygw, OSS and EventBridge are supported".into())
}

/// Checks the number of events.
///
/// # Errors
/// If there are more than [`MOST_EVENTS`].
fn check_count(events: usize) -> Result<(), String> {
    if events <= MOST_EVENTS {
        return Ok(());
    }
    Err(format!("it holds more than {MOST_EVENTS} events; send them in several notifications"))
}

/// How a shape encodes keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyEncoding {
    /// Not at all.
    Plain,
    /// As HTML forms: `+` is a space.
    Form,
}

/// Reads one event. `name_field` is the name of the field with its name, `object` the value that has its bucket and object. Returns
/// a notification without events if it is not about a new object.
fn read_event(event: &Value, name_field: &str, object: &Value, encoding: KeyEncoding) -> Notification {
    let name = event.get(name_field).and_then(Value::as_str).unwrap_or_default();
    let is_put = name.contains("ObjectCreated") || name == "Object Created";
    let text = |path: &str| object.pointer(path).and_then(Value::as_str);
    let (Some(bucket), Some(key), true) = (text("/bucket/name"), text("/object/key"), is_put) else {
        return Notification::default();
    };
    // A key that ends with a slash stands for a folder.
    if key.ends_with('/') || key.is_empty() {
        return Notification::default();
    }
    let keys = possible_keys(key, encoding);
    // MinIO percent-encodes that slash.
    if keys.first().is_none_or(|key| key.ends_with('/')) {
        return Notification::default();
    }
    let time = ["eventTime", "time"].iter().find_map(|name| event.get(*name)?.as_str());
    let tag = text("/object/eTag").or_else(|| text("/object/etag"));
    let event = ObjectEvent {
        bucket: bucket.into(),
        keys,
        version: tag.map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty()),
        sequencer: text("/object/sequencer").map(str::to_owned).filter(|text| !text.is_empty()),
        at_ms: time
            .and_then(|time| chrono::DateTime::parse_from_rfc3339(time).ok())
            .map(|t| t.timestamp_millis()),
    };
    Notification { events: vec![event] }
}

/// Returns the possible keys of an object, likeliest first.
fn possible_keys(key: &str, encoding: KeyEncoding) -> Vec<String> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned);
    let form = decode(&key.replace('+', " "));
    let (percent, plain) = (decode(key), Some(key.to_owned()));
    let all = match encoding {
        KeyEncoding::Plain => [plain, form, percent],
        KeyEncoding::Form => [form, percent, plain],
    };
    let mut found: Vec<String> = Vec::new();
    for key in all.into_iter().flatten() {
        if !found.contains(&key) {
            found.push(key);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(text: &str) -> ObjectEvent {
        let mut events = read(text.as_bytes()).unwrap().events;
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn first_key(event: &ObjectEvent) -> &str {
        &event.keys[0]
    }

    const S3: &str = r#"{"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-west-2",
        "eventTime": "1970-01-01T00:00:01.500Z", "eventName": "ObjectCreated:Put", "s3": {"s3SchemaVersion": "1.0",
        "bucket": {"name": "videos", "arn": "arn:aws:s3:::videos"}, "object": {"key": "in/my+film%2B1%E6%98%A0.mov", "size": 1024,
        "eTag": "d41d8cd98f00b204e9800998ecf8427e", "versionId": "096fKKXTRTtl3on89fVO", "sequencer": "0055AED6DCD90281E5"}}}]}"#;

    #[test]
    fn s3_encodes_keys_as_forms_do() {
        let event = read_one(S3);
        assert_eq!(first_key(&event), "in/my film+1映.mov");
        assert_eq!(event.at_ms, Some(1500));
        assert_eq!(event.version.as_deref(), Some("d41d8cd98f00b204e9800998ecf8427e"));
        assert_eq!(event.sequencer.as_deref(), Some("0055AED6DCD90281E5"));
    }

    #[test]
    fn notifications_through_sns_and_a_queue_are_unwrapped() {
        let sns = json!({"Type": "Notification", "Message": S3}).to_string();
        assert_eq!(read_one(&sns), read_one(S3));
        let queue = json!({"Records": [{"messageId": "1", "body": sns}]}).to_string();
        assert_eq!(read_one(&queue), read_one(S3));
    }

    #[test]
    fn minio_versitygw_oss_and_eventbridge_are_read() {
        let minio = r#"{"EventName": "s3:ObjectCreated:CompleteMultipartUpload", "Key": "videos/in/a b.mov", "Records": [{"eventName":
            "s3:ObjectCreated:CompleteMultipartUpload", "eventTime": "2026-11-20T00:00:00.123Z", "s3": {"bucket": {"name": "videos"},
            "object": {"key": "in%2Fa+b.mov", "size": 9, "eTag": "x-2", "sequencer": "17C4E2B1F2A3B4C5"}}}]}"#;
        assert_eq!(first_key(&read_one(minio)), "in/a b.mov");
        let versitygw = r#"{"Records": [{"eventName": "s3:ObjectCreated:Put", "eventTime": "2026-11-20T00:00:00+01:00", "s3": {"bucket":
            {"name": "videos"}, "object": {"key": "in/a%20b.mov", "size": 9, "eTag": "\"abc\"", "versionId": null, "sequencer": "A"}}}]}"#;
        let event = read_one(versitygw);
        assert_eq!((first_key(&event), event.version.as_deref()), ("in/a b.mov", Some("abc")));
        let oss = r#"{"events": [{"eventName": "ObjectCreated:PostObject", "eventSource": "acs:oss", "eventTime": "2026-11-20T00:00:00.000Z",
            "oss": {"bucket": {"name": "buckettestfnf"}, "object": {"key": "source/a+b%20.mov", "size": 9, "eTag": "ABC"}}}]}"#;
        assert_eq!(first_key(&read_one(oss)), "source/a+b%20.mov", "as it is");
        let bridge = r#"{"version": "0", "detail-type": "Object Created", "source": "aws.s3", "time": "2026-11-20T00:00:00Z", "detail":
            {"bucket": {"name": "videos"}, "object": {"key": "in/a b.mov", "size": 9, "etag": "abc", "sequencer": "62E"}}}"#;
        assert_eq!(first_key(&read_one(bridge)), "in/a b.mov");
    }

    #[test]
    fn nobody_tells_of_files_but_who_watches_their_folder() {
        for text in [
            r#"{"file": "file:///watched/../private/x.mov", "version": "9-1"}"#,
            r#"{"Records": [{"file": "file:///watched/a.mov"}]}"#,
            r#"{"Message": "{\"file\": \"file:///watched/a.mov\"}"}"#,
        ] {
            let said = read(text.as_bytes()).unwrap_err();
            assert!(said.contains("by nobody else"), "{said}");
        }
    }

    #[test]
    fn removals_tests_and_folders_are_no_events() {
        for text in [
            r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "videos"}"#,
            r#"{"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe"}"#,
            r#"{"Records": [{"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "v"}, "object": {"key": "a.mov"}}}]}"#,
            r#"{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "v"}, "object": {"key": "in/"}}}]}"#,
            r#"{"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": "v"}, "object": {"key": "in%2F"}}}]}"#,
            r#"{"Records": []}"#,
        ] {
            assert_eq!(read(text.as_bytes()).unwrap(), Notification::default(), "{text}");
        }
    }

    #[test]
    fn all_of_several_records_are_events() {
        let record = S3.trim_start_matches(r#"{"Records": ["#).trim_end_matches("]}");
        let two = format!(r#"{{"Records": [{record}, {record}]}}"#);
        assert_eq!(read(two.as_bytes()).unwrap().events.len(), 2);
    }

    #[test]
    fn a_notification_of_very_many_events_is_refused_in_every_shape() {
        let s3 = |count: usize| {
            let record = json!({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "v"}, "object": {"key": "a"}}});
            json!({"Records": vec![record; count]})
        };
        let oss = |count: usize| {
            let event = json!({"eventName": "ObjectCreated:Put", "oss": {"bucket": {"name": "v"}, "object": {"key": "a"}}});
            json!({"events": vec![event; count]})
        };
        // A queue's messages of 100 each.
        let queue = |count: usize| {
            let message = json!({"body": s3(100).to_string()});
            json!({"Records": vec![message; count.div_ceil(100)]})
        };
        for shape in [&s3 as &dyn Fn(usize) -> Value, &oss, &queue] {
            let most = read(shape(MOST_EVENTS).to_string().as_bytes()).unwrap();
            assert_eq!(most.events.len(), MOST_EVENTS);
            let said = read(shape(MOST_EVENTS + 1).to_string().as_bytes()).unwrap_err();
            assert!(said.contains("more than 1000 events"), "{said}");
        }
        // Records without events count, too.
        assert!(
            read(json!({"Records": vec![json!({"Event": "s3:TestEvent"}); 2000]}).to_string().as_bytes())
                .is_err()
        );
    }

    #[test]
    fn a_value_of_unknown_shape_is_an_error() {
        for text in ["", "[]", "{}", "hello", r#"{"Records": [{"a": 1}]}"#, r#"{"events": [5]}"#] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
