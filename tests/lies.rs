//! The proof itself: eight kinds of faults are planted in work objects and in outputs, 40 outputs in all. `merge` refuses each,
//! and `millrace verify` finds each.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::media::{
    index::{self, AAC_HEADERS, AVC_HEADERS, MEDIA_HEADER, MOVIE_HEADER, Mp4, TIMESCALE, Tag},
    planted::{Output, Planter},
    scenes::{self, PICTURE_TICKS},
    work::{Object, Work},
};
use millrace_media::packets::Packet;

/// Why `merge` refuses work objects.
const SEAM: &str = "otherwise than in one piece";
const OTHER_ENCODE: &str = "codec headers";
const NOT_OF_PLAN: &str = "not of the plan";
const NOT_PROVEN: &str = "could not be proven";

/// Adds a copy of a picture that many ticks later, behind it in decoding order.
fn repeat(object: &mut Object, number: usize, later: i64) {
    let mut packet = object.packets[number].clone();
    packet.pts += later;
    object.packets.insert(number + 1, packet);
    object.count();
}

/// The number of the picture that is shown last.
fn last(packets: &[Packet]) -> usize {
    (0..packets.len()).max_by_key(|i| packets[*i].pts).unwrap()
}

fn swap_contents(packets: &mut [Packet], a: usize, b: usize) {
    let data = std::mem::take(&mut packets[a].data);
    packets[a].data = std::mem::replace(&mut packets[b].data, data);
}

/// Removes a packet of sound; those behind it come earlier.
fn remove_sound(object: &mut Object, number: usize) {
    object.packets.remove(number);
    object.packets[number..].iter_mut().for_each(|packet| packet.pts -= 1024);
    object.facts.units -= 1024;
    object.count();
}

#[test]
fn a_picture_that_is_there_twice_is_found() {
    let mut planter = Planter::new(scenes::film(4));
    let half = PICTURE_TICKS / 2;
    planter
        .in_objects("a picture twice at one time", NOT_OF_PLAN, |work| repeat(&mut work[0].objects[1], 9, 0));
    planter.in_all_objects("a picture twice, again before the next one", "pictures", "mp4", |work| {
        repeat(&mut work[0].objects[1], 9, half);
    });
    planter.in_objects("the first picture of a segment also ends the one before", NOT_OF_PLAN, |work| {
        let first = work[0].objects[2].packets[0].clone();
        work[0].objects[1].packets.push(first);
        work[0].objects[1].count();
    });
    planter.in_all_objects("the last picture of a segment twice", "pictures", "flv", |work| {
        let object = &mut work[0].objects[1];
        repeat(object, last(&object.packets), half);
    });
    planter.in_objects("the last picture of a segment also begins the next one", SEAM, |work| {
        let packets = &work[0].objects[1].packets;
        let packet = packets[last(packets)].clone();
        work[0].objects[2].packets.insert(1, packet);
        work[0].objects[2].count();
    });
    planter.in_all_objects("the first picture of all twice", "pictures", "mp4", |work| {
        repeat(&mut work[0].objects[0], 0, half);
    });
    planter.in_objects("a picture twice, and counted once", NOT_OF_PLAN, |work| {
        let packets = &mut work[0].objects[0].packets;
        packets.insert(6, packets[5].clone());
    });
    planter.in_all_objects("the last picture of all twice", "pictures", "mp4", |work| {
        let object = work[0].objects.last_mut().unwrap();
        repeat(object, last(&object.packets), PICTURE_TICKS);
    });
    planter.in_all_objects("a picture in place of its neighbour", "like a neighbour", "flv", |work| {
        let packets = &mut work[0].objects[2].packets;
        packets[11].data = packets[10].data.clone();
    });
    planter.end(5);
}

#[test]
fn two_pictures_that_are_swapped_are_found() {
    let mut planter = Planter::new(scenes::film(4));
    planter.in_all_objects("the contents of two neighbours", "times", "mp4", |work| {
        swap_contents(&mut work[0].objects[0].packets, 9, 10);
    });
    planter.in_all_objects("the times of two neighbours", "times", "flv", |work| {
        let object = &mut work[0].objects[1];
        let pts = object.packets[9].pts;
        object.packets[9].pts = std::mem::replace(&mut object.packets[10].pts, pts);
        object.count();
    });
    planter.in_output(
        "the times of two neighbours, in the index",
        "times",
        &Output::mp4(|file| file.swap_times(30)),
    );
    planter.in_objects("the pictures on both sides of a seam", NOT_OF_PLAN, |work| {
        let (before, after) = work[0].objects.split_at_mut(2);
        let (before, after) = (&mut before[1].packets, &mut after[0].packets);
        std::mem::swap(&mut before.last_mut().unwrap().data, &mut after[0].data);
    });
    let neighbours = Output::flv(|tags| {
        let is_picture = |tag: &&mut Tag| tag.kind == index::PICTURES && !tag.is_header();
        let mut pictures = tags.iter_mut().filter(is_picture).skip(60);
        let (a, b) = (pictures.next().unwrap(), pictures.next().unwrap());
        let (x, y) = (a.data.split_off(index::PICTURE_FIELDS), b.data.split_off(index::PICTURE_FIELDS));
        a.data.extend(y);
        b.data.extend(x);
    });
    planter.in_output("the contents of two neighbours, in the file", "each picture", &neighbours);
    planter.in_all_objects("the last two pictures", "times", "mp4", |work| {
        let packets = &mut work[0].objects.last_mut().unwrap().packets;
        let end = packets.len();
        swap_contents(packets, end - 2, end - 1);
    });
    planter.end(5);
}

#[test]
fn pictures_that_are_decoded_from_a_wrong_reference_are_found() {
    let mut planter = Planter::new(scenes::film_of_one_group(5));
    for (fault, format, segments) in [
        ("the second segment begins at a picture that is no keyframe", "mp4", &[1][..]),
        ("a segment in the middle does", "flv", &[2]),
        ("the last segment does", "mp4", &[4]),
        ("two neighbours do", "flv", &[2, 3]),
    ] {
        let wrong: Vec<(usize, Object)> =
            segments.iter().map(|segment| (*segment, planter.scene.begun_at_no_keyframe(*segment))).collect();
        planter.in_objects(fault, SEAM, |work| {
            wrong.iter().for_each(|(segment, object)| work[0].objects[*segment] = object.clone());
        });
        // With the report of a right decode, seams agree.
        planter.in_all_objects(fault, "each picture", format, |work| {
            for (segment, object) in wrong {
                let decoded = work[0].objects[segment].decoded.clone();
                work[0].objects[segment] = Object { decoded, ..object };
            }
        });
    }
    let all = Output::mp4(Mp4::remove_keyframes);
    planter.in_output("no list of keyframes, which says that all are", "own statements", &all);
    planter.end(5);
}

#[test]
fn a_wrong_last_length_is_found() {
    let mut planter = Planter::new(scenes::screen());
    planter.in_all_objects("the last picture is short", "last picture", "mp4", |work| {
        let packets = &mut work[0].objects.last_mut().unwrap().packets;
        let number = last(packets);
        packets[number].duration = PICTURE_TICKS;
    });
    let edit = |handler: &'static str, seconds: f64| {
        Output::mp4(move |file| {
            let ticks = seconds * f64::from(file.number("", &MOVIE_HEADER, TIMESCALE));
            file.edit(handler, |length, _| *length += ticks as i64);
        })
    };
    planter.in_output("the last picture is short in the edit list", "last picture", &edit("vide", -2.0));
    planter.in_output("the last picture is long in the edit list", "last picture", &edit("vide", 1.0));
    planter.in_output(
        "the last packet of sound is hidden",
        "sound length",
        &edit("soun", -1024.0 / 48_000.0),
    );
    planter.in_objects("the sound has fewer samples than its packets", NOT_PROVEN, |work| {
        work[1].objects[0].facts.units -= 3000;
    });
    let long = Output::flv(|tags| index::set_duration(tags, 19.0));
    planter.in_output("the metadata of an flv has another length", "own statements", &long);
    planter.end(5);
}

#[test]
fn swapped_channels_are_found() {
    let mut planter = Planter::new(scenes::film(9));
    let swapped = planter.scene.with_channels("1|0");
    planter.in_all_objects("left and right", "each channel", "mp4", |work| work[1] = swapped[1].clone());
    for (fault, format, part) in
        [("left and right in a part in the middle", "flv", 1), ("left and right in the last part", "mp4", 2)]
    {
        let object = &swapped[1].objects[part];
        planter.in_objects(fault, SEAM, |work| work[1].objects[part] = object.clone());
        planter.in_all_objects(fault, "each channel", format, |work| {
            work[1].objects[part].packets.clone_from(&object.packets);
        });
    }
    planter.end(3);
    let mut planter = Planter::new(scenes::screen());
    let swapped = planter.scene.with_channels("2|3|0|1:quad");
    planter.in_all_objects("front and back", "each channel", "flv", |work| work[1] = swapped[1].clone());
    let other = planter.scene.with_layout("4.0");
    planter.in_objects("another layout than the plan's", NOT_OF_PLAN, |work| {
        work[1].objects.clone_from(&other[1].objects);
    });
    planter.in_all_objects("another layout of four", "channels", "mp4", |work| work[1] = other[1].clone());
    planter.end(2);
}

#[test]
fn twenty_milliseconds_of_sound_are_found() {
    let mut planter = Planter::new(scenes::film(9));
    planter.in_objects("a packet is missing, with a hole in its place", NOT_OF_PLAN, |work| {
        work[1].objects[1].packets.remove(30);
        work[1].objects[1].count();
    });
    planter.in_objects("a packet is missing in the first part", NOT_OF_PLAN, |work| {
        remove_sound(&mut work[1].objects[0], 30);
    });
    planter.in_all_objects("a packet is missing in the last part", "moved by", "mp4", |work| {
        remove_sound(&mut work[1].objects[2], 30);
    });
    planter.in_objects("a part is 20 ms late", NOT_OF_PLAN, |work| {
        work[1].objects[1].packets.iter_mut().for_each(|packet| packet.pts += 960);
    });
    let late = Output::flv(|tags| {
        let sound = tags.iter_mut().filter(|tag| tag.kind == index::SOUND && !tag.is_header());
        sound.for_each(|tag| tag.time += 20);
    });
    planter.in_output("all sound is 20 ms late", "moved by", &late);
    let hidden = Output::mp4(|file| file.edit("soun", |_, first| *first += 960));
    planter.in_output("the edit list hides 20 ms", "moved by", &hidden);
    planter.in_all_objects("the last packet is missing", "sound ends", "flv", |work| {
        let end = work[1].objects[2].packets.len() - 1;
        remove_sound(&mut work[1].objects[2], end);
    });
    planter.in_all_objects("a packet in place of its neighbour", "each 20 ms", "mp4", |work| {
        let packets = &mut work[1].objects[1].packets;
        packets[30].data = packets[29].data.clone();
    });
    planter.end(5);
}

/// `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1): AAC-LC in stereo of 48,000 Hz, of 44,100 Hz, and in mono of 48,000 Hz.
const SOUND_HEADER: [u8; 2] = [0x11, 0x90];
const OTHER_RATE: [u8; 2] = [0x12, 0x10];
const ONE_CHANNEL: [u8; 2] = [0x11, 0x88];

/// Replaces the header of the sound where it lies in these bytes.
fn set_sound_header(bytes: &mut [u8], header: [u8; 2]) {
    let at = bytes.windows(2).position(|two| two == SOUND_HEADER).unwrap();
    bytes[at..at + 2].copy_from_slice(&header);
}

#[test]
fn a_stale_codec_header_is_found() {
    let mut planter = Planter::new(scenes::film(4));
    let other = planter.scene.encoded_otherwise();
    planter.in_objects("that of a segment is of another encode", OTHER_ENCODE, |work| {
        work[0].objects[1].header.extradata = other[0].objects[1].header.extradata.clone();
    });
    planter.in_objects("all are of another encode than the plan's", NOT_OF_PLAN, |work| {
        work[0].objects.clone_from(&other[0].objects);
    });
    let path = planter.scene.shop.path("other.mp4");
    planter.scene.shop.merge(&other, &path).unwrap();
    let stale = Mp4(std::fs::read(path).unwrap()).content("vide", &AVC_HEADERS).to_vec();
    let replaced = {
        let stale = stale.clone();
        Output::mp4(move |file| file.replace("vide", &AVC_HEADERS, &stale))
    };
    planter.in_output("that of the pictures is of another encode", "damaged pictures", &replaced);
    let added = {
        let stale = stale.clone();
        Output::mp4(move |file| {
            let both = index::with_picture_sets(file.content("vide", &AVC_HEADERS), &stale);
            file.replace("vide", &AVC_HEADERS, &both);
        })
    };
    planter.in_output("one of another encode follows the right one", "damaged pictures", &added);
    let inserted = Output::flv(move |tags| {
        let mut tag = tags.iter().find(|tag| tag.kind == index::PICTURES && tag.is_header()).unwrap().clone();
        tag.data.splice(index::PICTURE_FIELDS.., stale.iter().copied());
        tag.time = tags[80].time;
        tags.insert(80, tag);
    });
    planter.in_output("one of another encode follows in the middle", "damaged pictures", &inserted);
    for (fault, header) in [
        ("that of the sound has another rate", OTHER_RATE),
        ("that of the sound has one channel", ONE_CHANNEL),
    ] {
        planter.in_objects(fault, NOT_OF_PLAN, |work| {
            let objects = work[1].objects.iter_mut();
            objects.for_each(|object| set_sound_header(&mut object.header.extradata, header));
        });
    }
    let in_mp4 = Output::mp4(|file| {
        let mut content = file.content("soun", &AAC_HEADERS).to_vec();
        set_sound_header(&mut content, OTHER_RATE);
        file.replace("soun", &AAC_HEADERS, &content);
    });
    planter.in_output("that of the sound has another rate, in an mp4", "each second", &in_mp4);
    let in_flv = Output::flv(|tags| {
        let tag = tags.iter_mut().find(|tag| tag.kind == index::SOUND && tag.is_header());
        set_sound_header(&mut tag.unwrap().data, OTHER_RATE);
    });
    planter.in_output("that of the sound has another rate, in an flv", "each second", &in_flv);
    planter.end(5);
}

#[test]
fn a_wrong_timescale_is_found() {
    let mut planter = Planter::new(scenes::film(4));
    let set_clock = |work: &mut Work, track: usize, ticks: i32| {
        work[track].objects.iter_mut().for_each(|object| object.header.clock.1 = ticks);
    };
    planter
        .in_objects("a segment has other ticks", OTHER_ENCODE, |work| work[0].objects[1].header.clock.1 *= 2);
    planter.in_objects("all pictures have other ticks", NOT_OF_PLAN, |work| set_clock(work, 0, 25_600));
    planter.in_objects("all sound has other ticks", NOT_OF_PLAN, |work| set_clock(work, 1, 44_100));
    let track = |handler: &'static str, change: fn(u32) -> u32| {
        Output::mp4(move |file| file.change(handler, &MEDIA_HEADER, TIMESCALE, change))
    };
    planter.in_output("twice the ticks, of the pictures", "times", &track("vide", |ticks| 2 * ticks));
    planter.in_output(
        "a hundredth more, of the pictures",
        "times",
        &track("vide", |ticks| ticks * 101 / 100),
    );
    planter.in_output("those of another rate, of the sound", "moved by", &track("soun", |_| 44_100));
    let movie = Output::mp4(|file| file.change("", &MOVIE_HEADER, TIMESCALE, |_| 1000));
    planter.in_output("a thousand, of the movie", "last picture", &movie);
    let longer = Output::flv(|tags| tags.iter_mut().for_each(|tag| tag.time += tag.time / 100));
    planter.in_output("all times of an flv are a hundredth longer", "times", &longer);
    planter.end(5);
}
