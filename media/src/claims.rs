//! Checks what the tables of a media file claim against the size of the file. Pure.
//!
//! libavformat allocates memory for the number of entries that a table states before it reads them. A table may state
//! samples that take no bytes in it: samples of one common size, and samples with the defaults of a movie fragment. Each of them
//! takes an index entry in memory, so a file of a few hundred bytes could ask for gigabytes. Within the limits here, the
//! memory is about proportional to the size of the file. Clauses are those of ISO/IEC 14496-12:2015.

mod iso;
mod limits;
mod riff;
mod window;

use crate::read_at::ReadAt;
pub(crate) use window::Window;

/// The largest picture that is decoded, in pixels: 8192x8192.
pub(crate) const MOST_PIXELS: i64 = 8192 * 8192;
/// The largest picture in pixels, that of 4K video (4096x2304), for which [`pixel_budget`] allows the higher number of pixels a byte.
pub(crate) const LARGE_PICTURE: i64 = 4096 * 2304;

/// Returns the number of pixels that may be decoded from a file of `size` bytes whose pictures have `area` pixels each.
///
/// A picture that equals the one before takes about thirty bytes whatever its size, and a file can name the same bytes for
/// all of its pictures: with large pictures, a few kilobytes would keep a machine busy for hours. A still picture in 4K
/// takes 70,000 pixels a byte.
#[must_use]
pub fn pixel_budget(size: u64, area: i64) -> i64 {
    const ANY_FILE: i64 = 2_000_000_000;
    let per_byte = if area > LARGE_PICTURE { 10_000 } else { 200_000 };
    i64::try_from(size).unwrap_or(i64::MAX).saturating_mul(per_byte).saturating_add(ANY_FILE)
}

/// Returns the reason why a file of `size` bytes is not decoded: it has more pictures of this width and height, in pixels, than
/// [`pixel_budget`] allows. `None` if it has not.
pub(crate) fn too_much_work(size: u64, (width, height): (i32, i32), pictures: i64) -> Option<String> {
    let area = i64::from(width).saturating_mul(i64::from(height));
    (area.saturating_mul(pictures) > pixel_budget(size, area)).then(|| {
        format!(
            "{pictures} pictures of {width}x{height} in a file of {size} bytes are more work than is done for so few bytes; \
             scale it down first, or cut it into shorter files"
        )
    })
}

/// Returns the reason why a file of `size` bytes is not opened: its tables claim more than the file can hold. `None` if they
/// do not, if the file is neither an ISO base media file nor an AVI file, and if it can't be read.
pub(crate) fn overclaimed(size: u64, file: &impl ReadAt) -> Option<String> {
    let window = Window::new(file, size);
    iso::overclaimed(&window).or_else(|| riff::overclaimed(&window))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box with this content.
    fn mp4_box(code: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], code, &content].concat()
    }

    fn numbers(all: &[u32]) -> Vec<u8> {
        all.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    /// A movie of one track with these tables.
    fn movie(handler: &[u8; 4], tables: &[(&[u8; 4], &[u32])], edits: &[u32]) -> Vec<u8> {
        let tables: Vec<u8> =
            tables.iter().flat_map(|(code, content)| mp4_box(code, &[&numbers(content)])).collect();
        let handler = mp4_box(b"hdlr", &[&[0; 8], handler, &[0; 12]]);
        let media = mp4_box(b"mdia", &[&handler, &mp4_box(b"minf", &[&mp4_box(b"stbl", &[&tables])])]);
        let edits = mp4_box(b"edts", &[&mp4_box(b"elst", &[&numbers(edits)])]);
        [mp4_box(b"ftyp", &[b"isom"]), mp4_box(b"moov", &[&mp4_box(b"trak", &[&edits, &media])])].concat()
    }

    fn claimed(file: &Vec<u8>) -> Option<String> {
        overclaimed(file.len() as u64, file)
    }

    #[test]
    fn samples_that_take_no_bytes_in_a_table_are_limited_by_the_size_of_the_file() {
        let sizes = |count| movie(b"vide", &[(b"stsz", &[0, 1, count])], &[0, 0]);
        let reason = claimed(&sizes(60_000_000)).unwrap();
        assert!(reason.contains("they claim 60000000 samples, more than its 128 bytes can hold"), "{reason}");
        assert_eq!(claimed(&sizes(90_000)), None);
        for table in [b"stsz", b"stz2"] {
            let own = movie(b"vide", &[(table, &[0, 0, 4_000_000_000])], &[0, 0]);
            assert!(claimed(&own).is_some(), "the sizes of the samples are missing");
        }
    }

    #[test]
    fn plain_sound_is_counted_in_chunks_even_if_it_is_cut_off() {
        let plain: (&[u8; 4], &[u32]) = (b"stts", &[0, 1, 48_000_000, 1]);
        let tables =
            [plain, (b"stsc", &[0, 1, 1, 4096, 1]), (b"stsz", &[0, 4, 4_000_000]), (b"stco", &[0, 1, 0])];
        assert_eq!(claimed(&movie(b"soun", &tables, &[0, 0])), None);
        let tables =
            [plain, (b"stsc", &[0, 1, 1, u32::MAX, 1]), (b"stsz", &[0, 4, 4]), (b"stco", &[0, 1, 0])];
        assert!(claimed(&movie(b"soun", &tables, &[0, 0])).is_some(), "a chunk of four billion samples");
        let tables = [plain, (b"stsz", &[0, 1, 60_000_000]), (b"stco", &[0, 1, 0])];
        assert!(claimed(&movie(b"vide", &tables, &[0, 0])).is_some(), "pictures are no plain sound");
    }

    #[test]
    fn samples_count_once_for_each_edit() {
        let tables: [(&[u8; 4], &[u32]); 1] = [(b"stsz", &[0, 1, 50_000])];
        assert_eq!(claimed(&movie(b"vide", &tables, &[0, 10])), None);
        assert!(claimed(&movie(b"vide", &tables, &[0, 5000])).is_some());
    }

    #[test]
    fn runs_of_a_fragment_are_counted_together() {
        let run = mp4_box(b"trun", &[&numbers(&[0, 90_000])]);
        let fragment = |runs| mp4_box(b"moof", &[&mp4_box(b"traf", &[&run.repeat(runs)])]);
        let file = |runs| [mp4_box(b"ftyp", &[b"isom"]), fragment(runs)].concat();
        assert_eq!(claimed(&file(1)), None);
        assert!(claimed(&file(2)).is_some());
        let hidden =
            [mp4_box(b"ftyp", &[b"isom"]), fragment(1), mp4_box(b"free", &[b"x"]), fragment(1)].concat();
        assert!(claimed(&hidden).is_some());
    }

    #[test]
    fn an_index_of_avi_that_names_itself_is_refused() {
        let list = |kind: &[u8; 4], content: &[u8]| {
            let size = u32::try_from(content.len() + 4).unwrap();
            [b"LIST", &size.to_le_bytes()[..], kind, content].concat()
        };
        // Two entries, each of which is the index again.
        let at = 12 + 12 + 12;
        let mut index =
            [b"indx", &56_u32.to_le_bytes()[..], &[4, 0, 0, 0], &2_u32.to_le_bytes(), &[0; 16]].concat();
        for _ in 0..2 {
            index.extend(u64::to_le_bytes(at));
            index.extend([0; 8]);
        }
        let headers = list(b"hdrl", &list(b"strl", &index));
        let file = [b"RIFF", &[0; 4][..], b"AVI ", &headers, &list(b"movi", &[])].concat();
        assert!(claimed(&file).is_some());
        let mut once = file.clone();
        once[at as usize + 12] = 0;
        assert_eq!(claimed(&once), None);
    }

    #[test]
    fn other_files_are_not_refused() {
        for file in [vec![], b"RIFF".to_vec(), vec![0xff; 10_000], b"\0\0\0\x08ftyp".repeat(1000)] {
            assert_eq!(claimed(&file), None);
        }
    }

    #[test]
    fn still_pictures_are_little_work_and_large_ones_without_bytes_are_too_much() {
        assert_eq!(too_much_work(180_000, (3840, 2160), 1500), None, "a minute of a still in 4K");
        assert_eq!(too_much_work(33_000_000, (1920, 1080), 720_000), None, "eight hours of a still");
        assert_eq!(too_much_work(40_000_000, (8192, 4320), 250), None);
        assert_eq!(too_much_work(66_000, (8192, 8192), 20), None);
        assert!(too_much_work(66_000, (8192, 8192), 80).is_some());
        assert!(too_much_work(u64::MAX, (i32::MAX, i32::MAX), i64::MAX).is_none(), "no overflow");
    }
}
