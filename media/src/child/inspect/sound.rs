//! What the sound of a source is, as encoder settings, and whether it can be cut.

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{AVMediaType, avformat_index_get_entries_count, avformat_index_get_entry},
};
use millrace_schemas::AudioSettings;

use super::{Failure, Source, codec_name, has_decoder, is, raw, seconds, tags};
use crate::{
    child::decoder::{Received, SoundDecoder},
    protocol::{AudioTrackFacts, InspectTask, Inspected},
    timeline::{Clock, place},
};

/// How many sound tracks are taken.
const MOST_TRACKS: usize = 32;
/// Sound that is shorter, in seconds, is done before it could be dealt out.
const LONG_SECONDS: f64 = 120.0;

/// Takes the sound tracks that can be decoded; an error where there are some and none can.
pub(super) fn take(source: &mut Source, task: &InspectTask, found: &mut Inspected) -> Result<(), Failure> {
    let mut refused = None;
    for stream in source.input.streams().filter(|stream| is(stream, AVMediaType::AVMEDIA_TYPE_AUDIO)) {
        let (s, parameters) = raw(&stream);
        let codec = codec_name(parameters);
        let wrong = if !has_decoder(parameters) {
            Some(format!("this FFmpeg has no decoder for {codec}"))
        } else if parameters.sample_rate <= 0 || parameters.ch_layout.nb_channels <= 0 {
            Some(format!("the sound ({codec}) has no sample rate or channels"))
        } else if found.sounds.len() >= MOST_TRACKS {
            Some(format!("there are more than {MOST_TRACKS} sound tracks"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            found.left_out.push(format!("sound track {}: {wrong}", s.index));
            refused.get_or_insert(wrong);
            continue;
        }
        let duration = seconds(s.duration, s.time_base);
        found.sounds.push(AudioTrackFacts {
            stream: s.index,
            settings: AudioSettings {
                codec: String::new(),
                bit_rate: 0,
                sample_rate: parameters.sample_rate,
                channels: parameters.ch_layout.nb_channels,
            },
            samples: (duration * f64::from(parameters.sample_rate)) as i64,
            first: None,
            tags: tags(&stream),
        });
    }
    match refused {
        Some(reason) if found.sounds.is_empty() => return Err(Failure::new(reason)),
        _ => {}
    }
    if task.segment_seconds.is_some() {
        for facts in &mut found.sounds {
            let long = facts.samples as f64 >= LONG_SECONDS * f64::from(facts.settings.sample_rate);
            if long && has_no_holes(source, facts, &found.container) {
                facts.first = first_sample(source, facts.stream)?;
            }
        }
    }
    Ok(())
}

/// Containers of sound alone that count samples: there are no holes in them, and times are exact.
pub(crate) const COUNTED: [&str; 6] = ["wav", "flac", "aiff", "w64", "caf", "au"];

/// Whether the index shows that every packet follows the one before it to the sample.
fn has_no_holes(source: &Source, facts: &AudioTrackFacts, container: &str) -> bool {
    let Some(stream) = usize::try_from(facts.stream).ok().and_then(|index| source.input.stream(index)) else {
        return false;
    };
    let (s, parameters) = raw(&stream);
    let exact = i64::from(s.time_base.num) * i64::from(parameters.sample_rate) == i64::from(s.time_base.den);
    if COUNTED.contains(&container) {
        return exact;
    }
    if !container.contains("mp4") || !exact {
        return false;
    }
    let mut times = Vec::new();
    // SAFETY: the stream is of an open context, and each entry is read before the next call.
    unsafe {
        for i in 0..avformat_index_get_entries_count(s) {
            let entry = avformat_index_get_entry(std::ptr::from_ref(s).cast_mut(), i);
            if entry.is_null() {
                return false;
            }
            times.push((*entry).timestamp);
        }
    }
    let Some(step) = times.first().zip(times.get(1)).map(|(first, second)| second - first) else {
        return false;
    };
    let covered = times.first().zip(times.last()).map_or(0, |(first, last)| last - first);
    let whole = covered as f64 >= 0.98 * facts.samples as f64;
    // Raw samples come in chunks of any length.
    whole && step >= SHORTEST_PACKET && times.windows(2).all(|pair| pair[1] - pair[0] == step)
}

/// Packets of coded sound hold so many samples at least.
const SHORTEST_PACKET: i64 = 64;

/// Where the first sample lies that is heard, in samples; it is decoded to find out what is skipped.
fn first_sample(source: &mut Source, stream: i32) -> Result<Option<i64>, Failure> {
    source.only(stream)?;
    source.rewind(stream);
    let mut decoder = SoundDecoder::open(source, stream)?;
    let clock = source.clock(stream);
    let rate = Clock { num: 1, den: i64::from(decoder.rate().max(1)) };
    let mut packet = Packet::empty();
    // A few packets are skipped, or hold nothing yet.
    for _ in 0..64 {
        if packet.read(&mut source.input).is_err() || decoder.send(&packet).is_err() {
            break;
        }
        let mut frame = ff::frame::Audio::empty();
        if decoder.receive(&mut frame) == Received::Frame {
            return Ok(frame.timestamp().map(|pts| place(pts, clock, (0, rate), rate)));
        }
    }
    Ok(None)
}
