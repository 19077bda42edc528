//! A whole sound track, decoded once and encoded for each rendition as one continuous stream.

use std::fs::File;

use ffmpeg_next::{
    self as ff, ChannelLayout, Packet, codec,
    ffi::{AVChannelOrder, swr_convert_frame},
    format::{Sample, sample::Type},
    software::resampling,
};
use millrace_schemas::{AudioSettings, Made};

use super::{
    Failure, Reporter,
    encoder::AudioEncoder,
    inspect::parameters,
    source::{Depth, Source},
};
use crate::{
    protocol::TranscodeTask,
    timeline::{Clock, place},
};

/// A hole, or samples that overlap, shorter than this are the container's rounding.
const TOLERANCE_SECONDS: f64 = 0.05;
/// The longest hole that is filled with silence.
const LONGEST_HOLE_SECONDS: i64 = 24 * 3600;

pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Decoding)?;
    source.only(task.stream)?;
    let clock = clock(&source, task.stream)?;
    let mut tracks = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        let settings =
            rendition.audio.clone().ok_or_else(|| Failure::new("a rendition without audio settings"))?;
        tracks.push(Track { settings, rendition, output: Some(output), encoder: None, resampler: None });
    }
    let mut decoder = codec::Context::from_parameters(parameters(&source, task.stream)?)
        .map_err(Failure::at("opening the audio decoder"))?
        .decoder();
    decoder.set_packet_time_base(ff::Rational::new(clock.num as i32, clock.den as i32));
    let mut decoder = super::open_decoder(decoder, "opening the audio decoder")?;
    let mut frame = ff::frame::Audio::empty();
    let mut packet = Packet::empty();
    loop {
        let ended = loop {
            match packet.read(&mut source.input) {
                Ok(()) if i32::try_from(packet.stream()).ok() == Some(task.stream) => break false,
                Ok(()) => {}
                Err(_) => break true,
            }
        };
        let done = tracks.first().and_then(|track| track.encoder.as_ref()).map_or(0, AudioEncoder::end);
        reporter.progress(0, done);
        if ended {
            // A decoder that was ended before takes no second end.
            let _ = decoder.send_eof();
        } else if decoder.send_packet(&packet).is_err() {
            continue;
        }
        while decoder.receive_frame(&mut frame).is_ok() {
            name_channels(&mut frame);
            for track in &mut tracks {
                track.take(&frame, clock)?;
            }
        }
        if ended {
            break;
        }
    }
    let made = tracks.into_iter().map(Track::finish).collect::<Result<_, _>>()?;
    reporter.made(0, made);
    Ok(())
}

/// Gives channels that have no names the usual ones: what comes without a layout (wav, raw) is as a player takes it.
fn name_channels(frame: &mut ff::frame::Audio) {
    // SAFETY: a plain field of a frame that was just decoded.
    let unnamed = unsafe { (*frame.as_ptr()).ch_layout.order == AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC };
    if unnamed {
        frame.set_channel_layout(ChannelLayout::default(i32::from(frame.channels())));
    }
}

fn clock(source: &Source, stream: i32) -> Result<Clock, Failure> {
    let index = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let stream = index.ok_or_else(|| Failure::new("the sound track is gone"))?;
    let tb = stream.time_base();
    Ok(Clock { num: i64::from(tb.numerator()), den: i64::from(tb.denominator().max(1)) })
}

struct Track<'a> {
    settings: AudioSettings,
    rendition: &'a millrace_schemas::Rendition,
    output: Option<File>,
    encoder: Option<AudioEncoder>,
    resampler: Option<resampling::Context>,
}

impl Track<'_> {
    fn rate(&self) -> i64 {
        i64::from(self.settings.sample_rate.max(1))
    }

    /// Takes decoded samples to where their time says.
    fn take(&mut self, frame: &ff::frame::Audio, clock: Clock) -> Result<(), Failure> {
        let samples = Clock { num: 1, den: self.rate() };
        let at = frame.timestamp().map(|pts| place(pts, clock, (0, samples), samples));
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let output = self.output.take().ok_or_else(|| Failure::new("an output was used twice"))?;
                none.insert(AudioEncoder::open(self.rendition, &self.settings, output, at.unwrap_or(0))?)
            }
        };
        let tolerance = (TOLERANCE_SECONDS * samples.den as f64) as i64;
        let held =
            self.resampler.as_ref().and_then(resampling::Context::delay).map_or(0, |delay| delay.output);
        let hole = at.map_or(0, |at| at - (encoder.end() + held));
        let mut skip = 0;
        if hole > tolerance {
            if hole > LONGEST_HOLE_SECONDS * samples.den {
                return Err(Failure::new(
                    "the sound has a hole of more than a day: its timestamps are damaged",
                ));
            }
            encoder.silence(usize::try_from(hole).unwrap_or(0))?;
        } else if hole < -tolerance {
            skip = usize::try_from(-hole).unwrap_or(0);
        }
        self.convert(Some(frame), skip)
    }

    /// Resamples, leaving out the first so many samples; `None` takes what the resampler holds.
    fn convert(&mut self, frame: Option<&ff::frame::Audio>, skip: usize) -> Result<(), Failure> {
        let layout = ChannelLayout::default(self.settings.channels);
        let format = Sample::F32(Type::Planar);
        if let Some(frame) = frame {
            let from = frame.channel_layout();
            let fits = self.resampler.as_ref().is_some_and(|r| {
                (r.input().format, r.input().rate) == (frame.format(), frame.rate())
                    && r.input().channel_layout == from
            });
            if !fits {
                if self.resampler.is_some() {
                    self.convert(None, 0)?;
                }
                let rate = self.settings.sample_rate.unsigned_abs();
                let made = resampling::Context::get(frame.format(), from, frame.rate(), format, layout, rate);
                self.resampler = Some(made.map_err(Failure::at("converting sound"))?);
            }
        }
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        let mut out = ff::frame::Audio::empty();
        out.set_format(format);
        out.set_channel_layout(layout);
        out.set_rate(self.settings.sample_rate.unsigned_abs());
        // SAFETY: the resampler is set up for frames like the input; the output has no buffer, so that one of the
        // right size is made.
        let result = unsafe {
            let input = frame.map_or(std::ptr::null(), |frame| frame.as_ptr());
            swr_convert_frame(resampler.as_mut_ptr(), out.as_mut_ptr(), input)
        };
        if result < 0 {
            return Err(Failure::at("converting sound")(ff::Error::from(result)));
        }
        let count = out.samples();
        if count <= skip {
            return Ok(());
        }
        let channels: Vec<&[f32]> = (0..out.planes()).map(|i| &out.plane::<f32>(i)[skip..count]).collect();
        match &mut self.encoder {
            Some(encoder) => encoder.push(&channels),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<Made, Failure> {
        self.convert(None, 0)?;
        self.encoder.ok_or_else(|| Failure::new("no sound of the track could be decoded"))?.finish()
    }
}
