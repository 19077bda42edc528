//! The video track of a source, and what its pictures are.

use ffmpeg_next::{
    self as ff,
    ffi::{AV_NOPTS_VALUE, AVPacketSideDataType, AVRational},
};
use millrace_schemas::{Color, Picture, Ratio, VideoTrack};

use super::{
    keyframes,
    streams::{HOLDS_NONE, need_decoder},
    survey::Survey,
};
use crate::{
    child::{
        failure::Failure,
        libav::{
            codec::pixel_format_name,
            stream::{field_order, fields, guess_frame_rate, ratio, side_data},
        },
        light,
        orientation::Orientation,
        report::Reporter,
        source::{Source, oversized},
    },
    claims::MOST_PIXELS,
    protocol::{InspectTask, Inspected},
};

/// The track of these streams; `None` where it has no packets, which is said in the warnings.
pub(super) fn find(
    source: &mut Source,
    task: &InspectTask,
    (streams, survey): (&[i32], Option<Survey>),
    found: &mut Inspected,
    reporter: &mut Reporter,
) -> Result<Option<VideoTrack>, Failure> {
    let main = streams.first().copied().unwrap_or(-1);
    let mut facts = facts(source, usize::try_from(main).unwrap_or(usize::MAX))?;
    facts.more_streams = streams.get(1..).unwrap_or_default().to_vec();
    if let Some(seconds) = task.segment_seconds {
        if !keyframes::find(source, seconds, survey, &mut facts, found, reporter)? {
            found.facts.warnings.push(format!("video track {main} {HOLDS_NONE}"));
            return Ok(None);
        }
        apply_shape(&mut facts);
        let (width, height) = (facts.picture.width, facts.picture.height);
        if facts.shape.is_none() && (width < 2 || height < 2) {
            return Err(Failure::new(
                "no picture can be decoded: the video begins before its first header, and none follows",
            ));
        }
        if width < 2 || height < 2 {
            return Err(Failure::new(format!("pictures of {width}x{height} are too small: at least 2x2")));
        }
        if i64::from(width) * i64::from(height) > MOST_PIXELS {
            return Err(Failure::new(oversized(width, height)));
        }
    }
    Ok(Some(facts))
}

/// Takes size, pixel format, aspect and colour from the first decoded picture: a container may not know them, or tell others.
pub(crate) fn apply_shape(facts: &mut VideoTrack) {
    let Some(shape) = &facts.shape else { return };
    let picture = &mut facts.picture;
    let is_transposed = picture.rotation % 180 != 0;
    let (width, height) =
        if is_transposed { (shape.height, shape.width) } else { (shape.width, shape.height) };
    (picture.width, picture.height) = (width & !1, height & !1);
    picture.pixel_format.clone_from(&shape.pixel_format);
    if picture.sample_aspect.num <= 0 && shape.sample_aspect.num > 0 {
        let Ratio { num, den } = shape.sample_aspect;
        picture.sample_aspect = if is_transposed { Ratio { num: den, den: num } } else { Ratio { num, den } };
    }
    let color = &mut picture.color;
    let fill = |told: &mut i32, own: i32, unknown: i32| {
        if *told == unknown {
            *told = own;
        }
    };
    fill(&mut color.primaries, shape.color.primaries, 2);
    fill(&mut color.transfer, shape.color.transfer, 2);
    fill(&mut color.matrix, shape.color.matrix, 2);
    fill(&mut color.range, shape.color.range, 0);
    fill(&mut color.chroma, shape.color.chroma, 0);
}

pub(super) fn facts(source: &Source, index: usize) -> Result<VideoTrack, Failure> {
    let stream = source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
    let (s, parameters) = fields(&stream);
    need_decoder(parameters)?;
    no_enhancement_needed(&stream)?;
    let rate = guess_frame_rate(&source.input, &stream);
    let matrix = side_data(&stream, AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX);
    let orientation = matrix.map_or(Orientation::UPRIGHT, Orientation::of_matrix);
    let Orientation { rotation, mirrored } = orientation;
    let is_transposed = orientation.is_transposed();
    let (width, height) = (parameters.width, parameters.height);
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
    let of = |kind| side_data(&stream, kind);
    let light = light::read(
        of(AVPacketSideDataType::AV_PKT_DATA_MASTERING_DISPLAY_METADATA),
        of(AVPacketSideDataType::AV_PKT_DATA_CONTENT_LIGHT_LEVEL),
    );
    let picture = Picture {
        light,
        // 4:2:0 has a colour sample for two pixels each way: an odd last row or column is left off.
        width: if is_transposed { height } else { width } & !1,
        height: if is_transposed { width } else { height } & !1,
        pixel_format: name,
        time_base: ratio(s.time_base),
        frame_rate: ratio(rate),
        sample_aspect: match ratio(aspect) {
            Ratio { num, den } if num > 0 && den > 0 && is_transposed => Ratio { num: den, den: num },
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
        mirrored,
        field_order: field_order(parameters),
    };
    Ok(VideoTrack::new(s.index, picture, (first, first.saturating_add(duration))))
}

/// Dolby Vision whose base layer is no picture by itself can't be taken: nothing here applies its enhancement.
///
/// The record is `DOVIDecoderConfigurationRecord` ("Dolby Vision Streams within the ISO Base Media File Format", 3.2);
/// libavutil keeps it as eight bytes, of which the third is the profile and the last what the base layer is compatible
/// with, 0 being nothing.
fn no_enhancement_needed(stream: &ff::Stream<'_>) -> Result<(), Failure> {
    let Some(record) = side_data(stream, AVPacketSideDataType::AV_PKT_DATA_DOVI_CONF) else { return Ok(()) };
    let (profile, fallback) = (record.get(2).copied().unwrap_or(0), record.get(7).copied().unwrap_or(0));
    if profile == 5 || (fallback == 0 && !matches!(profile, 4 | 7)) {
        return Err(Failure::new(format!(
            "Dolby Vision of profile {profile} has no fallback layer that others can show; export it with one \
             (profile 8.1 or 8.4), or as HDR10"
        )));
    }
    Ok(())
}
