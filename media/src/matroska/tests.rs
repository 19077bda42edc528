use super::*;

/// An element whose size is coded in 4 bytes.
fn element(id: u32, data: &[u8]) -> Vec<u8> {
    let id: Vec<u8> = id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    [id, (data.len() as u32 | 0x1000_0000).to_be_bytes().to_vec(), data.to_vec()].concat()
}

fn simple(track: u8, time: i16, flags: u8) -> Vec<u8> {
    let [high, low] = time.to_be_bytes();
    element(id::SIMPLE_BLOCK, &[0x80 | track, high, low, flags, 9, 9])
}

fn file(parts: &[Vec<u8>]) -> Vec<u8> {
    [element(id::EBML, &[0; 20]), element(id::SEGMENT, &parts.concat())].concat()
}

fn tracks() -> Vec<u8> {
    let pictures = [
        element(id::TRACK_NUMBER, &[1]),
        element(id::DEFAULT_DURATION, &[2, 0x62, 0x5a, 0]),
        element(id::LANGUAGE, b"ger\0\0"),
        element(
            id::VIDEO,
            &[element(id::PIXEL_WIDTH, &[1, 0x40]), element(id::PIXEL_HEIGHT, &[180])].concat(),
        ),
        element(id::NAME, "Gro\u{df}".as_bytes()),
    ];
    let sound = [
        element(id::TRACK_NUMBER, &[2]),
        element(id::FLAG_DEFAULT, &[0]),
        element(
            id::AUDIO,
            &[element(id::SAMPLING_FREQUENCY, &48_000_f64.to_be_bytes()), element(id::CHANNELS, &[2])]
                .concat(),
        ),
        element(id::CODEC_DELAY, &[0x63, 0x2e, 0xa0]),
    ];
    let entries = [element(id::TRACK_ENTRY, &pictures.concat()), element(id::TRACK_ENTRY, &sound.concat())];
    element(id::TRACKS, &entries.concat())
}

fn read(bytes: &Vec<u8>) -> Option<Segment> {
    segment(bytes.len() as u64, bytes, 10, 100)
}

#[test]
fn tracks_state_their_names_and_what_they_do_not_state_is_usual() {
    let found = read(&file(&[tracks()])).unwrap();
    let [pictures, sound] = found.tracks.as_slice() else { panic!("two tracks") };
    assert_eq!((pictures.name.as_str(), pictures.language.as_str()), ("Gro\u{df}", "ger"));
    assert_eq!((pictures.is_default, pictures.default_duration), (true, Some(40_000_000)));
    assert_eq!((sound.language.as_str(), sound.is_default, sound.codec_delay), ("eng", false, 6_500_000));
    assert_eq!((found.scale, found.duration), (1_000_000, None));
    assert_eq!((pictures.size, sound.sampling), ((320, 180), (48_000.0, 2)));
}

#[test]
fn the_length_is_a_float_of_4_or_8_bytes() {
    let info = |length: &[u8]| {
        file(&[element(
            id::INFO,
            &[element(id::TIMESTAMP_SCALE, &[1, 0x86, 0xa0]), element(id::DURATION, length)].concat(),
        )])
    };
    let found = read(&info(&4023.5_f64.to_be_bytes())).unwrap();
    assert_eq!((found.scale, found.duration), (100_000, Some(4023.5)));
    assert_eq!(read(&info(&0.5_f32.to_be_bytes())).unwrap().duration, Some(0.5));
    assert!(read(&info(&[0; 3])).is_none());
}

#[test]
fn the_time_of_a_block_is_counted_from_that_of_its_cluster() {
    let group = [
        element(id::BLOCK, &[0x82, 0xff, 0xff, 0, 7]),
        element(id::BLOCK_DURATION, &[3, 0xe8]),
        element(id::DISCARD_PADDING, &[0xff, 0xfe]),
    ];
    let later = [
        element(id::BLOCK, &[0x81, 0, 9, 0, 7]),
        element(id::REFERENCE_BLOCK, &[0xf6]),
        element(id::DISCARD_PADDING, &[0x01, 0x31, 0x2d, 0x00]),
    ];
    let cluster = element(
        id::CLUSTER,
        &[
            element(id::TIMESTAMP, &[3, 0xe8]),
            simple(1, 40, 0x80),
            element(id::BLOCK_GROUP, &group.concat()),
            element(id::BLOCK_GROUP, &later.concat()),
        ]
        .concat(),
    );
    let head = tracks();
    let at = head.len() as u64;
    let found = read(&file(&[head, cluster])).unwrap();
    let block = |time, is_keyframe, duration, discard, relative| Block {
        time,
        is_keyframe,
        duration,
        discard,
        place: (at, relative),
    };
    assert_eq!(
        found.tracks[0].blocks,
        [block(1040, true, None, 0, 7), block(1009, false, None, 20_000_000, 48)]
    );
    assert_eq!(found.tracks[1].blocks, [block(999, true, Some(1000), -2, 18)]);
}

#[test]
fn cues_and_seeks_name_places() {
    let cue = [
        element(id::CUE_TRACK, &[1]),
        element(id::CUE_CLUSTER_POSITION, &[99]),
        element(id::CUE_RELATIVE_POSITION, &[7]),
    ];
    let point = [element(id::CUE_TIME, &[40]), element(id::CUE_TRACK_POSITIONS, &cue.concat())];
    let cues = element(id::CUES, &element(id::CUE_POINT, &point.concat()));
    let seek = |part: u32, position: u8| {
        let entry = [element(id::SEEK_ID, &part.to_be_bytes()), element(id::SEEK_POSITION, &[position])];
        element(id::SEEK_HEAD, &element(id::SEEK, &entry.concat()))
    };
    let behind = seek(id::CUES, 0).len() as u8;
    let found = read(&file(&[seek(id::CUES, behind), cues.clone()])).unwrap();
    assert_eq!(found.cues, [Cue { time: 40, track: 1, place: (99, 7) }]);
    assert!(found.names_cues && found.wrong_seeks == 0);
    let found = read(&file(&[seek(id::CUES, behind + 1), cues.clone()])).unwrap();
    assert_eq!(found.wrong_seeks, 1, "in the middle of it");
    let found = read(&file(&[seek(id::INFO, behind), cues])).unwrap();
    assert!(!found.names_cues && found.wrong_seeks == 1, "another part");
}

#[test]
fn attached_files_are_read_up_to_a_size() {
    let attached = |length| element(id::ATTACHED_FILE, &element(id::FILE_DATA, &vec![5; length]));
    let all = |lengths: [usize; 2]| file(&[element(id::ATTACHMENTS, &lengths.map(attached).concat())]);
    assert_eq!(read(&all([3, 97])).unwrap().attachments, [vec![5; 3], vec![5; 97]]);
    assert!(read(&all([4, 97])).is_none());
}

#[test]
fn what_is_not_whole_or_holds_more_is_not_read() {
    let cluster = |blocks: &[Vec<u8>]| {
        element(id::CLUSTER, &[&[element(id::TIMESTAMP, &[0])][..], blocks].concat().concat())
    };
    let of = |blocks: &[Vec<u8>]| file(&[tracks(), cluster(blocks)]);
    assert!(read(&of(&[simple(1, 0, 0)])).is_some());
    assert!(read(&of(&[simple(1, 0, 0x02)])).is_none(), "several packets in a block");
    assert!(read(&of(&[simple(3, 0, 0)])).is_none(), "a block of no track");
    assert!(read(&of(&[element(id::SIMPLE_BLOCK, &[0x81, 0])])).is_none(), "no header of a block");
    assert!(read(&of(&vec![simple(1, 0, 0); 11])).is_none(), "more blocks");
    assert!(
        read(&file(&[tracks(), element(id::CLUSTER, &simple(1, 0, 0))])).is_none(),
        "no time of a cluster"
    );
    let whole = of(&[simple(1, 0, 0)]);
    assert!(read(&whole[..whole.len() - 1].to_vec()).is_none(), "cut off");
    assert!(read(&[whole, vec![0]].concat()).is_none(), "something behind it");
    assert!(read(&Vec::new()).is_none());
    let unknown = [element(id::EBML, &[]), vec![0x18, 0x53, 0x80, 0x67, 0xff]].concat();
    assert!(read(&unknown).is_none(), "of unknown size");
}
