//! What the tables of a file claim, against the bytes that are there: libavformat makes room for what a table counts before
//! it reads it. Pure.
//!
//! A table may count samples that take no byte of the table: those of one size, or of a movie fragment's defaults. Each such
//! sample costs an entry of an index in memory, so a file of a few hundred bytes could ask for gigabytes. What is within the limits
//! here costs about what the file's own bytes do. Clauses are those of ISO/IEC 14496-12:2015.

mod iso;
mod riff;

use crate::boxes::ReadAt;

/// The largest picture that is decoded, in pixels: 8192x8192.
pub(crate) const MOST_PIXELS: i64 = 8192 * 8192;
/// Pictures of up to so many pixels, as of 4K video (4096x2304), are as many as they are.
pub(crate) const LARGE_PICTURE: i64 = 4096 * 2304;

/// How many pixels may be decoded of a file of so many bytes, whose pictures have so many each.
///
/// A picture that equals the one before takes some thirty bytes whatever its size, and a file can name the same bytes for all of
/// its pictures: of large ones a few kilobytes would keep a machine busy for hours. Standing pictures of 4K take 70,000 pixels a
/// byte.
#[must_use]
pub fn most_work(size: u64, area: i64) -> i64 {
    const ANY_FILE: i64 = 2_000_000_000;
    let each = if area > LARGE_PICTURE { 10_000 } else { 200_000 };
    i64::try_from(size).unwrap_or(i64::MAX).saturating_mul(each).saturating_add(ANY_FILE)
}

/// Says why so many pictures of a size are too much work for a file of so many bytes; `None` where they are not.
pub(crate) fn too_much_work(size: u64, (width, height): (i32, i32), pictures: i64) -> Option<String> {
    let area = i64::from(width).saturating_mul(i64::from(height));
    (area.saturating_mul(pictures) > most_work(size, area)).then(|| {
        format!(
            "{pictures} pictures of {width}x{height} in a file of {size} bytes are more work than is done for so few bytes; \
             scale it down first, or cut it into shorter files"
        )
    })
}

/// So many entries of tables any file may claim, however small: they cost a few megabytes.
const ANY_FILE: u64 = 100_000;

/// The most entries that a file of so many bytes can hold samples for: none is of less than a byte.
fn most_entries(size: u64) -> u64 {
    size.saturating_add(ANY_FILE)
}

/// Says why a file of `size` bytes is not opened: its tables claim more than it can hold. `None` where they do not, and where the
/// file is of no kind whose tables do.
pub(crate) fn overclaimed(size: u64, file: &impl ReadAt) -> Option<String> {
    let window = Window::new(file, size);
    iso::overclaimed(&window).or_else(|| riff::overclaimed(&window))
}

fn refusal(what: &str, claimed: u64, size: u64) -> String {
    format!(
        "its tables are wrong: they claim {claimed} {what}, more than its {size} bytes can hold; export it again, or repair it"
    )
}

/// A file that is read in small steps, here and there: what is near was read along.
struct Window<'a> {
    file: &'a dyn ReadAt,
    size: u64,
    block: std::cell::RefCell<(u64, Vec<u8>)>,
}

impl<'a> Window<'a> {
    const BLOCK: usize = 16 << 10;

    fn new(file: &'a dyn ReadAt, size: u64) -> Self {
        Self { file, size, block: std::cell::RefCell::default() }
    }

    /// The bytes at an offset; `None` where the file ends before, or can't be read.
    fn array<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        if at.checked_add(N as u64)? > self.size {
            return None;
        }
        let mut block = self.block.borrow_mut();
        let within = |block: &(u64, Vec<u8>)| {
            let from = usize::try_from(at.checked_sub(block.0)?).ok()?;
            block.1.get(from..)?.first_chunk::<N>().copied()
        };
        if let Some(bytes) = within(&block) {
            return Some(bytes);
        }
        let most = usize::try_from(self.size - at).unwrap_or(usize::MAX).min(Self::BLOCK);
        let mut bytes = vec![0; most];
        let mut filled = 0;
        while filled < N {
            match self.file.read_at(bytes.get_mut(filled..)?, at + filled as u64).ok()? {
                0 => return None,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        *block = (at, bytes);
        within(&block)
    }

    fn be32(&self, at: u64) -> Option<u64> {
        self.array(at).map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    }

    fn be64(&self, at: u64) -> Option<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    fn le32(&self, at: u64) -> Option<u64> {
        self.array(at).map(|bytes| u64::from(u32::from_le_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A box of mp4's.
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
    fn samples_that_take_no_bytes_of_a_table_are_held_to_the_files_size() {
        let sizes = |count| movie(b"vide", &[(b"stsz", &[0, 1, count])], &[0, 0]);
        let reason = claimed(&sizes(60_000_000)).unwrap();
        assert!(reason.contains("they claim 60000000 samples, more than its 128 bytes can hold"), "{reason}");
        assert_eq!(claimed(&sizes(90_000)), None);
        for table in [b"stsz", b"stz2"] {
            let own = movie(b"vide", &[(table, &[0, 0, 4_000_000_000])], &[0, 0]);
            assert!(claimed(&own).is_some(), "sizes of their own that are not there");
        }
    }

    #[test]
    fn plain_sound_is_counted_in_chunks_also_where_it_is_cut_off() {
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
    fn edits_that_repeat_all_samples_are_counted_as_often() {
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
    fn other_files_are_no_concern() {
        for file in [vec![], b"RIFF".to_vec(), vec![0xff; 10_000], b"\0\0\0\x08ftyp".repeat(1000)] {
            assert_eq!(claimed(&file), None);
        }
    }

    #[test]
    fn standing_pictures_are_no_work_and_large_ones_without_bytes_are() {
        assert_eq!(too_much_work(180_000, (3840, 2160), 1500), None, "a minute of 4K that stands");
        assert_eq!(too_much_work(33_000_000, (1920, 1080), 720_000), None, "eight hours that stand");
        assert_eq!(too_much_work(40_000_000, (8192, 4320), 250), None);
        assert_eq!(too_much_work(66_000, (8192, 8192), 20), None);
        assert!(too_much_work(66_000, (8192, 8192), 80).is_some());
        assert!(too_much_work(u64::MAX, (i32::MAX, i32::MAX), i64::MAX).is_none(), "no overflow");
    }
}
