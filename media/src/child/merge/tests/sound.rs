//! Each codec of sound in each container that holds it: put together, proven, and decoded again by FFmpeg's own program.

use std::{path::Path, process::Command};

use millrace_formats::{AudioAsk, codec::Seams, container::Priming};
use millrace_schemas::{AudioSettings, Sound};

use super::*;
use crate::{
    child::{
        damage::Damage,
        libav::layout::Layout,
        sink::{AudioEnd, AudioSink, Samples},
    },
    packets::Item,
};

/// Samples a channel: no whole number of packets of any codec.
const COUNT: usize = 100_001;

/// The place of the LFE in 5.1, which holds nothing above 120 Hz.
const LFE: i32 = 3;

/// Whole numbers of 16 bits, as floats: a tone in each channel, with a little noise.
fn tones(channels: i32, rate: i32) -> Vec<Vec<f32>> {
    let mut noise = 1_u32;
    let channel = |channel: i32| {
        let tone = if channel == LFE { 60 } else { 440 + 110 * channel };
        let step = std::f64::consts::TAU * f64::from(tone) / f64::from(rate);
        let sample = |i: usize| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tone = 8000.0 * (step * i as f64).sin() + f64::from(noise >> 24);
            tone.round() as f32 / 32_768.0
        };
        (0..COUNT).map(sample).collect()
    };
    (0..channels).map(channel).collect()
}

/// Encodes a part of the sound, whose first sample is at 0.
fn encode(settings: &AudioSettings, sound: &[Vec<f32>], range: TimeRange, into: &mut File) -> Made {
    let codec = codec::sound(settings).unwrap();
    let frame = codec.frame_size();
    let start = range.start.map_or(0, |start| start - codec.lead_in() * frame).max(0);
    let end = range.end.map_or(COUNT as i64, |end| (end + codec.lead_out() * frame).min(COUNT as i64));
    let rendition = Rendition { id: "a".into(), video: None, audio: Some(settings.clone()), side: None };
    let file = tempfile::tempfile().unwrap();
    let layout = Layout::of(settings).unwrap();
    let opened = AudioSink::open(&rendition, (settings, layout), file.try_clone().unwrap(), start, range);
    let mut sink = opened.unwrap();
    let wanted = |channel: &Vec<f32>| channel[start as usize..end as usize].to_vec();
    let sound: Vec<Vec<f32>> = sound.iter().map(wanted).collect();
    for at in (0..sound[0].len()).step_by(1777) {
        let slice = |channel: &'_ Vec<f32>| at..channel.len().min(at + 1777);
        let planes: Vec<&[f32]> = sound.iter().map(|channel| &channel[slice(channel)]).collect();
        assert!(sink.push(Samples::Planes(&planes)).is_ok());
    }
    let decoded = Decoded { start: range.start, end: range.end, ..Decoded::default() };
    let end = AudioEnd { ends: None, decoded: &decoded, damage: &Damage::default() };
    let made = sink.finish(end).unwrap().remove(0);
    let mut file = file;
    file.rewind().unwrap();
    std::io::copy(&mut file, into).unwrap();
    made
}

/// A track that is cut there, as `merge` gets it.
fn track(settings: &AudioSettings, sound: &[Vec<f32>], cuts: &[i64]) -> (TrackSum, File) {
    let starts = std::iter::once(None).chain(cuts.iter().copied().map(Some));
    let ends = cuts.iter().copied().map(Some).chain([None]);
    let plan = TrackPlan {
        rendition: "a".into(),
        kind: TrackKind::Audio,
        first_segment: 0,
        segments: cuts.len() as i32 + 1,
        video: None,
        tags: None,
        audio: Some(settings.clone()),
        source: None,
        order: Vec::new(),
    };
    let mut sum = TrackSum::new(plan);
    let mut work = tempfile::tempfile().unwrap();
    for ((start, end), index) in starts.zip(ends).zip(0..) {
        sum.add(&encode(settings, sound, TimeRange { start, end }, &mut work), index);
    }
    (sum, work)
}

fn task(format: &str, sum: TrackSum) -> MergeTask {
    let output = OutputPlan {
        url: format!("file:///o/a.{format}"),
        format: format.into(),
        renditions: vec!["a".into()],
        keep: false,
        mark: "a mark".into(),
        overwrite: false,
        extras: None,
        remarks: Vec::new(),
        package: None,
        pictures: None,
        waveform: None,
    };
    MergeTask { output, tracks: vec![sum], round: 0, strict: false, source_bytes: 0, key: None }
}

/// What FFmpeg decodes of a file, without a word: whole numbers of 32 bits, the channels by turns.
fn decode(path: &Path) -> Vec<i32> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "warning", "-xerror", "-i"]).arg(path).args([
        "-f",
        "s32le",
        "-c:a",
        "pcm_s32le",
        "-",
    ]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It says so of sound that names no channels, which is right.
    let said: Vec<&str> = said.lines().filter(|line| !line.contains("Guessed Channel Layout")).collect();
    assert!(output.status.success() && said.is_empty(), "{}: {said:?}", path.display());
    output.stdout.chunks_exact(4).map(|bytes| i32::from_le_bytes(*bytes.first_chunk().unwrap())).collect()
}

/// Holds decoded samples to those that went in: each to the bit of a lossless codec, others by their likeness, in step to a sample.
fn holds(what: &str, decoded: &[i32], sound: &[Vec<f32>], is_lossless: bool) {
    let channels = sound.len();
    if is_lossless {
        assert_eq!(decoded.len(), COUNT * channels, "{what}");
        for (i, samples) in decoded.chunks(channels).enumerate() {
            let asked: Vec<i32> =
                sound.iter().map(|channel| ((channel[i] * 32_768.0) as i32) << 16).collect();
            assert_eq!(samples, asked, "{what}: sample {i}");
        }
        return;
    }
    let count = decoded.len() / channels;
    assert!(count.abs_diff(COUNT) <= 1536, "{what}: {count} samples");
    for (channel, asked) in sound.iter().enumerate() {
        let found: Vec<f64> = decoded.chunks(channels).map(|all| f64::from(all[channel])).collect();
        let both = || found.iter().zip(asked).map(|(x, y)| (*x, f64::from(*y)));
        let (xx, yy): (f64, f64) = both().fold((0.0, 0.0), |(xx, yy), (x, y)| (xx + x * x, yy + y * y));
        let xy: f64 = both().map(|(x, y)| x * y).sum();
        let likeness = xy / (xx * yy).sqrt();
        assert!(likeness > 0.9, "{what}: channel {channel} is alike to {likeness:.4}");
    }
}

/// Each container with each codec of sound that it holds.
fn each(check: impl Fn(&'static Container, &'static dyn Codec)) {
    let mut count = 0;
    for container in tables().containers.iter().filter(|container| container.is_one_file()) {
        for codec in container.audio.codecs {
            check(container, *codec);
            count += 1;
        }
    }
    assert!(count > 0);
}

fn settings(container: &Container, codec: &dyn Codec, channels: i32, rate: i32) -> AudioSettings {
    let sound = Sound { sample_rate: rate, channels, layout: String::new() };
    container.audio_settings_of(codec, &sound, &AudioAsk::default()).unwrap().0
}

/// A track of stereo in a codec, and how many samples it has.
pub(super) fn track_of(container: &Container, codec: &dyn Codec) -> ((TrackSum, File), i64) {
    let settings = settings(container, codec, 2, 48_000);
    let sound = tones(settings.channels, settings.sample_rate);
    (track(&settings, &sound, &[]), COUNT as i64)
}

/// Puts an output together, and decodes it.
fn made(
    container: &Container,
    settings: &AudioSettings,
    sound: &[Vec<f32>],
    cuts: &[i64],
) -> (Merged, Vec<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("a.{}", container.name));
    let output = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    let (sum, work) = track(settings, sound, cuts);
    let merged = put_together(&output, None, &task(container.name, sum), &work);
    let merged = merged.unwrap_or_else(|reason| panic!("{} in {}: {reason}", settings.codec, container.name));
    (merged, decode(&path))
}

#[test]
fn each_codec_of_sound_comes_out_of_each_container_as_it_went_in() {
    each(|container, codec| {
        for channels in [1, 2, 6] {
            let settings = settings(container, codec, channels, 48_000);
            let sound = tones(settings.channels, settings.sample_rate);
            let what = format!("{} of {} channels in {}", codec.name(), settings.channels, container.name);
            let (merged, decoded) = made(container, &settings, &sound, &[]);
            let audio = merged.audio.unwrap();
            assert_eq!((audio.codec.as_str(), audio.channels), (codec.name(), settings.channels), "{what}");
            let is_lossless = codec.audio().unwrap().bits().is_some();
            if container.priming == Priming::Signalled || is_lossless {
                assert_eq!(audio.samples, COUNT as i64, "{what}");
            }
            // Where priming is heard, the file has more in front.
            if container.priming == Priming::Signalled {
                holds(&what, &decoded, &sound, is_lossless);
            }
        }
    });
}

#[test]
fn sound_in_parts_is_the_sound_in_one_piece() {
    each(|container, codec| {
        let audio = codec.audio().unwrap();
        if codec.seams() == Seams::Whole || container.priming == Priming::Heard {
            return;
        }
        let settings = settings(container, codec, 2, 44_100);
        let sound = tones(2, settings.sample_rate);
        let cuts = [8, 9, 20].map(|frames| frames * audio.frame_size());
        let (merged, decoded) = made(container, &settings, &sound, &cuts);
        let what = format!("{} in parts in {}", codec.name(), container.name);
        assert_eq!(merged.audio.unwrap().samples, COUNT as i64, "{what}");
        holds(&what, &decoded, &sound, audio.bits().is_some());
    });
}

#[test]
fn sound_at_each_rate_that_a_codec_makes_is_proven() {
    each(|container, codec| {
        for rate in [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 96_000] {
            let settings = settings(container, codec, 2, rate);
            let sound = tones(2, settings.sample_rate);
            let (merged, _) = made(container, &settings, &sound, &[]);
            assert_eq!(merged.audio.unwrap().sample_rate, settings.sample_rate);
        }
    });
}

/// A work object, taken apart.
fn read(work: &File) -> (Header, Vec<Packet>, End) {
    let mut copy = work.try_clone().unwrap();
    copy.rewind().unwrap();
    let mut reader = Reader::new(BufReader::new(copy));
    let header = reader.next_header().unwrap().unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next_item().unwrap() {
            Item::Packet(packet) => packets.push(packet),
            Item::End(end) => return (header, packets, *end),
        }
    }
}

/// Why work objects are refused that are changed.
fn refused(
    container: &Container,
    settings: &AudioSettings,
    change: impl FnOnce(&mut Header, &mut Vec<Packet>, &mut TrailerFacts),
) -> String {
    let (sum, work) = track(settings, &tones(settings.channels, settings.sample_rate), &[]);
    let (mut header, mut packets, end) = read(&work);
    let Made { rendition, units, packets: count, first, next, reorder, .. } = end.made;
    let warnings = Vec::new();
    let mut facts = TrailerFacts { rendition, units, packets: count, first, next, reorder, warnings };
    change(&mut header, &mut packets, &mut facts);
    facts.packets = packets.len() as i64;
    let changed = tempfile::tempfile().unwrap();
    let mut writer = Writer::new(changed.try_clone().unwrap(), &header).unwrap();
    for Packet { key, pts, duration, data } in &packets {
        writer.write_packet(*key, *pts, *duration, data).unwrap();
    }
    let made = writer.finish(facts, &Decoded::default()).unwrap();
    let mut counted = TrackSum { units: 0, packets: 0, bytes: 0, digest: 0, ..sum };
    counted.add(&made, 0);
    let output = tempfile::tempfile().unwrap();
    let name = &settings.codec;
    match put_together(&output, None, &task(container.name, counted), &changed) {
        Ok(merged) => panic!("{name} in {}: {:?}", container.name, merged.audio),
        Err(reason) => reason,
    }
}

#[test]
fn a_packet_that_is_missing_short_or_of_other_sound_is_found() {
    each(|container, codec| {
        let asked = settings(container, codec, 2, 48_000);
        let audio = codec.audio().unwrap();
        let states_samples = |packets: &[Packet]| {
            audio.read_packet(&packets[0].data, 2).is_some_and(|stated| stated.samples.is_some())
        };
        // A hole.
        let reason = refused(container, &asked, |_, packets, _| drop(packets.remove(4)));
        assert!(reason.contains("does not follow"), "{reason}");
        // The codec header, or the first one that there is not.
        let reason = refused(container, &asked, |header, _, _| match header.extradata.first_mut() {
            Some(first) => *first ^= 0x55,
            None => header.extradata.push(1),
        });
        assert!(reason.contains("not of the plan"), "{reason}");
        // The length of packets.
        let reason = refused(container, &asked, |header, packets, _| {
            if states_samples(packets) {
                header.frame_size -= 1;
            } else {
                header.frame_size *= 2;
                packets.iter_mut().for_each(|packet| packet.pts *= 2);
            }
        });
        assert!(!reason.is_empty());
        if audio.bits().is_some() {
            // One sample more than there are.
            let reason = refused(container, &asked, |_, _, facts| facts.units += 1);
            assert!(reason.contains("samples instead of"), "{reason}");
            // One packet less, without a hole.
            let reason = refused(container, &asked, |header, packets, _| {
                packets.remove(4);
                packets[4..].iter_mut().for_each(|packet| packet.pts -= header.frame_size);
            });
            assert!(reason.contains("samples instead of"), "{reason}");
            // The last packet, which is short, before another.
            let reason = refused(container, &asked, |_, packets, facts| {
                let mut last = packets[packets.len() - 1].clone();
                let (before, samples) = (packets.len() - 2, facts.units - last.pts);
                last.pts = packets[before].pts + samples;
                packets[before].data.clone_from(&last.data);
                packets.pop();
                packets.push(last);
            });
            assert!(reason.contains("shorter than the others"), "{reason}");
        }
    });
}

#[test]
fn sound_of_another_rate_or_of_other_channels_than_planned_is_found() {
    each(|container, codec| {
        let audio = codec.audio().unwrap();
        if !audio.has_header() && audio.read_packet(&[0; 4080], 2).is_some() {
            // Nothing in PCM says what it is of.
            return;
        }
        let asked = settings(container, codec, 2, 48_000);
        for (channels, rate) in [(1, 48_000), (2, 44_100)] {
            let other = settings(container, codec, channels, rate);
            if other == asked {
                continue;
            }
            let (_, work) = track(&other, &tones(other.channels, other.sample_rate), &[]);
            let (header, packets, _) = read(&work);
            let reason = refused(container, &asked, |claimed, all, _| {
                claimed.extradata.clone_from(&header.extradata);
                all.iter_mut().zip(packets).for_each(|(packet, other)| packet.data = other.data);
            });
            assert!(reason.contains("not of the plan"), "{}: {reason}", codec.name());
        }
    });
}

#[test]
fn each_byte_of_a_codec_header_in_a_file_is_held() {
    each(|container, codec| {
        let settings = settings(container, codec, 2, 48_000);
        let (sum, work) = track(&settings, &tones(2, settings.sample_rate), &[]);
        let (header, packets, _) = read(&work);
        let task = task(container.name, sum);
        let mut output = tempfile::tempfile().unwrap();
        put_together(&output, None, &task, &work).unwrap();
        let mut bytes = Vec::new();
        output.rewind().unwrap();
        output.read_to_end(&mut bytes).unwrap();
        let find = |wanted: &[u8]| bytes.windows(wanted.len().max(1)).position(|there| there == wanted);
        let (encoder, form) = (&header.extradata, container.index.form());
        // As the encoder gave it, or with the number of samples; of Opus, an mp4 has the same fields in a box of their own.
        let of_whole = codec.audio().unwrap().header_of_whole(encoder, COUNT as i64).unwrap_or_default();
        let places = match find(encoder).or_else(|| find(&of_whole)) {
            // A stream of AAC has it before each packet, which is held below; of Opus it states the channels.
            _ if encoder.is_empty() || form == Form::Stream => 0..0,
            // Where it is a box, a size that is too large is that of all that is left, which is the same.
            Some(at) if encoder.starts_with(&[0, 0, 0]) => at + 4..at + encoder.len(),
            Some(at) => at..at + encoder.len(),
            None => {
                let at = find(b"dOps").unwrap() + 4;
                at..at + 11
            }
        };
        // The first bytes of packets, which state the facts of codecs without a header.
        let packet = find(&packets[1].data[..32]).unwrap();
        // Of the seven bytes in front of AAC, the last two state how full a buffer is.
        let in_front =
            if form == Form::Stream && codec.name() == "aac" { packet - 7..packet - 2 } else { 0..0 };
        for at in places.chain(in_front).chain(packet..packet + 6) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x11;
            let mut other = tempfile::tempfile().unwrap();
            other.write_all(&changed).unwrap();
            let proven = put_together(&tempfile::tempfile().unwrap(), Some(&other), &task, &work);
            let around = &bytes[at.saturating_sub(40)..at + 8];
            assert!(proven.is_err(), "{} in {}: {at}: {around:02x?}", codec.name(), container.name);
        }
    });
}
