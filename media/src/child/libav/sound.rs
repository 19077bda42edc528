//! Frames of sound, made of samples.

use ffmpeg_next::{
    Error,
    ffi::{AVSampleFormat, av_frame_get_buffer},
    frame::Audio,
};

use super::layout::Layout;
use crate::child::failure::Failure;

/// Returns a frame of planes of 32-bit floats, one a channel, all of the same length.
///
/// # Errors
/// If there are fewer planes than channels, or no memory for it.
pub(crate) fn frame(layout: Layout, rate: i32, planes: &[&[f32]]) -> Result<Audio, Failure> {
    const DOING: &str = "making a frame of sound";
    let samples = planes.first().map_or(0, |plane| plane.len());
    let channels = usize::try_from(layout.channels()).unwrap_or(0);
    if planes.len() != channels || planes.iter().any(|plane| plane.len() != samples) {
        return Err(Failure::new(format!("{DOING}: its planes are not {channels} of the same length")));
    }
    let mut frame = Audio::empty();
    // SAFETY: the frame was just allocated and has no buffer; libavutil gives it one with a plane of so many samples for each
    // channel of its layout, and there are as many planes, each as long.
    let made = unsafe {
        let raw = &mut *frame.as_mut_ptr();
        raw.format = AVSampleFormat::AV_SAMPLE_FMT_FLTP as i32;
        raw.nb_samples = i32::try_from(samples).unwrap_or(i32::MAX);
        raw.sample_rate = rate;
        raw.ch_layout = layout.raw();
        let made = av_frame_get_buffer(raw, 0);
        for (i, plane) in planes.iter().enumerate().filter(|_| made >= 0) {
            let into = (*raw.extended_data.add(i)).cast::<f32>();
            std::ptr::copy_nonoverlapping(plane.as_ptr(), into, samples);
        }
        made
    };
    if made < 0 { Err(Failure::at(DOING)(Error::from(made))) } else { Ok(frame) }
}
