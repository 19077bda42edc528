//! Checks what a profile says of copies.

use millrace_formats::{Container, container::Tracks};
use millrace_schemas::COPY;
use serde::Serialize;

use crate::problems::Problems;

/// Checks the codec and `when_fits` of an encoding. Returns `true` if it is a copy, of which nothing else can be asked.
pub(super) fn check(
    key: &str,
    asked: &impl Serialize,
    (codec, when_fits): (&str, Option<&str>),
    problems: &mut Problems,
) -> bool {
    if codec != COPY {
        if let Some(other) = when_fits.filter(|value| *value != COPY) {
            problems.add(format!("{key}.when_fits"), format!("'{other}' is unknown; known is {COPY}"));
        }
        return false;
    }
    // Text keys and plain values: it can't fail.
    let said = serde_json::to_value(asked).unwrap_or_default();
    for (name, _) in said.as_object().into_iter().flatten().filter(|(name, _)| *name != "codec") {
        problems.add(
            format!("{key}.{name}"),
            format!(
                "a copy is as the source is; leave it out, or ask for a codec, with when_fits = \"{COPY}\" beside it if what \
                 already is so is to be copied"
            ),
        );
    }
    true
}

/// Checks that an output holds such tracks, and can be made of copies.
pub(super) fn are_held(
    container: &Container,
    tracks: Tracks,
    key: &str,
    kind: &str,
    problems: &mut Problems,
) -> bool {
    let holds = !tracks.codecs.is_empty() && container.index.takes_copies();
    if !holds && !tracks.codecs.is_empty() {
        problems.add(
            format!("{key}.{kind}"),
            format!(
                "{} is made by its encoder alone; ask for a codec, or for another format",
                container.name
            ),
        );
    }
    holds
}
