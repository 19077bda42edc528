use std::io;

use super::{
    model::{Edit, Samples},
    *,
};

/// A file in memory that returns at most 50 bytes at a time.
struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or(&[]);
        let read = rest.len().min(buffer.len()).min(50);
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }
}

fn read(file: &[u8]) -> Option<Movie> {
    movie(file.len() as u64, &Bytes(file), 1000)
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn boxed(code: &str, content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(8 + content.len()).unwrap();
    [&size.to_be_bytes(), code.as_bytes(), content].concat()
}

/// The boxes of a track, by their content.
struct Sketch(Vec<(&'static str, Vec<u8>)>);

impl Sketch {
    /// A track of 4 pictures of 512 ticks at 12,800 per second, in the decoding order 0 2 1 3.
    fn new() -> Self {
        Self(vec![
            ("tkhd", words(&[3, 0, 0, 7, 0, 160])),
            ("mdhd", words(&[0, 0, 0, 12_800, 2048, 0])),
            ("hdlr", [&words(&[0, 0])[..], b"vide"].concat()),
            ("stsd", [&words(&[0, 1])[..], &boxed("avc1", &[0; 78])].concat()),
            ("stts", words(&[0, 1, 4, 512])),
            ("ctts", words(&[0, 4, 1, 512, 1, 1024, 1, 0, 1, 512])),
            ("stsz", words(&[0, 0, 4, 90, 30, 20, 30])),
            ("stss", words(&[0, 1, 1])),
        ])
    }

    /// Replaces or adds a box.
    fn with(mut self, code: &'static str, content: Vec<u8>) -> Self {
        self.0.retain(|(old, _)| *old != code);
        self.0.push((code, content));
        self
    }

    fn without(mut self, code: &str) -> Self {
        self.0.retain(|(old, _)| *old != code);
        self
    }

    fn boxes(&self, codes: &[&str]) -> Vec<u8> {
        let chosen = self.0.iter().filter(|(code, _)| codes.contains(code));
        chosen.flat_map(|(code, content)| boxed(code, content)).collect()
    }

    fn track(&self) -> Vec<u8> {
        let tables = self.boxes(&["stsd", "stts", "ctts", "stsz", "stz2", "stss"]);
        let tables = boxed("minf", &boxed("stbl", &tables));
        let media = boxed("mdia", &[self.boxes(&["mdhd", "hdlr"]), tables].concat());
        let edits = boxed("edts", &self.boxes(&["elst"]));
        boxed("trak", &[self.boxes(&["tkhd"]), edits, media].concat())
    }

    fn file(&self) -> Vec<u8> {
        file(&[self.track()])
    }

    fn read(&self) -> Track {
        read(&self.file()).unwrap().tracks.remove(0)
    }

    fn presentation(&self) -> Option<Presentation> {
        let movie = read(&self.file()).unwrap();
        movie.tracks[0].presentation(&movie)
    }
}

/// A movie box with 1,000 ticks per second.
fn movie_box(tracks: &[Vec<u8>]) -> Vec<u8> {
    boxed(
        "moov",
        &[boxed("mvhd", &words(&[0, 0, 0, 1000, 160])), boxed("udta", &[1; 5]), tracks.concat()].concat(),
    )
}

fn file(tracks: &[Vec<u8>]) -> Vec<u8> {
    [boxed("ftyp", b"isom"), movie_box(tracks), boxed("mdat", &[9; 170])].concat()
}

/// The rate 1 in an edit.
const RATE_1: u32 = 1 << 16;

#[test]
fn samples_of_one_tick_and_one_size_of_sound_are_counted_and_not_listed() {
    let of = |handler: &[u8; 4], size: u32, delta: u32| {
        let handler = [words(&[0, 0]), handler.to_vec(), vec![0; 12]].concat();
        let sketch = Sketch::new().with("hdlr", handler).with("stts", words(&[0, 1, 4, delta]));
        let sizes = if size > 0 { words(&[0, size, 4]) } else { words(&[0, 0, 4, 1, 2, 3, 4]) };
        let track = read(&sketch.with("stsz", sizes).without("ctts").file()).unwrap().tracks.remove(0);
        (track.samples.is_each_tick, track.samples.times.len())
    };
    assert_eq!(of(b"soun", 4, 1), (true, 0));
    assert_eq!(of(b"soun", 0, 1), (false, 4), "of several sizes");
    assert_eq!(of(b"soun", 4, 1024), (false, 4), "of more than a tick");
    assert_eq!(of(b"vide", 4, 1), (false, 4), "pictures");
}

#[test]
fn a_track_holds_each_field_of_its_boxes() {
    let movie = read(&Sketch::new().with("elst", words(&[0, 1, 160, 512, RATE_1])).file()).unwrap();
    assert_eq!((movie.timescale, movie.duration), (1000, 160));
    let samples = Samples {
        count: 4,
        times: vec![(512, 512), (1536, 512), (1024, 512), (2048, 512)],
        ctts_version: 0,
        is_each_tick: false,
        stts_count: 4,
        total: 2048,
        has_sync_table: true,
        keyframes: 1,
    };
    let track = Track {
        id: 7,
        enabled: true,
        tkhd_duration: 160,
        handler: *b"vide",
        timescale: 12_800,
        media_duration: 2048,
        edits: vec![Edit { duration: 160, media_time: 512, rate: (1, 0) }],
        entries: vec![*b"avc1"],
        entry: Vec::new(),
        protection: None,
        sample_rate: None,
        samples,
    };
    assert_eq!(movie.tracks, [track]);
}

#[test]
fn headers_of_version_1_hold_the_same_fields_in_64_bits() {
    let narrow = Sketch::new().with("elst", words(&[0, 2, 40, u32::MAX, RATE_1, 160, 512, RATE_1]));
    let wide = Sketch::new()
        .with("tkhd", words(&[1 << 24 | 3, 0, 0, 0, 0, 7, 0, 0, 160]))
        .with("mdhd", words(&[1 << 24, 0, 0, 0, 0, 12_800, 0, 2048]))
        .with("elst", words(&[1 << 24, 2, 0, 40, u32::MAX, u32::MAX, RATE_1, 0, 160, 0, 512, RATE_1]));
    assert_eq!(narrow.read(), wide.read());
    let far = Sketch::new().with("mdhd", words(&[1 << 24, 0, 0, 0, 0, 12_800, 3, 5])).read();
    assert_eq!(far.media_duration, (3 << 32) + 5);
    assert!(read(&Sketch::new().with("mdhd", words(&[2 << 24, 0, 0, 12_800, 2048])).file()).is_none());
}

#[test]
fn a_duration_of_ones_is_unknown_in_both_versions() {
    let narrow = Sketch::new().with("mdhd", words(&[0, 0, 0, 12_800, u32::MAX]));
    let wide = Sketch::new().with("mdhd", words(&[1 << 24, 0, 0, 0, 0, 12_800, u32::MAX, u32::MAX]));
    assert_eq!((narrow.read().media_duration, wide.read().media_duration), (u64::MAX, u64::MAX));
    assert_eq!(narrow.presentation(), None);
}

#[test]
fn the_movie_box_is_found_behind_boxes_of_any_size_form() {
    let movie = movie_box(&[Sketch::new().track()]);
    let expected = read(&movie);
    assert!(expected.is_some());
    let long = [&words(&[1])[..], b"mdat", &words(&[0, 16 + 9]), &[7; 9]].concat();
    assert_eq!(read(&[&boxed("ftyp", b"isom")[..], &long, &boxed("free", b""), &movie].concat()), expected);
    let mut to_the_end = movie.clone();
    to_the_end[..4].fill(0);
    assert_eq!(read(&to_the_end), expected);
    let wide = [&words(&[1])[..], b"moov", &words(&[0, movie.len() as u32 + 8]), &movie[8..]].concat();
    assert_eq!(read(&wide), expected);
    let overlong_frames = [&movie[..], &words(&[5000]), b"mdat", &[7; 9]].concat();
    assert_eq!(read(&overlong_frames), expected);
}

#[test]
fn other_files_have_no_movie() {
    let files: [&[u8]; 6] =
        [b"", b"RIFF", &[0; 64], &[0x47; 376], &boxed("mdat", &[0; 99]), &boxed("moov", b"")];
    for file in files {
        assert!(read(file).is_none(), "{file:?}");
    }
    let endless = boxed("free", b"").repeat(70_000);
    assert!(read(&[endless, movie_box(&[])].concat()).is_none());
    assert!(read(&boxed("moov", &boxed("mvhd", &words(&[0, 0, 0, 0, 160])))).is_none());
}

#[test]
fn a_movie_box_that_is_cut_off_is_none() {
    let whole = movie_box(&[Sketch::new().track()]);
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_none(), "{length}");
        assert!(movie(whole.len() as u64, &Bytes(&whole[..length]), 1000).is_none(), "{length}");
    }
    let claimed = [&words(&[1])[..], b"moov", &words(&[0, 1 << 31])].concat();
    assert!(movie(u64::MAX, &Bytes(&claimed), 1000).is_none());
}

#[test]
fn an_error_of_the_file_is_none() {
    struct Broken;
    impl ReadAt for Broken {
        fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    assert!(movie(1000, &Broken, 1000).is_none());
}

#[test]
fn offsets_are_signed_in_both_versions() {
    let offsets = |version| words(&[version << 24, 2, 2, -512_i32 as u32, 1, 512]);
    for version in [0, 1] {
        let samples = Sketch::new().with("ctts", offsets(version)).read().samples;
        assert_eq!(samples.times, [(-512, 512), (0, 512), (1536, 512), (1536, 512)]);
        assert_eq!(u32::from(samples.ctts_version), version);
    }
}

#[test]
fn runs_expand_to_no_more_than_the_samples() {
    let long = Sketch::new().with("stts", words(&[0, 2, u32::MAX, 2, u32::MAX, u32::MAX])).without("ctts");
    let samples = long.read().samples;
    assert_eq!(samples.times, [(0, 2), (2, 2), (4, 2), (6, 2)]);
    assert_eq!(samples.stts_count, 2 * u64::from(u32::MAX));
    assert_eq!(samples.total, u64::from(u32::MAX) * (2 + u64::from(u32::MAX)));
    let short = Sketch::new().with("stts", words(&[0, 3, 1, 9, 0, 9, 1, 9])).without("ctts");
    assert_eq!(short.read().samples.times, [(0, 9), (9, 9)]);
    let runs = [u32::MAX; 4];
    let overflow = Sketch::new().with("stts", [words(&[0, 2]), words(&runs)].concat());
    assert!(read(&overflow.file()).is_none());
}

#[test]
fn claimed_samples_beyond_the_limit_have_no_times() {
    let claim = |count| {
        Sketch::new()
            .with("stsz", words(&[0, 1, count]))
            .with("stts", words(&[0, 1, count, 40]))
            .without("stss")
    };
    let samples = claim(60_000_000).read().samples;
    assert_eq!((samples.count, samples.total, samples.times.capacity()), (60_000_000, 2_400_000_000, 0));
    assert_eq!((samples.has_sync_table, samples.keyframes), (false, 60_000_000));
    let tracks = [600, 500, 400].map(|count| claim(count).track());
    let lengths = read(&file(&tracks)).unwrap().tracks.into_iter().map(|track| track.samples.times.len());
    assert_eq!(lengths.collect::<Vec<_>>(), [600, 0, 400]);
}

#[test]
fn a_table_with_fewer_bytes_than_it_claims_is_none() {
    for code in ["stsd", "stts", "ctts", "stss", "elst"] {
        assert!(read(&Sketch::new().with(code, words(&[0, u32::MAX, 1, 1])).file()).is_none(), "{code}");
    }
    assert!(read(&Sketch::new().with("stsz", words(&[0, 0, 5, 1, 1, 1, 1])).file()).is_none());
}

#[test]
fn tracks_edits_and_sample_entries_have_a_limit() {
    let edits = |count| [words(&[0, count]), vec![0; 12 * count as usize]].concat();
    let track = |count| Sketch::new().with("elst", edits(count)).track();
    assert!(read(&file(&[track(65_530), track(4)])).is_some());
    assert!(read(&file(&[track(65_530), track(5)])).is_none());
    let described = |count| [words(&[0, count]), boxed("avc1", &[0; 8]).repeat(count as usize)].concat();
    assert!(read(&Sketch::new().with("stsd", described(65_536)).file()).is_some());
    assert!(read(&Sketch::new().with("stsd", described(65_537)).file()).is_none());
    assert!(read(&file(&vec![track(0); 1024])).is_some());
    assert!(read(&file(&vec![track(0); 1025])).is_none());
}

#[test]
fn compact_sizes_count_samples_too() {
    let compact =
        |bits, count| Sketch::new().without("stsz").with("stz2", words(&[0, bits, count, 0x1111_0000]));
    assert_eq!(compact(4, 8).read().samples.count, 8);
    assert_eq!(compact(16, 2).read().samples.count, 2);
    for (bits, count) in [(4, 9), (16, 3), (0, 1), (32, 1)] {
        assert!(read(&compact(bits, count).file()).is_none(), "{bits} {count}");
    }
    assert!(read(&Sketch::new().with("stz2", words(&[0, 8, 0])).file()).is_none());
}

#[test]
fn two_boxes_where_one_is_allowed_are_none() {
    let mut doubled = Sketch::new();
    doubled.0.push(("stts", words(&[0, 0])));
    assert!(read(&doubled.file()).is_none());
}

#[test]
fn a_fragmented_movie_has_no_samples() {
    let track = ["stts", "ctts", "stsz", "stss", "hdlr"].into_iter().fold(Sketch::new(), Sketch::without);
    assert_eq!(track.read().samples, Samples::default());
    assert_eq!(track.read().handler, [0; 4]);
}

#[test]
fn a_presentation_is_one_edit_after_at_most_one_empty_edit() {
    let list = |edits: &[[u32; 3]]| {
        Sketch::new().with("elst", words(&[&[0, edits.len() as u32][..], &edits.concat()].concat()))
    };
    let [normal, empty] = [[160, 512, RATE_1], [40, u32::MAX, RATE_1]];
    let expected = Presentation { start: 0, media_time: 512, length: 160, length_timescale: 1000 };
    assert_eq!(list(&[normal]).presentation(), Some(expected));
    assert_eq!(list(&[empty, normal]).presentation(), Some(Presentation { start: 40, ..expected }));
    let others: [&[[u32; 3]]; 7] = [
        &[empty],
        &[normal, normal],
        &[normal, empty],
        &[empty, empty, normal],
        &[[160, 512, 0]],
        &[[160, 512, 2 * RATE_1]],
        &[[160, -2_i32 as u32, RATE_1]],
    ];
    for other in others {
        assert_eq!(list(other).presentation(), None, "{other:?}");
    }
}

#[test]
fn a_presentation_without_a_stated_length_has_that_of_the_media() {
    let media = Presentation { start: 0, media_time: 0, length: 2048, length_timescale: 12_800 };
    assert_eq!(Sketch::new().presentation(), Some(media));
    assert_eq!(Sketch::new().with("elst", words(&[0, 0])).presentation(), Some(media));
    let open = Sketch::new().with("elst", words(&[0, 1, 0, 512, RATE_1]));
    assert_eq!(open.presentation(), Some(Presentation { media_time: 512, length: 1536, ..media }));
    let behind_the_media = Sketch::new().with("elst", words(&[0, 1, 0, 2049, RATE_1]));
    assert_eq!(behind_the_media.presentation(), None);
}

#[test]
fn protection_is_the_scheme_or_the_entry_type() {
    let scheme = boxed("schm", &[&[0; 4], &b"cbcs"[..], &[0; 4]].concat());
    let information = boxed("sinf", &[boxed("frma", b"avc1"), scheme].concat());
    let of = |version: u32, handler: &[u8], code, fields: &[u8], boxes: &[u8]| {
        let entry = boxed(code, &[fields, boxes].concat());
        let sketch = Sketch::new().with("stsd", [&words(&[version << 24, 1])[..], &entry].concat());
        sketch.with("hdlr", [&words(&[0, 0])[..], handler].concat()).read().protection
    };
    let audio = |version, length: usize| [&[0; 9][..], &[version], &vec![0; length - 10]].concat();
    let cases = [
        (of(0, b"vide", "encv", &[0; 78], &information), Some(b"cbcs")),
        (of(0, b"soun", "enca", &audio(0, 28), &information), Some(b"cbcs")),
        (of(0, b"soun", "enca", &audio(1, 44), &information), Some(b"cbcs")),
        (of(0, b"soun", "drms", &audio(2, 64), &information), Some(b"cbcs")),
        (of(1, b"soun", "enca", &audio(1, 28), &information), Some(b"cbcs")),
        (of(0, b"vide", "avc1", &[0; 78], &information), Some(b"cbcs")),
        (of(0, b"vide", "avc1", &[0; 78], &boxed("sinf", b"")), Some(b"sinf")),
        (of(0, b"vide", "drmi", &[0; 78], &boxed("sinf", &boxed("schm", &[0; 7]))), Some(b"drmi")),
        (of(0, b"text", "enct", &[0; 8], &[1; 99]), Some(b"enct")),
        (of(0, b"vide", "rle ", &[0; 78], &[0xee; 99]), None),
        (of(0, b"vide", "avc1", &[0; 8], b""), None),
    ];
    for (number, (found, expected)) in cases.into_iter().enumerate() {
        assert_eq!(found, expected.copied(), "case {number}");
    }
}

#[test]
fn a_sample_rate_is_that_of_the_first_entry_of_a_sound_track() {
    let of = |handler: &[u8], entry: &[u8]| {
        let sketch = Sketch::new().with("stsd", [&words(&[0, 1])[..], &boxed("mp4a", entry)].concat());
        sketch.with("hdlr", [&words(&[0, 0])[..], handler].concat()).read().sample_rate
    };
    let entry = [&[9; 24][..], &[0xbb, 0x80, 0, 0]].concat();
    assert_eq!(of(b"soun", &entry), Some(48_000));
    assert_eq!(of(b"vide", &entry), None);
    assert_eq!(of(b"soun", &entry[..25]), None);
}

#[test]
fn no_byte_makes_the_reader_panic_or_grow() {
    let narrow = Sketch::new().with("elst", words(&[0, 2, 40, u32::MAX, RATE_1, 160, 512, RATE_1])).track();
    let mut bytes = file(&[narrow]);
    for at in 0..bytes.len() {
        let original = bytes[at];
        for value in [0, 1, original ^ 1, original.wrapping_add(8), 0x7f, 0x80, 0xff] {
            bytes[at] = value;
            let Some(movie) = read(&bytes) else { continue };
            let samples: usize = movie.tracks.iter().map(|track| track.samples.times.capacity()).sum();
            assert!(samples <= 1000, "byte {at} of value {value}");
            for track in &movie.tracks {
                let _ = track.presentation(&movie);
            }
        }
        bytes[at] = original;
    }
}

#[test]
fn the_boxes_of_the_first_sample_entry_of_pictures_are_listed_up_to_what_is_malformed() {
    let entry = |handler: &[u8; 4], boxes: &[u8]| {
        let entry = boxed("avc1", &[&[0; 78], boxes].concat());
        let described = [&words(&[0, 2])[..], &entry, &boxed("avc1", &[0; 90])].concat();
        let sketch = Sketch::new().with("hdlr", [&words(&[0, 0])[..], handler].concat());
        sketch.with("stsd", described).read().entry
    };
    let boxes = [boxed("avcC", &[1, 100]), boxed("pasp", &[0; 8])].concat();
    let listed = vec![(*b"avcC", vec![1, 100]), (*b"pasp", vec![0; 8])];
    assert_eq!(entry(b"vide", &boxes), listed);
    assert_eq!(entry(b"vide", &[&boxes[..], &[0, 0, 0, 1, 9, 9, 9, 9]].concat()), listed);
    assert_eq!(entry(b"soun", &boxes), []);
}
