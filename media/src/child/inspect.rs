//! Headers and index of a source: what it holds, and keyframes near the asked cuts. No frame is decoded beyond what
//! libav needs to know the codecs, and of an indexed container no frame is read.

use std::fs::File;

use ffmpeg_next::{
    self as ff, Packet, codec,
    ffi::{
        AV_DISPOSITION_ATTACHED_PIC, AV_NOPTS_VALUE, AVCodecParameters, AVINDEX_KEYFRAME, AVMediaType,
        AVPixelFormat, AVRational, AVStream, av_display_rotation_get, av_get_pix_fmt_name,
        av_guess_frame_rate, av_stream_get_side_data, avcodec_find_decoder, avcodec_get_name,
        avformat_index_get_entries_count, avformat_index_get_entry,
    },
};
use millrace_schemas::{AudioSettings, Color, Ratio, Seek, SeekBy, VideoSettings};

use super::{
    Failure, Reporter,
    source::{Depth, Source},
};
use crate::protocol::{
    AudioTrackFacts, InspectTask, Inspected, KeyframeFacts, ProbedStream, VideoTrackFacts,
};

/// The largest picture that is taken.
const MAX_PIXELS: i64 = 16_384 * 16_384;

pub(crate) fn inspect(file: File, task: &InspectTask, reporter: &mut Reporter) -> Result<Inspected, Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    let container = source.container();
    let streams: Vec<ProbedStream> = source.input.streams().map(|stream| probed(&stream)).collect();
    let video = choose(&source, AVMediaType::AVMEDIA_TYPE_VIDEO);
    let audio = choose(&source, AVMediaType::AVMEDIA_TYPE_AUDIO);
    let metadata = source.input.metadata().iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let format = &source.input;
    let duration_seconds = (format.duration() as f64 / f64::from(ff::ffi::AV_TIME_BASE)).max(0.0);
    let bit_rate = format.bit_rate();
    let audio = audio.map(|index| sound(&source, index)).transpose()?;
    let video = match video {
        Some(index) => Some(pictures(&mut source, index, &container, task, reporter)?),
        None => None,
    };
    Ok(Inspected {
        container,
        duration_seconds,
        bit_rate,
        streams,
        metadata,
        video,
        audio,
        bytes_read: source.bytes_read(),
    })
}

/// The stream of a kind that a player takes: pictures that are no cover, the default one first.
fn choose(source: &Source, kind: AVMediaType) -> Option<usize> {
    source
        .input
        .streams()
        .filter(|stream| {
            // SAFETY: pointers of an open context.
            unsafe {
                let (stream, parameters) = raw(stream);
                (*parameters).codec_type == kind && (*stream).disposition & AV_DISPOSITION_ATTACHED_PIC == 0
            }
        })
        .max_by_key(|stream| {
            // SAFETY: pointers of an open context.
            unsafe {
                let (stream, parameters) = raw(stream);
                let default = (*stream).disposition & ff::ffi::AV_DISPOSITION_DEFAULT != 0;
                let size = i64::from((*parameters).width) * i64::from((*parameters).height);
                (default, size, std::cmp::Reverse((*stream).index))
            }
        })
        .map(|stream| stream.index())
}

fn raw(stream: &ff::Stream<'_>) -> (*const AVStream, *const AVCodecParameters) {
    // SAFETY: a stream of an open context has parameters for as long as the context lives.
    unsafe {
        let stream = stream.as_ptr();
        (stream, (*stream).codecpar)
    }
}

fn ratio(r: AVRational) -> Ratio {
    Ratio { num: r.num, den: r.den }
}

fn codec_name(parameters: *const AVCodecParameters) -> String {
    // SAFETY: the name is a static string of libavcodec, also for unknown ids.
    unsafe {
        std::ffi::CStr::from_ptr(avcodec_get_name((*parameters).codec_id)).to_string_lossy().into_owned()
    }
}

fn seconds(ticks: i64, tb: AVRational) -> f64 {
    if ticks == AV_NOPTS_VALUE || tb.den == 0 {
        0.0
    } else {
        ticks as f64 * f64::from(tb.num) / f64::from(tb.den)
    }
}

fn probed(stream: &ff::Stream<'_>) -> ProbedStream {
    let (s, p) = raw(stream);
    // SAFETY: pointers of an open context.
    let (s, parameters) = unsafe { (&*s, &*p) };
    let kind = match parameters.codec_type {
        AVMediaType::AVMEDIA_TYPE_VIDEO => "video",
        AVMediaType::AVMEDIA_TYPE_AUDIO => "audio",
        AVMediaType::AVMEDIA_TYPE_SUBTITLE => "subtitle",
        AVMediaType::AVMEDIA_TYPE_ATTACHMENT => "attachment",
        _ => "data",
    };
    let is_video = kind == "video";
    let is_audio = kind == "audio";
    let rate = ratio(s.avg_frame_rate).as_f64();
    ProbedStream {
        index: s.index,
        kind: kind.into(),
        codec: codec_name(p),
        width: is_video.then_some(parameters.width),
        height: is_video.then_some(parameters.height),
        frame_rate: (is_video && rate > 0.0).then_some(rate),
        pixel_format: is_video.then(|| pixel_format_name(parameters.format)).flatten(),
        sample_rate: is_audio.then_some(parameters.sample_rate),
        channels: is_audio.then_some(parameters.ch_layout.nb_channels),
        duration_seconds: seconds(s.duration, s.time_base),
        language: stream.metadata().get("language").map(str::to_owned),
    }
}

fn pixel_format_name(format: i32) -> Option<String> {
    // SAFETY: libav gives null for what is no pixel format; the transmuted value is only compared there.
    unsafe {
        let name = av_get_pix_fmt_name(std::mem::transmute::<i32, AVPixelFormat>(format.max(-1)));
        (!name.is_null()).then(|| std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned())
    }
}

fn sound(source: &Source, index: usize) -> Result<AudioTrackFacts, Failure> {
    let stream = source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
    let (s, p) = raw(&stream);
    // SAFETY: pointers of an open context.
    let (s, parameters) = unsafe { (&*s, &*p) };
    need_decoder(p)?;
    if parameters.sample_rate <= 0 || parameters.ch_layout.nb_channels <= 0 {
        return Err(Failure::new(format!("the sound ({}) has no sample rate or channels", codec_name(p))));
    }
    let duration = seconds(s.duration, s.time_base);
    Ok(AudioTrackFacts {
        stream: s.index,
        settings: AudioSettings {
            codec: String::new(),
            bit_rate: 0,
            sample_rate: parameters.sample_rate,
            channels: parameters.ch_layout.nb_channels,
        },
        samples: (duration * f64::from(parameters.sample_rate)) as i64,
    })
}

fn need_decoder(parameters: *const AVCodecParameters) -> Result<(), Failure> {
    // SAFETY: the id is read from parameters of an open context.
    let found = unsafe { !avcodec_find_decoder((*parameters).codec_id).is_null() };
    if found {
        return Ok(());
    }
    Err(Failure::new(format!("this FFmpeg has no decoder for {}", codec_name(parameters))))
}

fn pictures(
    source: &mut Source,
    index: usize,
    container: &str,
    task: &InspectTask,
    reporter: &mut Reporter,
) -> Result<VideoTrackFacts, Failure> {
    let mut facts = picture_facts(source, index)?;
    let Some(segment) = task.segment_seconds else { return Ok(facts) };
    let tb = facts.settings.time_base;
    let step = (segment / tb.as_f64()) as i64;
    source.only(facts.stream)?;
    if container.contains("mp4") || container.contains("matroska") {
        if let Some(keyframes) = indexed(source, index, &facts, step.max(1), container) {
            facts.keyframes = keyframes;
            facts.trusted = true;
        }
    } else if container == "mpegts" || container == "flv" {
        scan(source, &mut facts, reporter);
    }
    Ok(facts)
}

fn picture_facts(source: &Source, index: usize) -> Result<VideoTrackFacts, Failure> {
    let stream = source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
    let (s, p) = raw(&stream);
    need_decoder(p)?;
    // SAFETY: pointers of an open context; guessing a rate only reads them, though C has no const for it.
    let (s, parameters, rate) = unsafe {
        let guessed =
            av_guess_frame_rate(source.input.as_ptr().cast_mut(), s.cast_mut(), std::ptr::null_mut());
        (&*s, &*p, guessed)
    };
    let rotation = rotation(s);
    let turned = rotation % 180 != 0;
    let (width, height) = (parameters.width, parameters.height);
    if width < 2 || height < 2 || i64::from(width) * i64::from(height) > MAX_PIXELS {
        return Err(Failure::new(format!(
            "pictures of {width}x{height} are out of range (2x2 to 16384x16384)"
        )));
    }
    let name = pixel_format_name(parameters.format).unwrap_or_default();
    let full = name.starts_with("yuvj") || parameters.color_range as i32 == 2;
    let aspect =
        if s.sample_aspect_ratio.num > 0 { s.sample_aspect_ratio } else { parameters.sample_aspect_ratio };
    let known = |r: AVRational| r.num > 0 && r.den > 0;
    let rate = if known(rate) { rate } else { AVRational { num: 25, den: 1 } };
    let first = if s.start_time == AV_NOPTS_VALUE { 0 } else { s.start_time };
    let duration = if s.duration > 0 {
        s.duration
    } else {
        (source.input.duration().max(0) as f64 / 1e6 / ratio(s.time_base).as_f64()) as i64
    };
    Ok(VideoTrackFacts {
        stream: s.index,
        settings: VideoSettings {
            codec: String::new(),
            preset: String::new(),
            crf: 0.0,
            // 4:2:0 has a colour sample for two pixels each way: an odd last row or column is left off.
            width: if turned { height } else { width } & !1,
            height: if turned { width } else { height } & !1,
            pixel_format: name,
            time_base: ratio(s.time_base),
            frame_rate: ratio(rate),
            sample_aspect: match ratio(aspect) {
                Ratio { num, den } if num > 0 && den > 0 && turned => Ratio { num: den, den: num },
                aspect if aspect.num > 0 && aspect.den > 0 => aspect,
                _ => Ratio { num: 0, den: 1 },
            },
            color: Color {
                primaries: parameters.color_primaries as i32,
                transfer: parameters.color_trc as i32,
                matrix: parameters.color_space as i32,
                range: if full { 2 } else { parameters.color_range as i32 },
                chroma: parameters.chroma_location as i32,
            },
            rotation,
        },
        first,
        end: first.saturating_add(duration),
        keyframes: Vec::new(),
        trusted: false,
    })
}

/// Degrees that a player turns the picture, clockwise: 0, 90, 180 or 270. Other angles are left as they are.
fn rotation(stream: &AVStream) -> i32 {
    // SAFETY: the side data is of an open context's stream; a display matrix has nine integers.
    unsafe {
        let kind = ff::ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX;
        let mut size = 0;
        let matrix = av_stream_get_side_data(stream, kind, &raw mut size);
        if matrix.is_null() || size < 36 {
            return 0;
        }
        let degrees = av_display_rotation_get(matrix.cast());
        let turn = (-degrees).round().rem_euclid(360.0) as i32;
        if turn % 90 == 0 { turn } else { 0 }
    }
}

/// Of the times of an index, those that a cut near a multiple of `step` after the first may use: the last at or before
/// it, and the first after it.
fn near(times: &[i64], step: i64) -> Vec<usize> {
    let Some(first) = times.first() else { return Vec::new() };
    let mut chosen = vec![0];
    let mut target = first.saturating_add(step);
    for (i, pair) in times.windows(2).enumerate() {
        if pair[1] > target {
            chosen.extend([i, i + 1]);
            let past = (pair[1] - first) / step;
            target = first.saturating_add(step.saturating_mul(past + 1));
        } else if pair[1] == target {
            chosen.push(i + 1);
            target = target.saturating_add(step);
        }
    }
    chosen.push(times.len() - 1);
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Keyframes out of the container's index; `None` where the index does not cover the stream.
fn indexed(
    source: &mut Source,
    index: usize,
    facts: &VideoTrackFacts,
    step: i64,
    container: &str,
) -> Option<Vec<KeyframeFacts>> {
    let is_mp4 = container.contains("mp4");
    if !is_mp4 {
        // Matroska's cues are read when somebody first seeks.
        source.seek(facts.stream, Seek { by: SeekBy::Time, at: facts.first });
    }
    let mut entries = Vec::new();
    let mut last = None;
    {
        let stream = source.input.stream(index)?;
        let (s, _) = raw(&stream);
        // SAFETY: the stream is of an open context, and each entry is read before the next call.
        unsafe {
            for i in 0..avformat_index_get_entries_count(s) {
                let entry = avformat_index_get_entry(s.cast_mut(), i);
                if entry.is_null() {
                    return None;
                }
                last = Some((*entry).timestamp);
                if (*entry).flags() & AVINDEX_KEYFRAME != 0 {
                    entries.push((*entry).timestamp);
                }
            }
        }
    }
    // A fragmented mp4 is indexed as far as it was read.
    let span = facts.end - facts.first;
    let covered = last.unwrap_or(facts.first).saturating_sub(facts.first);
    let whole = if is_mp4 { covered >= span - span / 10 - step } else { entries.len() > 1 };
    if entries.is_empty() || !whole {
        return None;
    }
    if !is_mp4 {
        // The cues' times are presentation times.
        let near = near(&entries, step);
        let keyframe =
            |i: &usize| KeyframeFacts { pts: entries[*i], seek: Seek { by: SeekBy::Time, at: entries[*i] } };
        return Some(near.iter().map(keyframe).collect());
    }
    // mp4's index gives decoding times. The demuxer knows the presentation times of the packets, whose bytes are not
    // needed for that.
    source.make_hollow();
    let mut keyframes = Vec::new();
    for i in near(&entries, step) {
        let seek = Seek { by: SeekBy::Time, at: entries[i] };
        let mut packet = Packet::empty();
        if source.seek(facts.stream, seek) && packet.read(&mut source.input).is_ok() {
            keyframes.extend(packet.pts().map(|pts| KeyframeFacts { pts, seek }));
        }
    }
    keyframes.sort_unstable_by_key(|keyframe| keyframe.pts);
    Some(keyframes)
}

/// Reads the packets of a source that has no index: keyframes with their byte offsets, the exact span, and whether
/// every picture has a time of its own.
fn scan(source: &mut Source, facts: &mut VideoTrackFacts, reporter: &mut Reporter) {
    let mut times = Vec::new();
    let mut trusted = true;
    loop {
        let mut packet = Packet::empty();
        match packet.read(&mut source.input) {
            Ok(()) => {}
            Err(ff::Error::Eof) => break,
            Err(_) => {
                trusted = false;
                break;
            }
        }
        reporter.progress(0, 0);
        if i32::try_from(packet.stream()).ok() != Some(facts.stream) {
            continue;
        }
        let (Some(pts), Ok(at)) = (packet.pts(), i64::try_from(packet.position())) else {
            trusted = false;
            continue;
        };
        if packet.is_key() && at >= 0 {
            facts.keyframes.push(KeyframeFacts { pts, seek: Seek { by: SeekBy::Byte, at } });
        }
        times.push((pts, packet.duration().max(0)));
    }
    times.sort_unstable();
    trusted &= times.windows(2).all(|pair| pair[0].0 < pair[1].0);
    trusted &=
        facts.keyframes.windows(2).all(|pair| pair[0].pts < pair[1].pts && pair[0].seek.at < pair[1].seek.at);
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        facts.first = first.0;
        facts.end = last.0 + last.1.max(1);
    }
    facts.trusted = trusted && !facts.keyframes.is_empty();
}

/// The codec's parameters of a stream, for a decoder.
pub(crate) fn parameters(source: &Source, stream: i32) -> Result<codec::Parameters, Failure> {
    usize::try_from(stream)
        .ok()
        .and_then(|index| source.input.stream(index).map(|stream| stream.parameters()))
        .ok_or_else(|| Failure::new(format!("the source has no stream {stream}")))
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn keyframes_on_both_sides_of_each_cut_are_kept() {
        assert_eq!(near(&[0, 10, 20, 30, 40, 50, 60], 25), [0, 2, 3, 5, 6]);
        assert_eq!(near(&[0, 10, 20], 100), [0, 2]);
        assert_eq!(near(&[0], 5), [0]);
        assert_eq!(near(&[], 5), [0; 0]);
        assert_eq!(near(&[0, 1000, 1001], 5), [0, 1, 2]);
    }
}
