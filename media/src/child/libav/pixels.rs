//! How samples of a pixel format lie in memory.

use ffmpeg_next::{
    ffi::{AVPixelFormat, av_pix_fmt_desc_get},
    format::Pixel,
};

/// The samples of a format of planes, each of one kind of sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Samples {
    /// Bytes of a sample.
    pub(crate) bytes: usize,
    /// Bits of a sample.
    pub(crate) depth: u32,
    /// How often width and height are halved for the planes of chroma.
    pub(crate) halved: (u32, u32),
}

impl Samples {
    /// Returns those of a pixel format; bytes, one for each pixel, for one that libavutil does not describe.
    pub(crate) fn of(format: Pixel) -> Self {
        // SAFETY: a descriptor is a static of libavutil, or null.
        let descriptor = unsafe { av_pix_fmt_desc_get(AVPixelFormat::from(format)).as_ref() };
        let luma = descriptor.map_or((1, 8), |known| (known.comp[0].step, known.comp[0].depth));
        Self {
            bytes: usize::try_from(luma.0).unwrap_or(1).max(1),
            depth: u32::try_from(luma.1).unwrap_or(8),
            halved: descriptor
                .map_or((0, 0), |known| (known.log2_chroma_w.into(), known.log2_chroma_h.into())),
        }
    }
}

/// Returns the format of pictures that are of `format` once width and height are swapped: 4:4:0 for 4:2:2. It is the same one where
/// chroma is halved both ways, or not at all.
pub(crate) fn transposed(format: Pixel) -> Pixel {
    let Samples { halved: (across, down), .. } = Samples::of(format);
    let name = format.descriptor().map_or("", |descriptor| descriptor.name());
    let swapped = match (across, down) {
        (1, 0) => name.replacen("422", "440", 1),
        (0, 1) => name.replacen("440", "422", 1),
        _ => return format,
    };
    swapped.parse().unwrap_or(format)
}

/// Returns the format of the same samples without a statement of their range: `yuvj420p` is `yuv420p` of full range.
pub(crate) fn without_range(format: Pixel) -> Pixel {
    match format {
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ440P => Pixel::YUV440P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_samples_of_a_size_and_chroma_that_is_halved() {
        let of = |format| {
            let Samples { bytes, depth, halved } = Samples::of(format);
            (bytes, depth, halved)
        };
        assert_eq!(of(Pixel::YUV420P), (1, 8, (1, 1)));
        assert_eq!(of(Pixel::YUV422P10LE), (2, 10, (1, 0)));
        assert_eq!(of(Pixel::YUV444P), (1, 8, (0, 0)));
        assert_eq!(of(Pixel::None), (1, 8, (0, 0)));
    }

    #[test]
    fn a_format_that_is_transposed_has_chroma_halved_the_other_way() {
        assert_eq!(transposed(Pixel::YUV422P10LE), Pixel::YUV440P10LE);
        assert_eq!(transposed(Pixel::YUV422P), Pixel::YUV440P);
        assert_eq!(transposed(transposed(Pixel::YUV422P)), Pixel::YUV422P);
        assert_eq!(transposed(Pixel::YUV420P10LE), Pixel::YUV420P10LE);
        assert_eq!(transposed(Pixel::YUV444P), Pixel::YUV444P);
    }
}
