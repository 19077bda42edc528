//! Files of pictures: what decoded pictures become for one, one coded picture, and several of one palette.
//!
//! A caller that decodes for something else, too, uses the same parts: [`Drawing`] for each picture, then [`still`] or [`animation`].

use std::{
    io::{self, Cursor, Seek, SeekFrom, Write},
    sync::{Arc, Mutex, PoisonError},
};

use ffmpeg_next::{
    self as ff, Packet, codec,
    format::{Pixel, context::StreamIo},
    frame,
};
use millrace_formats::picture::{Animation, Coding, Palette, PictureFormat, Within};
use millrace_schemas::{Color, VideoSettings, VideoTrack};

use super::{
    alive,
    codec::dictionary,
    failure::Failure,
    graph::PictureGraph,
    libav::{
        filters::FilterGraph,
        scaler::{Form, Scaler},
    },
};

/// The greatest size of a file, in bytes.
const LONGEST_FILE: u64 = 256 << 20;

/// What makes decoded pictures of a source what a file of pictures holds: upright, scaled, of the standard range.
pub(crate) struct Drawing {
    settings: VideoSettings,
    graph: PictureGraph,
    size: (i32, i32),
}

impl Drawing {
    /// Builds one for the pictures of a track, whose first one was decoded.
    pub(crate) fn new(
        format: &PictureFormat,
        coding: &Coding,
        track: &VideoTrack,
        within: Within,
        cores: usize,
    ) -> Self {
        let size = format.size(&track.picture, within);
        let settings = format.video_settings(coding, &track.picture, size);
        let graph = PictureGraph::build([&settings], track.shape.as_ref(), cores).quick();
        Self { settings, graph, size }
    }

    /// Returns the width and height of what comes out, in pixels.
    pub(crate) fn size(&self) -> (i32, i32) {
        self.size
    }

    /// Returns the colour of what comes out.
    pub(crate) fn color(&self) -> Color {
        self.settings.color
    }

    /// Draws a decoded picture. What comes out has planes of 8 bits, luma first.
    ///
    /// # Errors
    /// If it can't be converted.
    pub(crate) fn draw(&mut self, picture: frame::Video) -> Result<frame::Video, Failure> {
        let mut drawn = None;
        self.graph.push(picture, |_, picture| {
            drawn = Some(picture);
            Ok(())
        })?;
        drawn.ok_or_else(|| Failure::new("drawing a picture: nothing came of it"))
    }
}

/// Converts drawn pictures to a pixel format and a colour.
struct Converter {
    to: Pixel,
    scaler: Scaler,
}

impl Converter {
    fn new(size: (i32, i32), from: (&str, Color), to: (&str, Color)) -> Result<Self, Failure> {
        let doing = "converting pictures";
        let size = (size.0.unsigned_abs(), size.1.unsigned_abs());
        let form = |(name, color): (&str, Color)| -> Result<Form, Failure> {
            let format = name.parse().map_err(Failure::at(doing))?;
            Ok(Form { format, size, color })
        };
        let (from, to) = (form(from)?, form(to)?);
        Ok(Self { to: to.format, scaler: Scaler::new(from, to, false)? })
    }

    fn convert(&mut self, picture: &frame::Video) -> Result<frame::Video, Failure> {
        let mut converted = frame::Video::new(self.to, picture.width(), picture.height());
        self.scaler.scale(picture, &mut converted)?;
        Ok(converted)
    }
}

/// Codes one drawn picture of this colour. Returns the bytes of its file.
///
/// # Errors
/// If this FFmpeg has no encoder for it, or the encoder fails.
pub(crate) fn still(coding: &Coding, picture: &frame::Video, color: Color) -> Result<Vec<u8>, Failure> {
    still_as_taken(coding, picture, color).map(|(file, _)| file)
}

/// Codes one drawn picture of this colour. Returns the bytes of its file, and the picture as its encoder took it.
///
/// # Errors
/// As [`still`].
pub(crate) fn still_as_taken(
    coding: &Coding,
    picture: &frame::Video,
    color: Color,
) -> Result<(Vec<u8>, frame::Video), Failure> {
    let size = (picture.width().cast_signed(), picture.height().cast_signed());
    let mut converter =
        Converter::new(size, (coding.scaled_format, color), (coding.pixel_format, coding.color))?;
    let mut converted = converter.convert(picture)?;
    converted.set_pts(Some(0));
    Ok((coded(coding, &converted)?, converted))
}

/// Codes one picture of the pixel format that the encoder takes. Returns the bytes of its file.
///
/// # Errors
/// As [`still`].
pub(crate) fn coded(coding: &Coding, picture: &frame::Video) -> Result<Vec<u8>, Failure> {
    let size = (picture.width().cast_signed(), picture.height().cast_signed());
    let mut encoder = open_encoder(coding, size, (1, 25))?;
    let mut file = None;
    let mut take = |packet: &Packet| {
        file = packet.data().map(<[u8]>::to_vec);
        Ok(())
    };
    send(&mut encoder, Some(picture), &mut take)?;
    send(&mut encoder, None, &mut take)?;
    file.ok_or_else(|| Failure::new("coding a picture: nothing came of it"))
}

/// A drawn picture of an animation.
pub(crate) struct Frame {
    /// The picture.
    pub(crate) picture: frame::Video,
    /// When it is shown, in seconds from the start of the animation.
    pub(crate) at: f64,
}

/// Codes drawn pictures of this colour, which are shown `plays` times over, 0 for without end; the last one up to `seconds`. Returns the
/// bytes of the file.
///
/// # Errors
/// If this FFmpeg has no encoder, filter or muxer for it, or one of them fails.
pub(crate) fn animation(
    format: &Animation,
    pictures: Vec<Frame>,
    color: Color,
    (plays, seconds): (u32, f64),
) -> Result<Vec<u8>, Failure> {
    let doing = "writing an animation";
    let coding = &format.coding;
    let first = pictures.first().ok_or_else(|| Failure::new("an animation without pictures"))?;
    let size = (first.picture.width().cast_signed(), first.picture.height().cast_signed());
    let ticks = |seconds: f64| (seconds / format.clock.as_f64()).round() as i64;
    let times: Vec<i64> = pictures.iter().map(|shown| ticks(shown.at)).collect();
    let last = ticks(seconds).saturating_sub(times.last().copied().unwrap_or(0)).max(1);
    let coded = match &format.palette {
        Some(palette) => palettized(palette, coding, pictures, color, size)?,
        None => {
            let to = (coding.pixel_format, coding.color);
            let mut converter = Converter::new(size, (coding.scaled_format, color), to)?;
            pictures.iter().map(|shown| converter.convert(&shown.picture)).collect::<Result<_, _>>()?
        }
    };
    let clock = (format.clock.num, format.clock.den);
    let mut encoder = open_encoder(coding, size, clock)?;
    let memory = Memory::default();
    let io = StreamIo::from_write_seek_with_capacity(memory.clone(), 64 << 10).map_err(Failure::at(doing))?;
    let mut output =
        ff::format::output_to_stream(io, None, Some(format.muxer)).map_err(Failure::at(doing))?;
    let mut stream = output.add_stream(encoder.codec()).map_err(Failure::at(doing))?;
    stream.set_parameters(&encoder);
    stream.set_time_base(clock);
    output.write_header_with(dictionary(&(format.options)(plays, last))).map_err(Failure::at(doing))?;
    let of_file = output.stream(0).map_or(ff::Rational::new(clock.0, clock.1), |stream| stream.time_base());
    let mut write = |packet: &Packet| {
        let mut packet = packet.clone();
        packet.set_stream(0);
        packet.rescale_ts(ff::Rational::new(clock.0, clock.1), of_file);
        packet.write_interleaved(&mut output).map_err(Failure::at(doing))
    };
    for (mut picture, time) in coded.into_iter().zip(times) {
        picture.set_pts(Some(time));
        send(&mut encoder, Some(&picture), &mut write)?;
    }
    send(&mut encoder, None, &mut write)?;
    output.write_trailer().map_err(Failure::at(doing))?;
    drop(output);
    Ok(memory.take())
}

/// Makes one palette of all pictures, and these pictures of it.
fn palettized(
    palette: &Palette,
    coding: &Coding,
    pictures: Vec<Frame>,
    color: Color,
    size: (i32, i32),
) -> Result<Vec<frame::Video>, Failure> {
    let doing = "making a palette";
    let to = (palette.pixel_format, coding.color);
    let mut converter = Converter::new(size, (coding.scaled_format, color), to)?;
    let form = (converter.to, size.0.unsigned_abs(), size.1.unsigned_abs());
    let mut graph = FilterGraph::build(form, palette.graph, (1, palette.needs), 1, doing)?;
    let count = pictures.len();
    for (number, shown) in (0..).zip(pictures) {
        let mut picture = converter.convert(&shown.picture)?;
        picture.set_pts(Some(number));
        graph.push(picture, doing)?;
        alive::sign();
    }
    graph.flush(doing)?;
    let mut made = Vec::with_capacity(count);
    while let Some(picture) = graph.pull(0, doing)? {
        made.push(picture);
        alive::sign();
    }
    if made.len() == count {
        Ok(made)
    } else {
        Err(Failure::new(format!("{doing}: {count} pictures became {}", made.len())))
    }
}

fn open_encoder(coding: &Coding, size: (i32, i32), clock: (i32, i32)) -> Result<ff::encoder::Video, Failure> {
    let doing = "coding a picture";
    let found = coding.encoders.iter().find_map(|name| ff::encoder::find_by_name(name));
    let found = found.ok_or_else(|| {
        Failure::new(format!("{doing}: this FFmpeg has no encoder '{}'", coding.encoders.join("' or '")))
    })?;
    let mut context = codec::Context::new_with_codec(found);
    context.set_threading(codec::threading::Config::count(1));
    let mut context = context.encoder().video().map_err(Failure::at(doing))?;
    context.set_width(size.0.unsigned_abs());
    context.set_height(size.1.unsigned_abs());
    context.set_format(coding.pixel_format.parse().map_err(Failure::at(doing))?);
    context.set_time_base(ff::Rational::new(clock.0, clock.1));
    let options: Vec<_> = coding.options.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    context.open_with(dictionary(&options)).map_err(Failure::at(doing))
}

/// Sends a picture to an encoder, or its end; `take` gets the packets.
fn send(
    encoder: &mut ff::encoder::Video,
    picture: Option<&frame::Video>,
    take: &mut dyn FnMut(&Packet) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let doing = "coding a picture";
    match picture {
        Some(picture) => encoder.send_frame(picture),
        None => encoder.send_eof(),
    }
    .map_err(Failure::at(doing))?;
    let mut packet = Packet::empty();
    while encoder.receive_packet(&mut packet).is_ok() {
        alive::sign();
        take(&packet)?;
    }
    Ok(())
}

/// A file in memory, of at most [`LONGEST_FILE`] bytes.
#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Cursor<Vec<u8>>>>);

impl Memory {
    fn take(&self) -> Vec<u8> {
        std::mem::take(self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.position().saturating_add(bytes.len() as u64) > LONGEST_FILE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Memory {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seek(to)
    }
}

#[cfg(test)]
mod tests;
