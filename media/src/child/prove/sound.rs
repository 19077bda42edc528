//! The proof of sound: what headers and packets state of it, and how many samples there are.

use millrace_schemas::{AudioFacts, AudioSettings};
use millrace_topology::invariants::check_samples;

use super::{
    Differences,
    expected::{Expected, unproven},
    found::{Found, Media},
};
use crate::child::{failure::Failure, libav::layout::Layout};

/// Holds what the headers of a file state of a sound track to its settings.
pub(super) fn parameters(
    wrong: &mut Differences,
    (stated, file): (&AudioFacts, &Found),
    asked: &AudioSettings,
    track: &Expected,
) -> Result<(), Failure> {
    wrong.hold("sample rate", stated.sample_rate, asked.sample_rate);
    wrong.hold("channels", stated.channels, asked.channels);
    wrong.hold("channel layout", stated.layout.clone(), Layout::of(asked)?.name());
    // Without a codec header, each packet is held to the same.
    if track.codec.audio().is_some_and(|codec| !codec.has_header()) {
        return Ok(());
    }
    let Some(header) = file.sound else {
        wrong.0.push("a codec header of its sound that can't be read".into());
        return Ok(());
    };
    wrong.hold("sample rate in the codec header", header.sample_rate, asked.sample_rate);
    if let Some(channels) = header.channels {
        wrong.hold("channels in the codec header", channels, asked.channels);
    }
    wrong.hold("samples in a packet", header.frame_length, track.header.frame_size);
    Ok(())
}

/// Holds a packet of sound to the settings of its track, and counts its samples; nothing of a packet of another kind.
pub(super) fn packet(track: &Expected, found: &mut Found, packet: &[u8]) -> Result<(), Failure> {
    let Some(codec) = track.codec.audio() else { return Ok(()) };
    let read = found.read_sound(codec, packet);
    let read = read.ok_or_else(|| unproven("a packet of sound can't be read".into()))?;
    found.lengths.take(codec, &track.header, read).map_err(unproven)
}

/// AU-1: the samples in the packets of the file, less those that are skipped before the first one, are those that went in: of a
/// lossless codec each, of others to within one codec frame.
pub(super) fn as_many(track: &Expected, found: &Found, skipped: i64) -> Result<(), Failure> {
    let (Media::Audio(_), Some(sound)) = (&found.media, found.sound) else { return Ok(()) };
    let held = found.samples_in_packets() - skipped;
    let is_lossless = track.codec.audio().is_some_and(|codec| codec.bits().is_some());
    check_samples(track.sum.units, held, if is_lossless { 0 } else { sound.frame_length })
        .map_err(|violation| unproven(format!("samples of its sound: {}", violation.detail)))
}
