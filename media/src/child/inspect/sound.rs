//! What the sound of a source is, as encoder settings, and whether it can be cut.

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{AV_NOPTS_VALUE, AVMediaType, AVRational},
};
use millrace_schemas::{AudioTrack, CodedStream, Sound};

use super::{
    choice, protection,
    streams::{HOLDS_NONE, seconds, tags},
    survey::Survey,
};
use crate::{
    child::{
        decode::Decoder,
        failure::Failure,
        libav::{
            codec::{codec_name, has_decoder},
            layout::describe,
            stream::{fields, index},
        },
        source::{COUNTED, Source},
    },
    protocol::{InspectTask, Inspected},
    timeline::{Clock, rescale_timestamp},
};

/// How many sound tracks are taken.
const MOST_TRACKS: usize = 32;
/// Sound that is shorter, in seconds, is done before it could be dealt out.
const LONG_SECONDS: f64 = 120.0;

/// Takes the sound tracks that can be decoded; an error where there are some and none can.
pub(super) fn take(
    source: &mut Source,
    task: &InspectTask,
    survey: Option<&Survey>,
    protected: &[(i32, String)],
    found: &mut Inspected,
) -> Result<(), Failure> {
    let mut refused = None;
    for track in choice::tracks(source, AVMediaType::AVMEDIA_TYPE_AUDIO, survey) {
        let (main, more_streams) = (track[0], track[1..].to_vec());
        let Some(stream) = usize::try_from(main).ok().and_then(|index| source.input.stream(index)) else {
            continue;
        };
        let (s, parameters) = fields(&stream);
        let unseen = survey.is_some_and(|survey| track.iter().all(|s| !survey.streams.contains_key(s)));
        if unseen || choice::holds_nothing(source, main) {
            found.facts.warnings.push(format!("sound track {main} {HOLDS_NONE}"));
            continue;
        }
        let codec = codec_name(parameters);
        let wrong = if let Err(Failure(encrypted)) = protection::refuse(protected, main) {
            Some(encrypted)
        } else if !has_decoder(parameters.codec_id) {
            Some(format!("this FFmpeg has no decoder for {codec}"))
        } else if parameters.sample_rate <= 0 || parameters.ch_layout.nb_channels <= 0 {
            Some(format!("the sound ({codec}) has no sample rate or channels"))
        } else if found.facts.audio.len() >= MOST_TRACKS {
            Some(format!("there are more than {MOST_TRACKS} sound tracks"))
        } else {
            None
        };
        if let Some(wrong) = wrong {
            found.facts.warnings.push(format!("sound track {main} is left out: {wrong}"));
            refused.get_or_insert(wrong);
            continue;
        }
        let duration = choice::length(source, &stream).unwrap_or(0.0);
        found.facts.audio.push(AudioTrack {
            stream: main,
            more_streams,
            sound: Sound {
                sample_rate: parameters.sample_rate,
                channels: parameters.ch_layout.nb_channels,
                layout: describe(&parameters.ch_layout),
            },
            samples: (seconds(s.duration, s.time_base) * f64::from(parameters.sample_rate)) as i64,
            seconds: duration,
            start_us: start(s.start_time, s.time_base),
            first: None,
            tags: tags(&stream),
            coded: CodedStream::default(),
        });
    }
    match refused {
        Some(reason) if found.facts.audio.is_empty() => return Err(Failure::new(reason)),
        _ => {}
    }
    if task.segment_seconds.is_some() {
        for facts in &mut found.facts.audio {
            let long = facts.samples as f64 >= LONG_SECONDS * f64::from(facts.sound.sample_rate);
            if long && let Some(step) = even_step(source, facts, &found.container) {
                facts.first = first_sample(source, facts.stream, step)?;
            }
        }
    }
    Ok(())
}

/// Returns when a stream starts, in microseconds rounded down; 0 if nothing says so.
fn start(ticks: i64, time_base: AVRational) -> i64 {
    if ticks == AV_NOPTS_VALUE {
        return 0;
    }
    let micros = i128::from(ticks) * i128::from(time_base.num) * 1_000_000;
    i64::try_from(micros.div_euclid(i128::from(time_base.den.max(1)))).unwrap_or(0)
}

/// By how many samples packets follow each other, where the index shows that all do so alike, or the container counts samples
/// (0); `None` where there may be holes.
fn even_step(source: &Source, facts: &AudioTrack, container: &str) -> Option<i64> {
    let stream = usize::try_from(facts.stream).ok().and_then(|index| source.input.stream(index))?;
    let (s, parameters) = fields(&stream);
    let exact = i64::from(s.time_base.num) * i64::from(parameters.sample_rate) == i64::from(s.time_base.den);
    if COUNTED.contains(&container) {
        return exact.then_some(0);
    }
    if !container.contains("mp4") || !exact {
        return None;
    }
    let times: Vec<i64> = index(&stream)?.iter().map(|entry| entry.timestamp).collect();
    let step = times.get(1)? - times.first()?;
    let covered = times.first().zip(times.last()).map_or(0, |(first, last)| last - first);
    let whole = covered as f64 >= 0.98 * facts.samples as f64;
    // Raw samples come in chunks of any length.
    let even = times.windows(2).all(|pair| pair[1] - pair[0] == step);
    (whole && step >= SHORTEST_PACKET && even).then_some(step)
}

/// Packets of coded sound hold so many samples at least.
const SHORTEST_PACKET: i64 = 64;

/// Where the first sample lies that is heard, in samples; it is decoded to find out what is skipped. `None` where a packet
/// holds another number of samples than its index says: then the clock drifts.
fn first_sample(source: &mut Source, stream: i32, step: i64) -> Result<Option<i64>, Failure> {
    source.only(&[stream])?;
    source.rewind(stream);
    let mut decoder = Decoder::<ff::frame::Audio>::open(source, stream, 1)?;
    let clock = source.clock(stream);
    let rate = Clock { num: 1, den: i64::from(decoder.sample_rate().max(1)) };
    let mut packet = Packet::empty();
    let mut first = None;
    // A few packets are skipped, or hold nothing yet.
    for _ in 0..64 {
        if source.next_packet(&mut packet).is_err() || decoder.send(&packet).is_err() {
            break;
        }
        let Some(frame) = decoder.frame() else { continue };
        let Some(at) = frame.timestamp().map(|pts| rescale_timestamp(pts, clock, (0, rate), rate)) else {
            return Ok(None);
        };
        match first {
            // The first frame may be cut short: what a codec put before the sound is left out.
            None if step > 0 => first = Some(at),
            None => return Ok(Some(at)),
            Some(first) if i64::try_from(frame.samples()).ok() == Some(step) => return Ok(Some(first)),
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}
