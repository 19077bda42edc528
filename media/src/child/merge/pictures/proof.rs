//! Proves the file of a picture: it is decoded again, is as large as what went in, and looks like it.

use ffmpeg_next::frame;
use millrace_formats::picture::Coding;
use millrace_schemas::Color;

use crate::child::{
    failure::Failure,
    image,
    libav::pixels::{Samples, without_range},
    picture_file,
    prove::unproven,
};

/// The least likeness of a file with loss to what went in, in decibels of PSNR. White noise in luma and chroma, the worst case, has 36 dB
/// as JPEG and as WebP (measured); two pictures that have nothing in common have less than 12.
const LEAST: f64 = 14.0;
/// What stands for the likeness of equal pictures.
const SAME: f64 = f64::INFINITY;

/// Codes a drawn picture of this colour. Returns its file, which holds it.
///
/// # Errors
/// As [`picture_file::still`], and if what is decoded of the file is another picture. Files have at most `most` pixels a side.
pub(super) fn coded(
    coding: &Coding,
    picture: &frame::Video,
    color: Color,
    most: i32,
) -> Result<Vec<u8>, Failure> {
    let (file, taken) = picture_file::still_as_taken(coding, picture, color)?;
    check(coding, &file, &taken, most)?;
    Ok(file)
}

/// Compares what is decoded of a file with what its encoder took.
fn check(coding: &Coding, file: &[u8], taken: &frame::Video, most: i32) -> Result<(), Failure> {
    let found = image::decode_within(file, most.unsigned_abs())?;
    let (size, wanted) = ((found.width(), found.height()), (taken.width(), taken.height()));
    if size != wanted {
        return Err(unproven(format!(
            "a picture has {}x{} pixels instead of {}x{}",
            size.0, size.1, wanted.0, wanted.1
        )));
    }
    let least = if coding.is_lossless { SAME } else { LEAST };
    match likeness(&found, taken) {
        Some(likeness) if likeness < least => {
            Err(unproven(format!("a picture is another one when it is read again ({likeness:.1} dB)")))
        }
        // A decoder may give other samples than the encoder took, such as those of a palette.
        Some(_) | None => Ok(()),
    }
}

/// Returns the ratio of the peak to the noise between two pictures of 8 bits, over all of their planes, in decibels; `None` where they
/// have other samples.
fn likeness(a: &frame::Video, b: &frame::Video) -> Option<f64> {
    if without_range(a.format()) != without_range(b.format()) {
        return None;
    }
    let Samples { bytes, depth: 8, .. } = Samples::of(a.format()) else { return None };
    let (mut sum, mut count) = (0_u64, 0_u64);
    for plane in 0..a.planes().min(b.planes()) {
        let (width, height) = (a.plane_width(plane) as usize * bytes, a.plane_height(plane) as usize);
        for row in 0..height {
            let x = a.data(plane).get(row * a.stride(plane)..)?.get(..width)?;
            let y = b.data(plane).get(row * b.stride(plane)..)?.get(..width)?;
            sum += x.iter().zip(y).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum::<u64>();
        }
        count += (width * height) as u64;
    }
    // The casts round.
    Some(if sum == 0 { SAME } else { 10.0 * (255.0 * 255.0 * count as f64 / sum as f64).log10() })
}

#[cfg(test)]
mod tests {
    use ffmpeg_next::format::Pixel;
    use millrace_formats::picture::picture_format;

    use super::*;

    const STILLS: [&str; 3] = ["jpg", "png", "webp"];
    const COLOR: Color = Color { primaries: 6, transfer: 6, matrix: 6, range: 1, chroma: 1 };

    fn coding(name: &str) -> &'static Coding {
        picture_format(name, false).unwrap().still.as_ref().unwrap()
    }

    /// A picture of these samples of luma, by row and column.
    fn picture(coding: &Coding, luma: impl Fn(usize, usize) -> u8) -> frame::Video {
        let mut picture = frame::Video::new(coding.scaled_format.parse().unwrap(), 64, 48);
        for plane in 1..picture.planes() {
            picture.data_mut(plane).fill(128);
        }
        let stride = picture.stride(0);
        for (row, line) in picture.data_mut(0).chunks_mut(stride).enumerate() {
            line.iter_mut().enumerate().for_each(|(column, sample)| *sample = luma(row, column));
        }
        picture
    }

    fn ramp(_: usize, column: usize) -> u8 {
        40 + 2 * column as u8
    }

    fn noise(row: usize, column: usize) -> u8 {
        let mixed = (row * 64 + column + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_usize);
        16 + ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as u8 % 220
    }

    #[test]
    fn each_format_holds_a_ramp_and_even_noise() {
        for name in STILLS {
            let coding = coding(name);
            for luma in [ramp as fn(usize, usize) -> u8, noise] {
                let file = coded(coding, &picture(coding, luma), COLOR, 4096);
                assert!(file.is_ok(), "{name}: {}", file.err().map_or(String::new(), |error| error.0));
            }
        }
    }

    #[test]
    fn another_picture_in_a_file_is_found_and_so_is_one_of_another_size() {
        for name in STILLS {
            let coding = coding(name);
            let ramp = picture(coding, ramp);
            let checkered =
                picture(coding, |row, column| if (row / 8 + column / 8) % 2 == 0 { 20 } else { 230 });
            let (file, taken) = picture_file::still_as_taken(coding, &ramp, COLOR).unwrap();
            let (_, other) = picture_file::still_as_taken(coding, &checkered, COLOR).unwrap();
            assert!(check(coding, &file, &taken, 4096).is_ok(), "{name}");
            assert!(check(coding, &file, &other, 4096).is_err(), "{name}");
            let smaller = frame::Video::new(taken.format(), 32, 48);
            assert!(check(coding, &file, &smaller, 4096).is_err(), "{name}");
        }
    }

    #[test]
    fn what_has_no_loss_is_held_to_each_sample() {
        let png = coding("png");
        let (file, mut taken) =
            picture_file::still_as_taken(png, &picture(png, |row, _| row as u8), COLOR).unwrap();
        assert_eq!(taken.format(), Pixel::RGB24);
        taken.data_mut(0)[5] ^= 1;
        assert!(check(png, &file, &taken, 4096).is_err());
    }
}
