//! Converts decoded sound: rate, sample format, channels; and stretches it a little.

use ffmpeg_next::{
    self as ff,
    ffi::{
        AVSampleFormat, SwrContext, swr_alloc_set_opts2, swr_convert, swr_free, swr_get_delay,
        swr_get_out_samples, swr_init, swr_inject_silence, swr_set_compensation,
    },
};

use super::{frame::fields, layout::Layout};
use crate::child::failure::Failure;

const DOING: &str = "converting sound";

/// A converter of frames of one kind into planes of 32-bit floats.
pub(crate) struct Resampler {
    context: *mut SwrContext,
    input: (AVSampleFormat, u32, Layout),
    channels: usize,
    rate: u32,
    /// How many samples went in, up to [`FILLED`].
    taken: i32,
}

/// With fewer samples, libswresample's filter is never filled, and nothing comes out.
const FILLED: i32 = 64;

impl Resampler {
    /// For frames like this one, whose channels are those of `from`, into `to` at so many samples a second.
    pub(crate) fn new(
        frame: &ff::frame::Audio,
        from: Layout,
        to: Layout,
        rate: u32,
    ) -> Result<Self, Failure> {
        let format = AVSampleFormat::from(frame.format());
        let mut context = std::ptr::null_mut();
        let (mut input, mut output) = (from.raw(), to.raw());
        let signed = |rate: u32| i32::try_from(rate).unwrap_or(i32::MAX);
        // SAFETY: both layouts are whole and need no freeing; the context is made here, and freed by `drop`, or by libswresample
        // if it fails.
        let made = unsafe {
            let set = swr_alloc_set_opts2(
                &raw mut context,
                &raw mut output,
                AVSampleFormat::AV_SAMPLE_FMT_FLTP,
                signed(rate),
                &raw mut input,
                format,
                signed(frame.rate()),
                0,
                std::ptr::null_mut(),
            );
            if set < 0 { set } else { swr_init(context) }
        };
        let channels = usize::try_from(to.channels()).unwrap_or(0);
        let resampler = Self { context, input: (format, frame.rate(), from), channels, rate, taken: 0 };
        if made < 0 { Err(Failure::at(DOING)(ff::Error::from(made))) } else { Ok(resampler) }
    }

    /// Returns `true` if it was made for frames like this one.
    pub(crate) fn fits(&self, frame: &ff::frame::Audio, from: Layout) -> bool {
        self.input == (AVSampleFormat::from(frame.format()), frame.rate(), from)
    }

    /// How many samples it holds, at the rate that comes out.
    pub(crate) fn delay(&self) -> i64 {
        // SAFETY: the context is whole.
        unsafe { swr_get_delay(self.context, i64::from(self.rate)) }
    }

    /// Makes each second longer by this part of it; 0 for no longer.
    pub(crate) fn stretch(&mut self, part: f64) -> Result<(), Failure> {
        let second = i32::try_from(self.rate).unwrap_or(i32::MAX);
        let delta = (part * f64::from(second)).round() as i32;
        // SAFETY: the context is whole; if there was nothing to resample so far, libswresample begins to here.
        let result = unsafe { swr_set_compensation(self.context, delta, second) };
        if result < 0 { Err(Failure::at("stretching sound")(ff::Error::from(result))) } else { Ok(()) }
    }

    /// Converts a frame for which [`Self::fits`] is true; `None` takes what is held. Returns the samples of each channel.
    ///
    /// # Errors
    /// What libswresample says; if the frame is of another kind.
    pub(crate) fn convert(&mut self, frame: Option<&ff::frame::Audio>) -> Result<Vec<Vec<f32>>, Failure> {
        let (format, rate, layout) = self.input;
        let is_other = |frame: &ff::frame::Audio| {
            (AVSampleFormat::from(frame.format()), frame.rate()) != (format, rate)
                || fields(frame).ch_layout.nb_channels < layout.channels()
        };
        if frame.is_some_and(is_other) {
            return Err(Failure::new(format!("{DOING}: a frame is of another kind")));
        }
        let count = frame.map_or(0, |frame| i32::try_from(frame.samples()).unwrap_or(0));
        if frame.is_none() && (1..FILLED).contains(&self.taken) {
            return self.convert_few();
        }
        self.taken = self.taken.saturating_add(count).min(FILLED);
        // SAFETY: the context is whole.
        let room = unsafe { swr_get_out_samples(self.context, count) }.max(0);
        let mut planes = vec![vec![0_f32; usize::try_from(room).unwrap_or(0)]; self.channels];
        let mut pointers: Vec<*mut u8> = planes.iter_mut().map(|plane| plane.as_mut_ptr().cast()).collect();
        let input = frame.map_or(std::ptr::null_mut(), |frame| fields(frame).extended_data);
        // SAFETY: there is a plane of that room for each channel that comes out; the frame's planes hold `count` samples
        // of the format, rate and channels that the context was made for.
        let got = unsafe { swr_convert(self.context, pointers.as_mut_ptr(), room, input.cast(), count) };
        let got = usize::try_from(got).map_err(|_| Failure::at(DOING)(ff::Error::from(got)))?;
        for plane in &mut planes {
            plane.truncate(got);
        }
        Ok(planes)
    }

    /// Takes what is held of so few samples that the filter is not filled: silence behind them fills it.
    fn convert_few(&mut self) -> Result<Vec<Vec<f32>>, Failure> {
        let held = usize::try_from(self.delay()).unwrap_or(0);
        self.taken = FILLED;
        // SAFETY: the context is whole.
        let result = unsafe { swr_inject_silence(self.context, FILLED) };
        if result < 0 {
            return Err(Failure::at(DOING)(ff::Error::from(result)));
        }
        let mut planes = self.convert(None)?;
        planes.iter_mut().for_each(|plane| plane.truncate(held));
        Ok(planes)
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: the context is this one's own; libswresample frees null by doing nothing.
        unsafe { swr_free(&raw mut self.context) };
    }
}
