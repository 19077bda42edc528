//! The proof itself: eight kinds of faults are planted in work objects and in outputs, 40 outputs in all. `merge` refuses each,
//! and `millrace verify` finds each. Then each fact of a record is stated wrongly in a file, and refused by its name.

use millrace_media::packets::Packet;

use crate::common::media::{
    index::{
        self, AAC_ENTRY, AAC_HEADERS, ASPECT, AVC_ENTRY, AVC_HEADERS, HEADER_LENGTH, MEDIA_HEADER,
        MOVIE_HEADER, Mp4, TIMESCALE, TRACK_HEADER, TRACK_LENGTH, Tag,
    },
    planted::{NOT_PROVEN, Output, Planter},
    scenes::{self, PICTURE_TICKS},
    work::{Object, Work},
};

/// Why `merge` refuses work objects.
const SEAM: &str = "otherwise than in one piece";
const OTHER_ENCODE: &str = "codec headers";
const NOT_OF_PLAN: &str = "not of the plan";

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
/// As [`SOUND_HEADER`], with 960 samples in a packet (`frameLengthFlag`, 4.4.1).
const SHORT_PACKETS: [u8; 2] = [0x11, 0x94];

/// Replaces the header of the sound where it lies in these bytes.
fn set_sound_header(bytes: &mut [u8], header: [u8; 2]) {
    let at = bytes.windows(2).position(|two| two == SOUND_HEADER).unwrap();
    bytes[at..at + 2].copy_from_slice(&header);
}

/// An output whose header of the sound is replaced.
fn sound_header(format: &str, header: [u8; 2]) -> Output {
    match format {
        "mp4" => Output::mp4(move |file| {
            let mut content = file.content("soun", &AAC_HEADERS).to_vec();
            set_sound_header(&mut content, header);
            file.replace("soun", &AAC_HEADERS, &content);
        }),
        _ => Output::flv(move |tags| {
            let tag = tags.iter_mut().find(|tag| tag.kind == index::SOUND && tag.is_header());
            set_sound_header(&mut tag.unwrap().data, header);
        }),
    }
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
    let [in_mp4, in_flv] = ["mp4", "flv"].map(|format| sound_header(format, OTHER_RATE));
    planter.in_output("that of the sound has another rate, in an mp4", "each second", &in_mp4);
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

/// Changes the first byte of all tags of a kind.
fn tags_of(kind: u8, change: fn(u8) -> u8) -> Output {
    Output::flv(move |tags| {
        tags.iter_mut().filter(|tag| tag.kind == kind).for_each(|tag| tag.data[0] = change(tag.data[0]));
    })
}

#[test]
fn another_codec_in_a_file_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    // Packets and headers stay those that were put in.
    let entry = Output::mp4(|file| file.rename("vide", &AVC_ENTRY, "hvc1"));
    planter.in_fact("the pictures are called HEVC", "codec hevc instead of h264", &entry);
    let object_type = Output::mp4(|file| {
        let mut content = file.content("soun", &AAC_HEADERS).to_vec();
        // `objectTypeIndication` of AAC, before the stream type of sound (ISO/IEC 14496-1, 7.2.6.6).
        let at = content.windows(2).position(|two| two == [0x40, 0x15]).unwrap();
        content[at] = 0x6b;
        file.replace("soun", &AAC_HEADERS, &content);
    });
    planter.in_fact("the sound is called MP3", "codec mp3 instead of aac", &object_type);
    // Adobe Flash Video File Format, E.4.2.1 and E.4.3.1: the codec is half of a tag's first byte.
    let sound = tags_of(index::SOUND, |byte| (byte & 15) | 0x20);
    planter.in_fact("the sound is called MP3, in an flv", "codec mp3 instead of aac", &sound);
    let pictures = tags_of(index::PICTURES, |byte| (byte & 0xf0) | 4);
    planter.in_fact("the pictures are called VP6, in an flv", "codec vp6f instead of h264", &pictures);
    let mpeg4 = Output::by_ffmpeg(&["-c:v", "mpeg4", "-c:a", "copy"]);
    planter.in_fact("the pictures are MPEG-4", "codec mpeg4 instead of h264", &mpeg4);
    let mp3 = Output::by_ffmpeg(&["-c:v", "copy", "-c:a", "libmp3lame"]);
    planter.in_fact("the sound is MP3", "codec mp3 instead of aac", &mp3);
    let second = Output::by_ffmpeg(&["-map", "0:a", "-map", "0:v", "-c", "copy"]);
    planter.in_fact("sound comes before the pictures", "stream kind sound instead of pictures", &second);
    planter.in_objects("the codec has no entry", "the proof knows no headers of theora", |work| {
        work[0].plan.video.as_mut().unwrap().codec = "theora".into();
        let headers = work[0].objects.iter_mut().map(|object| &mut object.header);
        headers.for_each(|header| header.video.as_mut().unwrap().codec = "theora".into());
    });
    planter.end(7);
}

#[test]
fn another_rate_or_length_of_sound_in_a_file_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    for format in ["mp4", "flv"] {
        let rate = sound_header(format, OTHER_RATE);
        planter.in_fact("another rate in the header", "sample rate 44100 instead of 48000", &rate);
        let channels = sound_header(format, ONE_CHANNEL);
        planter.in_fact(
            "one channel in the header",
            "channels in the codec header 1 instead of 2",
            &channels,
        );
        let short = sound_header(format, SHORT_PACKETS);
        planter.in_fact("shorter packets", "samples in a packet 960 instead of 1024", &short);
    }
    let resampled = Output::by_ffmpeg(&["-c:v", "copy", "-c:a", "aac", "-ar", "44100"]);
    planter.in_fact("sound of another rate", "sample rate 44100 instead of 48000", &resampled);
    let entry = Output::mp4(|file| {
        let mut content = file.content("soun", &AAC_ENTRY).to_vec();
        content[24..26].copy_from_slice(&44_100_u16.to_be_bytes());
        file.replace("soun", &AAC_ENTRY, &content);
    });
    planter.in_fact(
        "another rate in the index",
        "sample entry of its sound is 44100 instead of 48000",
        &entry,
    );
    let clock = Output::mp4(|file| file.change("soun", &MEDIA_HEADER, TIMESCALE, |_| 44_100));
    planter.in_fact("another clock", "ticks of 1/44100 s instead of 1/48000 s", &clock);
    planter.end(9);
}

#[test]
fn a_packet_that_is_not_in_a_file_is_refused_by_its_count() {
    let mut planter = Planter::new(scenes::film(4));
    let count = |planter: &Planter, track: usize| -> usize {
        planter.scene.work[track].objects.iter().map(|object| object.packets.len()).sum()
    };
    let (pictures, sound) = (count(&planter, 0), count(&planter, 1));
    let pictures = format!("{} pictures instead of {pictures}", pictures - 1);
    let sound = format!("{} packets of sound instead of {sound}", sound - 1);
    for (handler, kind, words) in [("vide", index::PICTURES, &pictures), ("soun", index::SOUND, &sound)] {
        let mp4 = Output::mp4(move |file| file.remove_last(handler));
        planter.in_fact("the last packet, in an mp4", words, &mp4);
        let last = Output::flv(move |tags| {
            // Behind the last pictures comes the end of their sequence, which is none.
            let is_packet = |tag: &Tag| tag.kind == kind && tag.data[1] == 1;
            let at = tags.iter().rposition(is_packet).unwrap();
            tags.remove(at);
        });
        planter.in_fact("the last packet, in an flv", words, &last);
    }
    let longer = Output::flv(|tags| {
        let packet = tags.iter_mut().filter(|tag| tag.kind == index::PICTURES && tag.data[1] == 1).nth(9);
        packet.unwrap().data.extend([0, 0, 0]);
    });
    planter.in_fact("bytes behind a picture", "pictures: number 9 is not the one", &longer);
    planter.end(5);
}

#[test]
fn another_header_in_a_file_is_refused_by_its_digest() {
    let mut planter = Planter::new(scenes::film(4));
    let other = planter.scene.encoded_otherwise();
    let path = planter.scene.shop.path("other.mp4");
    let digest = planter.scene.shop.merge(&other, &path).unwrap().video.unwrap().headers;
    let stale = Mp4(std::fs::read(path).unwrap()).content("vide", &AVC_HEADERS).to_vec();
    let words = format!("codec headers {digest} ({} bytes) instead of those of the encoder", stale.len());
    let replaced = Output::mp4(move |file| file.replace("vide", &AVC_HEADERS, &stale));
    planter.in_fact("that of another encode", &words, &replaced);
    // The last bit of an extension of the sound's header: what it states is the same without it.
    let longer = Output::flv(|tags| {
        let tag = tags.iter_mut().find(|tag| tag.kind == index::SOUND && tag.is_header());
        *tag.unwrap().data.last_mut().unwrap() ^= 1;
    });
    planter.in_fact("another bit in that of the sound", "codec headers", &longer);
    planter.end(2);
}

#[test]
fn another_length_in_a_file_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    let header = |words: &str, planter: &mut Planter, path: &'static [&'static str], at: usize| {
        for handler in ["vide", "soun"] {
            let longer = Output::mp4(move |file| file.change(handler, path, at, |ticks| ticks + ticks / 100));
            planter.in_fact("a hundredth longer", words, &longer);
        }
    };
    header("it says that it is", &mut planter, &MOVIE_HEADER, HEADER_LENGTH);
    header("the length in the media header", &mut planter, &MEDIA_HEADER, HEADER_LENGTH);
    header("the length in the track header", &mut planter, &TRACK_HEADER, TRACK_LENGTH);
    for handler in ["vide", "soun"] {
        let last = Output::mp4(move |file| file.last_length(handler, |length| length + 1));
        planter.in_fact("a tick more", "the length of the last", &last);
        let shown = Output::mp4(move |file| file.edit(handler, |length, _| *length += 1000));
        planter.in_fact("more is shown", "are shown from 0 to", &shown);
    }
    for milliseconds in [-30, -2, 2, 30] {
        let metadata = Output::flv(move |tags| {
            let length = index::duration(tags) + f64::from(milliseconds) / 1000.0;
            index::set_duration(tags, length);
        });
        planter.in_fact("the metadata of an flv", "it says that it is", &metadata);
    }
    planter.end(14);
}

#[test]
fn another_look_of_pictures_in_a_file_is_refused_by_its_name() {
    let mut planter = Planter::new(scenes::film(4));
    let aspect = Output::mp4(|file| file.replace("vide", &ASPECT, &[0, 0, 0, 2, 0, 0, 0, 1]));
    planter.in_fact("pixels twice as wide", "sample aspect 2.0000 instead of 1.0000", &aspect);
    // A colour box (ISO/IEC 14496-12, 12.1.5) of BT.2020 and PQ where the pictures have none.
    let colour = Output::mp4(|file| {
        let mut content = file.content("vide", &AVC_ENTRY).to_vec();
        content.extend(*b"\0\0\0\x13colrnclx\0\x09\0\x10\0\x09\0");
        file.replace("vide", &AVC_ENTRY, &content);
    });
    planter.in_fact("colour where there is none", "colour primaries 9 instead of 2", &colour);
    planter.end(2);
}
