//! The proof of sound: what headers and packets state of it, and how many samples there are.

use std::hash::Hasher as _;

use millrace_formats::container::Index;
use millrace_schemas::{AudioFacts, AudioSettings};
use millrace_topology::invariants::check_samples;

use super::{
    expected::{Differences, Expected, unproven},
    found::{Found, Media},
};
use crate::child::{
    codec::{AudioCodec, Form},
    failure::Failure,
    libav::layout::Layout,
};

/// Holds what the headers of a file state of a sound track to its settings.
pub(super) fn parameters(
    wrong: &mut Differences,
    (stated, file): (&AudioFacts, &Found),
    asked: &AudioSettings,
    (track, index): (&Expected, Index),
) -> Result<(), Failure> {
    wrong.hold("sample rate", stated.sample_rate, asked.sample_rate);
    wrong.hold("channels", stated.channels, asked.channels);
    // Containers of one or two channels need not name them, and some name none: readers take the usual layout of so many.
    let unnamed = !index.names_channels() && track.codec.audio().is_some_and(AudioCodec::is_uncompressed);
    let layout = match stated.layout.as_str() {
        "" if stated.channels <= 2 || unnamed => Layout::default(stated.channels).name(),
        layout => layout.to_owned(),
    };
    wrong.hold("channel layout", layout, Layout::of(asked)?.name());
    // Without a codec header, each packet is held to the same.
    if index.form() == Form::Stream || track.codec.audio().is_some_and(|codec| !codec.has_header()) {
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
pub(super) fn packet(track: &Expected, found: &mut Found, form: Form, packet: &[u8]) -> Result<(), Failure> {
    let Some(codec) = track.codec.audio() else { return Ok(()) };
    let read = found.read_sound(codec, form, packet);
    let read = read.ok_or_else(|| unproven("a packet of sound can't be read".into()))?;
    found.lengths.take(codec, &track.header, read).map_err(unproven)
}

/// Counts samples where their packets don't end where those do that were put in.
pub(super) fn samples(track: &Expected, found: &mut Found, samples: &[u8]) -> Result<(), Failure> {
    let read = track.codec.audio().and_then(|codec| found.read_sound(codec, Form::File, samples));
    read.map(drop).ok_or_else(|| unproven("its sound can't be read".into()))
}

/// Holds a packet that a movie made of samples: it follows the one before it, at its time in ticks of a sample.
pub(super) fn follows(found: &Found, pts: i64) -> Result<(), Failure> {
    let asked = found.first_packet().saturating_add(found.samples_in_packets());
    if found.packets.is_empty() || pts == asked {
        return Ok(());
    }
    Err(unproven(format!("samples of its sound are at {pts} instead of {asked}")))
}

/// AU-1: all samples are those that were put in, in whatever packets.
pub(super) fn same_samples(track: &Expected, found: &Found) -> Result<(), Failure> {
    if found.bytes.finish() != track.bytes {
        return Err(unproven("its sound is not the one that was put in".into()));
    }
    let samples = found.samples_in_packets();
    if samples != track.sum.units {
        return Err(unproven(format!("{samples} samples of its sound instead of {}", track.sum.units)));
    }
    Ok(())
}

/// AU-1: the samples in the packets of the file, less those that are skipped before the first one, are those that went in: of a
/// lossless codec each, of others to within one codec frame.
pub(super) fn as_many(track: &Expected, found: &Found, skipped: i64) -> Result<(), Failure> {
    let (Media::Audio(_), Some(sound)) = (&found.media, found.sound) else { return Ok(()) };
    let codec = track.codec.audio();
    let stated = codec.and_then(|codec| codec.stated_samples(&found.headers));
    if let Some(stated) = stated.filter(|stated| *stated != found.samples_in_packets()) {
        let samples = found.samples_in_packets();
        return Err(unproven(format!("its codec header states {stated} samples instead of {samples}")));
    }
    let held = found.samples_in_packets() - skipped;
    let is_lossless = codec.is_some_and(|codec| codec.bits().is_some());
    check_samples(track.sum.units, held, if is_lossless { 0 } else { sound.frame_length })
        .map_err(|violation| unproven(format!("samples of its sound: {}", violation.detail)))
}
