//! What a plan asks of renditions, and their encoders.

use millrace_schemas::{AudioSettings, Encoders, Rendition, TrackKind, TrackPlan, TrackTags, VideoSettings};

use crate::request::tables;

/// A rendition of nothing, without an id.
pub(super) fn nothing() -> Rendition {
    Rendition { id: String::new(), video: None, audio: None, side: None }
}

/// Returns `true` for a rendition that is made in passes, until it has the average bit rate that is asked for.
pub(super) fn has_average(rendition: &Rendition) -> bool {
    let rate = rendition.video.as_ref().and_then(|video| video.bit_rate);
    rate.is_some_and(|rate| rate.average > 0)
}

/// Returns `true` for a rendition of single pictures.
pub(super) fn is_kept(rendition: &Rendition) -> bool {
    rendition.video.as_ref().is_some_and(|video| video.instants.is_some())
}

/// Returns `true` for a rendition whose packets are those of the source.
pub(super) fn is_copy(rendition: &Rendition) -> bool {
    let video = rendition.video.as_ref().is_some_and(VideoSettings::is_copy);
    video || rendition.audio.as_ref().is_some_and(AudioSettings::is_copy)
}

/// Names the encoder of a rendition only if it is not the codec's first one: settings of the same encoder are equal.
///
/// # Errors
/// If its codec can't be made with these settings, or the encoder is not there. None at all are known in simulation.
pub(super) fn choose_encoder(rendition: &mut Rendition, encoders: &Encoders) -> Result<(), String> {
    if let Some(settings) = &rendition.video
        && !settings.is_copy()
        && let Some(reason) = tables().codec(&settings.codec)?.refusal(settings)
    {
        return Err(reason);
    }
    let (codec, encoder) = match (&mut rendition.video, &mut rendition.audio) {
        (Some(video), _) => (&video.codec, &mut video.encoder),
        (None, Some(audio)) => (&audio.codec, &mut audio.encoder),
        (None, None) => return Ok(()),
    };
    let described = encoders.of(encoder, codec);
    if described.is_empty() && !encoders.is_empty() {
        let named = [encoder.as_str()];
        let names = if encoder.is_empty() { tables().codec(codec)?.encoders() } else { &named };
        return Err(format!(
            "this FFmpeg has no encoder '{}', which makes {codec}; install one that has, or ask for another codec",
            names.join("' or '")
        ));
    }
    if described == encoders.of("", codec) {
        encoder.clear();
    }
    Ok(())
}

/// Returns the plan of a track of a rendition.
pub(super) fn track(
    rendition: &Rendition,
    kind: TrackKind,
    first_segment: i32,
    segments: i32,
    tags: Option<&TrackTags>,
) -> TrackPlan {
    TrackPlan {
        rendition: rendition.id.clone(),
        kind,
        first_segment,
        segments,
        video: rendition.video.clone(),
        tags: tags.cloned(),
        audio: rendition.audio.clone(),
        source: None,
        order: Vec::new(),
    }
}
