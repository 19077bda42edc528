//! Draws the peaks of a sound track into a picture, and reads it again.

use std::{fs::File, io::Write as _};

use ffmpeg_next::{format::Pixel, frame};
use millrace_formats::waveform::{CODING, Columns, EXTENSION, PIXEL_BYTES, Peaks, Style};
use millrace_schemas::{AudioFacts, AudioSettings, VideoFacts, WaveformPlan};

use super::track::Track;
use crate::{
    child::{
        failure::Failure,
        image,
        libav::layout::Layout,
        output_file::{FirstError, OutputFile},
        picture_file,
        prove::unproven,
        report::Reporter,
    },
    protocol::{MergeTask, Merged},
    timeline::seconds,
};

const WRITING: &str = "writing the output";

/// The most pixels of a picture: memory is held for so many.
const MOST_PIXELS: usize = 1 << 24;

/// Writes the picture of a track, and reads it again; `None` if segments of the track are to be made again.
pub(super) fn write(
    output: &File,
    task: &MergeTask,
    tracks: &mut [Track],
    reporter: &mut Reporter,
) -> Result<Option<Merged>, Failure> {
    let [track] = tracks else { return Err(Failure::new("a waveform is of one track")) };
    let settings = track.header.audio.clone();
    let settings = settings.ok_or_else(|| Failure::new("a waveform of a track without sound"))?;
    let plan = task.output.waveform.as_ref();
    let plan = plan.ok_or_else(|| Failure::new("the plan does not say how the waveform is drawn"))?;
    let style = style(plan)?;
    let channels = usize::try_from(settings.channels).unwrap_or(0);
    let samples = u64::try_from(track.sum.units).unwrap_or(0);
    let mut columns = Columns::new(style.width, if plan.split_channels { channels } else { 1 }, samples);
    // In samples of the source, as they are.
    track.begin(track.clock, (0, track.clock))?;
    while let Some(packet) = track.next_ready()? {
        if !track.clean {
            return Ok(None);
        }
        let peaks = Peaks::read(&packet.data, channels);
        columns.add(&peaks.ok_or_else(|| Failure::new("a packet of peaks can't be read"))?);
        reporter.progress(0, 0);
    }
    if !track.clean {
        return Ok(None);
    }
    // AU-1: each sample has its column.
    if columns.taken() != samples || samples == 0 {
        return Err(unproven(format!("{} samples were drawn instead of {samples}", columns.taken())));
    }
    let pixels = columns.draw(&style);
    let file = with_mark(picture_file::coded(&CODING, &picture(&style, &pixels)?)?, &task.output.mark)?;
    check(&file, &style, &pixels)?;
    let error = FirstError::default();
    let copy = output.try_clone().map_err(Failure::at(WRITING))?;
    let mut written = OutputFile::new(copy, error.clone(), None).map_err(Failure::at(WRITING))?;
    let done = written.write_all(&file).and_then(|()| written.flush());
    done.map_err(|failed| Failure::at(WRITING)(error.take().unwrap_or(failed)))?;
    merged(track, &settings, &style).map(Some)
}

/// Reads how it is drawn.
fn style(plan: &WaveformPlan) -> Result<Style, Failure> {
    let side = |side: i32| usize::try_from(side).ok().filter(|side| *side > 0);
    let sides = side(plan.width).zip(side(plan.height));
    let sides =
        sides.filter(|(width, height)| width.checked_mul(*height).is_some_and(|all| all <= MOST_PIXELS));
    let (width, height) =
        sides.ok_or_else(|| Failure::new(format!("a waveform of {}x{} pixels", plan.width, plan.height)))?;
    // The cast keeps the four bytes that a colour has.
    let color = |color: i64| (color as u32).to_be_bytes();
    Ok(Style { width, height, color: color(plan.color), background: color(plan.background) })
}

/// Returns these pixels as libav has them.
fn picture(style: &Style, pixels: &[u8]) -> Result<frame::Video, Failure> {
    let format: Pixel = CODING.pixel_format.parse().map_err(Failure::at("drawing a waveform"))?;
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let mut picture = frame::Video::new(format, side(style.width), side(style.height));
    picture.set_pts(Some(0));
    let (stride, row) = (picture.stride(0), style.width * PIXEL_BYTES);
    for (to, from) in picture.data_mut(0).chunks_mut(stride.max(1)).zip(pixels.chunks(row.max(1))) {
        if let Some(to) = to.get_mut(..from.len()) {
            to.copy_from_slice(from);
        }
    }
    Ok(picture)
}

/// Decodes a file again: it has these pixels.
fn check(file: &[u8], style: &Style, pixels: &[u8]) -> Result<(), Failure> {
    let most = u32::try_from(style.width.max(style.height)).unwrap_or(u32::MAX);
    let found = image::decode_within(file, most)?;
    let size = (found.width() as usize, found.height() as usize);
    let (stride, row) = (found.stride(0), style.width * PIXEL_BYTES);
    let rows = found.data(0).chunks(stride.max(1)).zip(pixels.chunks(row.max(1)));
    let format: Pixel = CODING.pixel_format.parse().map_err(Failure::at("reading a waveform again"))?;
    let is_same = found.format() == format
        && size == (style.width, style.height)
        && rows.filter(|(found, drawn)| found.get(..drawn.len()) == Some(*drawn)).count() == style.height;
    if is_same { Ok(()) } else { Err(unproven("the picture has other pixels than were drawn".into())) }
}

/// The chunk that ends a file, and what lies in front of it: the mark, on a line of its own, as the comment of the picture (PNG, 11.3.3.2).
const END: &[u8; 12] = b"\0\0\0\0IEND\xaeB\x60\x82";
const TEXT: &[u8; 4] = b"tEXt";
const COMMENT: &[u8] = b"Comment\0\n";

/// Returns a file of a picture with the mark by which a later execution recognizes it.
fn with_mark(mut file: Vec<u8>, mark: &str) -> Result<Vec<u8>, Failure> {
    if !file.ends_with(END) {
        return Err(unproven("the picture does not end as a PNG does".into()));
    }
    file.truncate(file.len() - END.len());
    let text = [TEXT.as_slice(), COMMENT, mark.as_bytes(), b"\n"].concat();
    let length = u32::try_from(text.len() - TEXT.len()).map_err(|_| Failure::new("the mark is too long"))?;
    file.extend(length.to_be_bytes());
    file.extend(&text);
    file.extend(checksum(&text).to_be_bytes());
    file.extend(END);
    Ok(file)
}

/// Returns the CRC of a chunk (PNG, 5.5; ISO/IEC 3309).
fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ crc >> 1 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// Returns the facts of the picture, and of the sound that it shows.
fn merged(track: &Track, settings: &AudioSettings, style: &Style) -> Result<Merged, Failure> {
    let first = track.first.unwrap_or(0);
    let end = seconds((first.saturating_add(track.units), track.clock));
    let first = seconds((first, track.clock));
    let side = |side: usize| i32::try_from(side).unwrap_or(i32::MAX);
    let video = VideoFacts {
        codec: EXTENSION.into(),
        width: side(style.width),
        height: side(style.height),
        frames: 1,
        first_seconds: first,
        last_seconds: first,
        end_seconds: end,
        frame_rate: 0.0,
        pixel_format: CODING.pixel_format.into(),
        sample_aspect: 1.0,
        color: Some(CODING.color),
        field_order: 0,
        headers: String::new(),
    };
    let audio = AudioFacts {
        codec: settings.codec.clone(),
        sample_rate: settings.sample_rate,
        samples: track.units,
        channels: settings.channels,
        layout: Layout::of(settings)?.name(),
        first_seconds: first,
        end_seconds: end,
        language: track.sum.plan.tags.as_ref().map(|tags| tags.language.clone()).unwrap_or_default(),
        headers: String::new(),
    };
    Ok(Merged {
        duration_seconds: end - first,
        video: Some(video),
        audio: Some(audio),
        more_audio: Vec::new(),
        text: Vec::new(),
        chapters: 0,
        warnings: Vec::new(),
        more_video: Vec::new(),
        parts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { width: 3, height: 2, color: [9, 8, 7, 255], background: [1, 2, 3, 0] };

    #[test]
    fn a_checksum_is_that_of_the_standard() {
        assert_eq!(checksum(b"IEND"), 0xae42_6082);
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_file_has_the_pixels_that_were_drawn_and_a_mark_and_another_is_found() {
        let pixels = [STYLE.color, STYLE.background].concat().repeat(3);
        let file = picture_file::coded(&CODING, &picture(&STYLE, &pixels).unwrap()).unwrap();
        let marked = with_mark(file.clone(), "millrace 0a1b 2c3d").unwrap();
        assert!(String::from_utf8_lossy(&marked).lines().any(|line| line == "millrace 0a1b 2c3d"));
        assert!(check(&marked, &STYLE, &pixels).is_ok());
        let mut other = pixels.clone();
        other[23] = 1;
        assert!(check(&marked, &STYLE, &other).is_err());
        assert!(check(&marked, &Style { height: 1, ..STYLE }, &pixels[..12]).is_err());
        assert!(with_mark(file[..file.len() - 1].to_vec(), "").is_err());
    }

    #[test]
    fn a_colour_is_four_bytes_and_a_picture_has_pixels() {
        let plan = WaveformPlan { width: 3, height: 2, color: 0x0908_07ff, ..WaveformPlan::default() };
        assert_eq!(style(&plan).unwrap(), Style { background: [0; 4], ..STYLE });
        for (width, height) in [(0, 2), (3, -1), (i32::MAX, i32::MAX), (8192, 4096)] {
            assert!(style(&WaveformPlan { width, height, ..plan.clone() }).is_err(), "{width}x{height}");
        }
    }
}
