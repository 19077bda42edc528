//! A profile that changes under its name while uploads ask for it (PR-1).

use std::sync::Arc;

use async_trait::async_trait;
use millrace_processors::{ProfileSource, request::Catalog};
use millrace_profiles::Profile;

use crate::clock;

/// The name of the profile that changes.
pub(crate) const CHANGING: &str = "ours";

/// How long a version of it stays, in milliseconds: uploads come within tens of seconds, and are accepted again after faults.
const VERSION_MS: i64 = 7_000;

/// A profile whose pictures are made in passes, at this bit rate.
pub(crate) fn average(bit_rate: &str) -> String {
    let outputs = r#"[{"format": "mp4"}, {"format": "flv"}]"#;
    format!(r#"{{"video": {{"v": {{"codec": "h264", "bitrate": "{bit_rate}"}}}}, "output": {outputs}}}"#)
}

/// The profiles of a run: one that changes, by the virtual clock.
#[derive(Debug)]
pub(crate) struct ChangingProfiles;

#[async_trait]
impl ProfileSource for ChangingProfiles {
    async fn catalog(&self) -> Arc<Catalog> {
        let rate = ["1M", "2M", "3M"][usize::try_from(clock::now_ms() / VERSION_MS % 3).unwrap_or(0)];
        let profile = Profile::from_json(&average(rate)).ok();
        let own = CHANGING.parse().ok().zip(profile).into_iter().collect();
        Arc::new(Catalog::of(own, [].into()))
    }
}
