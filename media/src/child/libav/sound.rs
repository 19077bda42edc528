//! Frames of sound, made of samples.

use ffmpeg_next::{
    Error,
    ffi::{AVFrame, AVSampleFormat, av_frame_get_buffer},
    format::{Sample, sample::Type},
    frame::Audio,
};

use super::layout::Layout;
use crate::child::failure::Failure;

/// What the samples of a frame are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Samples {
    /// How they lie in memory.
    pub(crate) format: Sample,
    /// Of whole numbers: how many bits count, the highest ones; they are rounded to that many.
    pub(crate) bits: u32,
}

/// Returns a frame of these planes of 32-bit floats, one a channel, all of the same length. Floats of which whole numbers of up to 24
/// bits were made become those numbers again.
///
/// # Errors
/// If there are fewer planes than channels, no memory for it, or no encoder takes such samples.
pub(crate) fn frame(
    layout: Layout,
    rate: i32,
    samples: Samples,
    planes: &[&[f32]],
) -> Result<Audio, Failure> {
    const DOING: &str = "making a frame of sound";
    let count = planes.first().map_or(0, |plane| plane.len());
    let channels = usize::try_from(layout.channels()).unwrap_or(0);
    if planes.len() != channels || planes.iter().any(|plane| plane.len() != count) {
        return Err(Failure::new(format!("{DOING}: its planes are not {channels} of the same length")));
    }
    let mut frame = Audio::empty();
    // SAFETY: the frame was just allocated and has no buffer; libavutil gives it one with room for so many samples of the format for
    // each channel of its layout, and there are as many planes, each as long.
    let made = unsafe {
        let raw = &mut *frame.as_mut_ptr();
        raw.format = AVSampleFormat::from(samples.format) as i32;
        raw.nb_samples = i32::try_from(count).unwrap_or(i32::MAX);
        raw.sample_rate = rate;
        raw.ch_layout = layout.raw();
        let made = av_frame_get_buffer(raw, 0);
        if made >= 0 {
            let bits = samples.bits;
            match samples.format {
                Sample::F32(order) => fill(raw, order, planes, |sample| sample),
                Sample::I16(order) => {
                    fill(raw, order, planes, |sample| {
                        (whole(sample, bits.min(16)) << (16 - bits.min(16))) as i16
                    });
                }
                Sample::I32(order) => {
                    fill(raw, order, planes, |sample| whole(sample, bits.min(32)) << (32 - bits.min(32)));
                }
                other => return Err(Failure::new(format!("{DOING}: its samples can't be {other:?}"))),
            }
        }
        made
    };
    if made < 0 { Err(Failure::at(DOING)(Error::from(made))) } else { Ok(frame) }
}

/// Fills the buffer of a frame.
///
/// # Safety
/// The frame has a buffer of samples of the type `T` in this order, for as many channels as there are planes, each as long.
unsafe fn fill<T>(raw: &AVFrame, order: Type, planes: &[&[f32]], make: impl Fn(f32) -> T) {
    for (channel, plane) in planes.iter().enumerate() {
        // SAFETY: there is a pointer to each plane, or one to all samples, those of the channels by turns.
        let (into, step) = unsafe {
            match order {
                Type::Planar => ((*raw.extended_data.add(channel)).cast::<T>(), 1),
                Type::Packed => ((*raw.extended_data).cast::<T>().add(channel), planes.len()),
            }
        };
        for (i, sample) in plane.iter().enumerate() {
            // SAFETY: as above.
            unsafe { into.add(i * step).write(make(*sample)) };
        }
    }
}

/// Returns a float of -1 to 1 as a whole number of so many bits, 1 to 32.
fn whole(sample: f32, bits: u32) -> i32 {
    let scale = f64::from(bits.saturating_sub(1)).exp2();
    (f64::from(sample) * scale).round_ties_even().clamp(-scale, scale - 1.0) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_of_16_and_24_bits_come_back_from_floats() {
        for number in i16::MIN..=i16::MAX {
            assert_eq!(whole(f32::from(number) / 32_768.0, 16), i32::from(number));
            assert_eq!(whole(f32::from(number) / 32_768.0, 24), i32::from(number) << 8);
        }
        for number in (-(1 << 23)..1 << 23).step_by(101).chain([(1 << 23) - 1]) {
            assert_eq!(whole(number as f32 / 8_388_608.0, 24), number);
        }
    }

    #[test]
    fn what_is_too_loud_is_clipped() {
        assert_eq!((whole(1.5, 16), whole(1.0, 16), whole(-2.0, 16)), (32_767, 32_767, -32_768));
        assert_eq!((whole(1.0, 32), whole(-1.0, 32)), (i32::MAX, i32::MIN));
    }

    #[test]
    fn samples_lie_as_their_format_has_them() {
        let (left, right) = ([0.5, -0.5], [0.25, -0.25]);
        let made = |format, bits| {
            frame(Layout::default(2), 48_000, Samples { format, bits }, &[&left[..], &right]).unwrap()
        };
        let packed = made(Sample::I16(Type::Packed), 16);
        assert_eq!(packed.data(0)[..8], [0x00, 0x40, 0x00, 0x20, 0x00, 0xc0, 0x00, 0xe0]);
        let planar = made(Sample::I32(Type::Planar), 24);
        assert_eq!(planar.plane::<i32>(1), [1 << 29, -(1 << 29)]);
        assert_eq!(made(Sample::F32(Type::Planar), 0).plane::<f32>(0), left);
        assert!(
            frame(
                Layout::default(2),
                48_000,
                Samples { format: Sample::U8(Type::Packed), bits: 8 },
                &[&left, &right]
            )
            .is_err()
        );
    }
}
