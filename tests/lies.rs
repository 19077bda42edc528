//! The proof itself: lies are planted in work objects, as a worker would tell them, and in outputs, as a muxer would. Each is
//! refused by `merge`, and told by `millrace verify`.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::path::Path;

use common::{
    Place,
    media::{
        index::{self, AAC_HEADERS, AVC_HEADERS, EDITS, MEDIA_HEADER, MOVIE_HEADER, Mp4, TIMESCALE, Tag},
        lies::{self, Scene},
        work::{Object, Work},
    },
};
use millrace_media::packets::Packet;
use serde_json::Value;

/// What `verify` finds wrong.
fn told(place: &Place, source: &Path, output: &Path) -> Vec<String> {
    let mut verify = place.millrace();
    verify.arg("verify").args([source, output]).args(["--pictures", "--sound", "--json"]);
    let said = verify.output().unwrap();
    let line: Value = serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let wrong = line["checks"].as_array().unwrap().iter().filter(|check| check["holds"] == false);
    let wrong: Vec<String> = wrong.map(|check| check["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said.status.code(), Some(i32::from(!wrong.is_empty())));
    wrong
}

/// A change of the tags of an flv.
type ChangeTags = Box<dyn Fn(&mut Vec<Tag>)>;

/// Who lies in an output.
enum Output {
    /// All workers, so that their work objects agree with each other: an output is put together of these.
    Of(Work),
    /// The muxer, about what is in an mp4.
    Mp4(Box<dyn Fn(&mut Mp4)>),
    /// The muxer, about what is in an flv.
    Flv(ChangeTags),
}

fn mp4(lie: impl Fn(&mut Mp4) + 'static) -> Output {
    Output::Mp4(Box::new(lie))
}

fn flv(lie: impl Fn(&mut Vec<Tag>) + 'static) -> Output {
    Output::Flv(Box::new(lie))
}

/// Plants lies of one kind in one scene, and keeps what was not found.
struct Liar {
    scene: Scene,
    missed: Vec<String>,
    planted: usize,
}

impl Liar {
    /// The right outputs are proven, and hold.
    fn new(scene: Scene) -> Self {
        for format in ["mp4", "flv"] {
            let output = scene.shop.path(&format!("right.{format}"));
            scene.shop.merge(&scene.work, &output).unwrap();
            scene.shop.prove(&scene.work, &output).unwrap();
            assert_eq!(told(&scene.place, &scene.source, &output), [""; 0], "{format}");
        }
        Self { scene, missed: Vec::new(), planted: 0 }
    }

    /// A worker lies, and the others do not: `merge` refuses its work object.
    fn worker(&mut self, lie: &str, change: impl FnOnce(&mut Work)) {
        let mut work = self.scene.work.clone();
        change(&mut work);
        let merged = self.scene.shop.merge(&work, &self.scene.shop.path("refused.mp4"));
        match merged {
            Ok(_) => self.missed.push(format!("{lie}: a worker's lie is merged")),
            Err(why) => println!("{lie}\n  worker: {why}"),
        }
    }

    /// An output lies: the proof holds it to the work objects, and `verify` to the source.
    fn output(&mut self, lie: &str, format: &str, output: Output) {
        self.planted += 1;
        let path = self.scene.shop.path(&format!("lying.{format}"));
        let work = if let Output::Of(work) = &output { work } else { &self.scene.work };
        if let Err(why) = self.scene.shop.merge(work, &path) {
            panic!("{lie}: {why}");
        }
        let mut bytes = std::fs::read(&path).unwrap();
        match output {
            Output::Of(_) => {}
            Output::Mp4(lie) => {
                let mut file = Mp4(bytes);
                lie(&mut file);
                bytes = file.0;
            }
            Output::Flv(lie) => {
                let mut tags = index::tags(&bytes);
                lie(&mut tags);
                bytes = index::flv(&tags);
            }
        }
        std::fs::write(&path, bytes).unwrap();
        match self.scene.shop.prove(&self.scene.work, &path) {
            Ok(_) => self.missed.push(format!("{lie}: an output's lie is proven")),
            Err(why) => println!("{lie}\n  output: {why}"),
        }
        let told = told(&self.scene.place, &self.scene.source, &path);
        println!("  verify: {told:?}");
        if told.is_empty() {
            self.missed.push(format!("{lie}: not told by verify"));
        }
    }

    /// An output of lying work objects.
    fn objects(&mut self, lie: &str, format: &str, change: impl FnOnce(&mut Work)) {
        let mut work = self.scene.work.clone();
        change(&mut work);
        self.output(lie, format, Output::Of(work));
    }

    fn end(self, planted: usize) {
        assert_eq!(self.missed, [""; 0]);
        assert_eq!(self.planted, planted);
    }
}

/// A packet of pictures once more, so many ticks later; it lies behind the first one.
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
    let data = std::mem::replace(&mut packets[b].data, data);
    packets[a].data = data;
}

#[test]
fn a_picture_that_is_there_twice_is_found() {
    let mut liar = Liar::new(lies::film(4));
    let half = lies::PICTURE_TICKS / 2;
    liar.worker("a picture twice at one time", |work| repeat(&mut work[0].objects[1], 9, 0));
    liar.objects("a picture twice, the second between two others", "mp4", |work| {
        repeat(&mut work[0].objects[1], 9, half);
    });
    liar.worker("the first picture of a segment also at the end of the one before", |work| {
        let first = work[0].objects[2].packets[0].clone();
        work[0].objects[1].packets.push(first);
        work[0].objects[1].count();
    });
    liar.objects("the last picture of a segment twice", "flv", |work| {
        let object = &mut work[0].objects[1];
        repeat(object, last(&object.packets), half);
    });
    liar.worker("the last picture of a segment also at the start of the next one", |work| {
        let packets = &work[0].objects[1].packets;
        let packet = packets[last(packets)].clone();
        work[0].objects[2].packets.insert(1, packet);
        work[0].objects[2].count();
    });
    liar.objects("the first picture of all twice", "mp4", |work| repeat(&mut work[0].objects[0], 0, half));
    liar.worker("a picture twice, and counted once", |work| {
        let object = &mut work[0].objects[0];
        let packet = object.packets[5].clone();
        object.packets.insert(6, packet);
    });
    liar.objects("the last picture of all twice", "mp4", |work| {
        let object = work[0].objects.last_mut().unwrap();
        repeat(object, last(&object.packets), lies::PICTURE_TICKS);
    });
    liar.objects("a picture in place of its neighbour", "flv", |work| {
        let packets = &mut work[0].objects[2].packets;
        packets[11].data = packets[10].data.clone();
    });
    liar.end(5);
}

#[test]
fn two_pictures_that_are_swapped_are_found() {
    let mut liar = Liar::new(lies::film(4));
    liar.objects("the contents of two neighbours", "mp4", |work| {
        swap_contents(&mut work[0].objects[0].packets, 9, 10);
    });
    liar.objects("the times of two neighbours", "flv", |work| {
        let object = &mut work[0].objects[1];
        let pts = object.packets[9].pts;
        object.packets[9].pts = std::mem::replace(&mut object.packets[10].pts, pts);
        object.count();
    });
    liar.output("the times of two neighbours in the index", "mp4", mp4(|file| file.swap_times(30)));
    let across = |work: &mut Work| {
        let (before, after) = work[0].objects.split_at_mut(2);
        let (before, after) = (&mut before[1].packets, &mut after[0].packets);
        let end = before.len() - 1;
        std::mem::swap(&mut before[end].data, &mut after[0].data);
    };
    liar.worker("the pictures on both sides of a seam", across);
    liar.output(
        "two pictures in a row in the file",
        "flv",
        flv(|tags| {
            let is_picture = |tag: &&mut Tag| tag.kind == index::PICTURES && !tag.is_header();
            let mut pictures: Vec<&mut Tag> = tags.iter_mut().filter(is_picture).skip(60).collect();
            let (a, b) = pictures.split_at_mut(1);
            // Behind the five bytes of the tag's own header.
            let (x, y) = (a[0].data.split_off(5), b[0].data.split_off(5));
            a[0].data.extend(y);
            b[0].data.extend(x);
        }),
    );
    liar.objects("the last two pictures", "mp4", |work| {
        let packets = &mut work[0].objects.last_mut().unwrap().packets;
        let end = packets.len();
        swap_contents(packets, end - 2, end - 1);
    });
    liar.end(5);
}

#[test]
fn pictures_decoded_from_a_wrong_reference_are_found() {
    let mut liar = Liar::new(lies::film_of_one_group(5));
    for (lie, format, segments) in [
        ("the second segment begins at a picture that is no keyframe", "mp4", &[1][..]),
        ("a segment in the middle does", "flv", &[2]),
        ("the last segment does", "mp4", &[4]),
        ("two neighbours do", "flv", &[2, 3]),
    ] {
        let wrong: Vec<(usize, Object)> =
            segments.iter().map(|segment| (*segment, liar.scene.with_no_keyframe_first(*segment))).collect();
        liar.worker(lie, |work| {
            for (segment, object) in &wrong {
                work[0].objects[*segment] = object.clone();
            }
        });
        liar.objects(lie, format, |work| {
            for (segment, object) in wrong {
                let honest = &mut work[0].objects[segment];
                // What it decoded first is what the worker before it decoded there.
                *honest = Object { decoded: honest.decoded.clone(), ..object };
            }
        });
    }
    liar.output(
        "the list of keyframes is missing, which says that all are",
        "mp4",
        mp4(Mp4::forget_keyframes),
    );
    liar.end(5);
}

#[test]
fn a_wrong_last_length_is_found() {
    let mut liar = Liar::new(lies::screen());
    let shorten = |work: &mut Work| {
        let packets = &mut work[0].objects.last_mut().unwrap().packets;
        let number = last(packets);
        packets[number].duration = lies::PICTURE_TICKS;
    };
    liar.objects("the last picture is short in its work object", "mp4", shorten);
    let second = |file: &Mp4| i64::from(file.number("", &MOVIE_HEADER, TIMESCALE));
    liar.output(
        "the last picture is short by the edit list",
        "mp4",
        mp4(move |file| {
            let second = second(file);
            file.edit("vide", |length, _| *length -= 2 * second);
        }),
    );
    liar.output(
        "the last picture is long by the edit list",
        "mp4",
        mp4(move |file| {
            let second = second(file);
            file.edit("vide", |length, _| *length += second);
        }),
    );
    liar.output(
        "the sound ends a packet early by the edit list",
        "mp4",
        mp4(move |file| {
            let second = second(file);
            file.edit("soun", |length, _| *length -= 1024 * second / 48_000);
        }),
    );
    liar.worker("the sound holds fewer samples than its packets", |work| {
        work[1].objects[0].facts.units -= 3000;
    });
    liar.output("an flv says that it is longer", "flv", flv(|tags| index::set_flv_duration(tags, 19.0)));
    liar.end(5);
}

#[test]
fn channels_that_are_swapped_are_found() {
    let mut liar = Liar::new(lies::film(9));
    let swapped = liar.scene.with_channels("1|0");
    liar.objects("left and right", "mp4", |work| work[1] = swapped[1].clone());
    for (lie, format, part) in
        [("left and right in a part in the middle", "flv", 1), ("left and right in the last part", "mp4", 2)]
    {
        liar.worker(lie, |work| work[1].objects[part] = swapped[1].objects[part].clone());
        liar.objects(lie, format, |work| {
            work[1].objects[part].packets = swapped[1].objects[part].packets.clone();
        });
    }
    liar.end(3);
    let mut liar = Liar::new(lies::screen());
    let swapped = liar.scene.with_channels("2|3|0|1:quad");
    liar.objects("front and back", "flv", |work| work[1] = swapped[1].clone());
    let other = liar.scene.with_layout("4.0");
    liar.worker("a layout that is not the plan's", |work| work[1].objects = other[1].objects.clone());
    liar.objects("a layout of as many channels", "mp4", |work| work[1] = other[1].clone());
    liar.end(2);
}

#[test]
fn twenty_milliseconds_of_sound_are_found() {
    let mut liar = Liar::new(lies::film(9));
    let drop = |object: &mut Object, number: usize| {
        object.packets.remove(number);
        object.packets[number..].iter_mut().for_each(|packet| packet.pts -= 1024);
        object.facts.units -= 1024;
        object.count();
    };
    liar.worker("a packet is missing, with a hole in its place", |work| {
        work[1].objects[1].packets.remove(30);
        work[1].objects[1].count();
    });
    liar.worker("a packet is missing, and what follows comes earlier", |work| {
        drop(&mut work[1].objects[0], 30);
    });
    liar.objects("a packet is missing in the last part", "mp4", |work| drop(&mut work[1].objects[2], 30));
    liar.worker("a part lies 20 ms late", |work| {
        work[1].objects[1].packets.iter_mut().for_each(|packet| packet.pts += 960);
    });
    liar.output(
        "all sound lies 20 ms late",
        "flv",
        flv(|tags| {
            let sound = tags.iter_mut().filter(|tag| tag.kind == index::SOUND && !tag.is_header());
            sound.for_each(|tag| tag.time += 20);
        }),
    );
    liar.output("the edit list hides 20 ms", "mp4", mp4(|file| file.edit("soun", |_, first| *first += 960)));
    liar.objects("a packet is there twice", "flv", |work| {
        let object = &mut work[1].objects[2];
        let packet = object.packets[30].clone();
        object.packets.insert(30, packet);
        object.packets[31..].iter_mut().for_each(|packet| packet.pts += 1024);
        object.facts.units += 1024;
        object.count();
    });
    liar.objects("the last packet is missing", "flv", |work| {
        let end = work[1].objects[2].packets.len() - 1;
        drop(&mut work[1].objects[2], end);
    });
    liar.objects("a packet in place of its neighbour", "mp4", |work| {
        let packets = &mut work[1].objects[1].packets;
        packets[30].data = packets[29].data.clone();
    });
    liar.end(6);
}

#[test]
fn a_stale_codec_header_is_found() {
    let mut liar = Liar::new(lies::film(4));
    let other = liar.scene.encoded_otherwise();
    let avc = |scene: &Scene, work: &Work| {
        let output = scene.shop.path("other.mp4");
        scene.shop.merge(work, &output).unwrap();
        Mp4(std::fs::read(output).unwrap()).content("vide", &AVC_HEADERS).to_vec()
    };
    let stale = avc(&liar.scene, &other);
    liar.worker("a segment's is of another encode", |work| {
        work[0].objects[1].header.extradata = other[0].objects[1].header.extradata.clone();
    });
    liar.worker("all are of another encode than the plan's", |work| {
        work[0].objects.clone_from(&other[0].objects);
    });
    let header = stale.clone();
    liar.output(
        "the pictures' is of another encode",
        "mp4",
        mp4(move |file| {
            file.replace("vide", &AVC_HEADERS, &header);
        }),
    );
    let header = stale.clone();
    liar.output(
        "one of another encode lies behind the right one",
        "mp4",
        mp4(move |file| {
            let both = index::with_pictures_of(file.content("vide", &AVC_HEADERS), &header);
            file.replace("vide", &AVC_HEADERS, &both);
        }),
    );
    liar.output(
        "one of another encode follows in the middle",
        "flv",
        flv(move |tags| {
            let mut tag =
                tags.iter().find(|tag| tag.kind == index::PICTURES && tag.is_header()).unwrap().clone();
            tag.data.splice(5.., stale.iter().copied());
            tag.time = tags[80].time;
            tags.insert(80, tag);
        }),
    );
    // AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1): AAC-LC of 48,000 Hz in stereo, of 44,100 Hz, and in mono.
    const RIGHT: [u8; 2] = [0x11, 0x90];
    let sound = |stale: [u8; 2]| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(2).position(|two| two == RIGHT).unwrap();
            bytes[at..at + 2].copy_from_slice(&stale);
        }
    };
    let lie = sound([0x12, 0x10]);
    liar.worker("the sound's is of another rate", move |work| {
        work[1].objects.iter_mut().for_each(|object| lie(&mut object.header.extradata));
    });
    liar.output(
        "the sound's is of another rate",
        "mp4",
        mp4(move |file| {
            let mut content = file.content("soun", &AAC_HEADERS).to_vec();
            lie(&mut content);
            file.replace("soun", &AAC_HEADERS, &content);
        }),
    );
    let lie = sound([0x12, 0x10]);
    liar.output(
        "the sound's is of another rate in an flv",
        "flv",
        flv(move |tags| {
            lie(&mut tags.iter_mut().find(|tag| tag.kind == index::SOUND && tag.is_header()).unwrap().data);
        }),
    );
    let lie = sound([0x11, 0x88]);
    liar.worker("the sound's is of one channel", move |work| {
        work[1].objects.iter_mut().for_each(|object| lie(&mut object.header.extradata));
    });
    liar.end(5);
}

#[test]
fn a_wrong_timescale_is_found() {
    let mut liar = Liar::new(lies::film(4));
    liar.worker("a segment's pictures have twice the ticks", |work| work[0].objects[1].header.clock.1 *= 2);
    liar.worker("all pictures have twice the ticks", |work| {
        work[0].objects.iter_mut().for_each(|object| object.header.clock.1 *= 2);
    });
    liar.worker("all sound has the ticks of another rate", |work| {
        work[1].objects.iter_mut().for_each(|object| object.header.clock.1 = 44_100);
    });
    liar.output(
        "the pictures have twice the ticks",
        "mp4",
        mp4(|file| {
            file.change("vide", &MEDIA_HEADER, TIMESCALE, |ticks| 2 * ticks);
        }),
    );
    liar.output(
        "the pictures have a hundredth more",
        "mp4",
        mp4(|file| {
            file.change("vide", &MEDIA_HEADER, TIMESCALE, |ticks| ticks + ticks / 100);
        }),
    );
    liar.output(
        "the sound has those of another rate",
        "mp4",
        mp4(|file| {
            file.change("soun", &MEDIA_HEADER, TIMESCALE, |_| 44_100);
        }),
    );
    liar.output(
        "the movie has a thousand",
        "mp4",
        mp4(|file| {
            assert!(file.content("vide", &EDITS).len() > 8);
            file.change("", &MOVIE_HEADER, TIMESCALE, |_| 1000);
        }),
    );
    liar.output(
        "all times of an flv are a hundredth longer",
        "flv",
        flv(|tags| {
            tags.iter_mut().for_each(|tag| tag.time += tag.time / 100);
        }),
    );
    liar.end(5);
}
