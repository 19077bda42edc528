//! What lies beside pictures and sound: text becomes that of mp4, a cover is copied.

use std::{fs::File, io::BufWriter};

use ffmpeg_next::Packet;
use millrace_schemas::Made;

use super::{
    alive::Waiting,
    damage::{self, Damage},
    failure::Failure,
    libav::{
        stream::{attached_picture, fields},
        subtitle::{Shown, TextCoder},
    },
    report::Reporter,
    source::{Depth, Source},
};
use crate::{
    captions::{self, Caption, lay_out},
    packets::{Facts, Header, Writer},
    protocol::TranscodeTask,
    seams::Decoded,
    timeline::{Clock, place},
};

const MILLISECONDS: Clock = Clock { num: 1, den: 1000 };
/// A text whose end nobody tells is shown for so long, in milliseconds, or until the next.
const SHOWN: i64 = 5000;
/// How many captions are taken, how long each is, and all together, in bytes.
const MOST_CAPTIONS: usize = 200_000;
const LONGEST_CAPTION: usize = 8 << 10;
const MOST_TEXT: usize = 64 << 20;
/// The longest packet of text, in milliseconds: mp4's microseconds of it fit 31 bits. What is shown for longer is repeated, up to a day.
const LONGEST_PACKET: i64 = 1_800_000;
const LONGEST_SHOWN: i64 = 86_400_000;
pub(crate) fn transcode(
    file: File,
    task: &TranscodeTask,
    outputs: Vec<File>,
    reporter: &mut Reporter,
) -> Result<(), Failure> {
    let mut source = Source::open(file, Depth::Header)?;
    source.only(&[task.stream])?;
    source.set_jumps(&task.jumps);
    let mut made = Vec::new();
    for (rendition, output) in task.renditions.iter().zip(outputs) {
        let side =
            rendition.side.clone().ok_or_else(|| Failure::new("a rendition without settings of its own"))?;
        let mut damage = Damage::default();
        let track = match side.codec.as_str() {
            "mov_text" => text(&mut source, task.stream, reporter, &mut damage)?,
            _ => cover(&source, task.stream)?,
        };
        let header = Header {
            extradata: track.extradata,
            clock: (1, 1000),
            video: None,
            audio: None,
            side: Some(side),
            size: track.size,
            padding: 0,
            frame_size: 0,
        };
        let first = track.packets.first().map_or(0, |packet| packet.0);
        let count = i64::try_from(track.packets.len()).unwrap_or(i64::MAX);
        made.push(write(
            output,
            &header,
            &track.packets,
            Facts {
                rendition: rendition.id.clone(),
                units: count,
                packets: count,
                first,
                next: None,
                reorder: 0,
                warnings: damage.told("texts", None, None),
            },
        )?);
    }
    reporter.made(0, made);
    Ok(())
}

/// Packets with their times and lengths in milliseconds, and the codec's private data.
struct Side {
    size: Option<(i32, i32)>,
    extradata: Vec<u8>,
    packets: Vec<(i64, i64, Vec<u8>)>,
}

fn write(
    output: File,
    header: &Header,
    packets: &[(i64, i64, Vec<u8>)],
    facts: Facts,
) -> Result<Made, Failure> {
    let doing = "writing a work object";
    let mut writer = Writer::new(BufWriter::new(Waiting(output)), header).map_err(Failure::at(doing))?;
    for (pts, duration, data) in packets {
        writer.packet(true, *pts, *duration, data).map_err(Failure::at(doing))?;
    }
    writer.finish(facts, &Decoded::default()).map_err(Failure::at(doing))
}

fn cover(source: &Source, stream: i32) -> Result<Side, Failure> {
    let stream = usize::try_from(stream).ok().and_then(|index| source.input.stream(index));
    let stream = stream.ok_or_else(|| Failure::new("the cover is gone"))?;
    let data = attached_picture(&stream).unwrap_or_default().to_vec();
    let parameters = fields(&stream).1;
    let size = (parameters.width, parameters.height);
    if size.0 < 1 || size.1 < 1 {
        return Err(Failure::new("the cover has no size: it is damaged"));
    }
    Ok(Side { size: Some(size), extradata: Vec::new(), packets: vec![(0, 0, data)] })
}

fn text(
    source: &mut Source,
    stream: i32,
    reporter: &mut Reporter,
    damage: &mut Damage,
) -> Result<Side, Failure> {
    let mut coder = TextCoder::open(&source.parameters(stream)?, source.clock(stream))?;
    let clock = source.clock(stream);
    let tick = clock.num as f64 / clock.den as f64;
    let (mut captions, mut long_in_all): (Vec<Caption>, usize) = (Vec::new(), 0);
    let mut packet = Packet::empty();
    while let Ok(Some(_)) = source.read(&[stream], &mut packet) {
        reporter.progress(0, 0);
        let Some(pts) = packet.pts().or(packet.dts()) else { continue };
        let start = place(pts, clock, (0, MILLISECONDS), MILLISECONDS);
        let long = place(packet.duration().max(0), clock, (0, MILLISECONDS), MILLISECONDS);
        coder.make_utf8(&mut packet);
        match coder.decode(&mut packet) {
            Ok(shown) => {
                // Whoever tells no end is shown until the next one: a text that goes says so by an empty packet.
                for last in captions.iter_mut().rev().take_while(|last| last.end == i64::MAX) {
                    last.end = start.max(last.start);
                }
                for Shown { from, to, text } in shown {
                    let end = match (to, long) {
                        (Some(to), _) if to > from => start.saturating_add(to),
                        (_, long) if long > 0 => start.saturating_add(long),
                        _ => i64::MAX,
                    };
                    let text = captions::shortened(text, LONGEST_CAPTION);
                    long_in_all += text.len();
                    captions.push(Caption { start: start.saturating_add(from), end, text });
                }
            }
            Err(_) => damage.packet(damage::at(&packet, tick)),
        }
        if captions.len() > MOST_CAPTIONS || long_in_all > MOST_TEXT {
            return Err(Failure::new(format!(
                "there are more than {MOST_CAPTIONS} texts in one track, or more than {MOST_TEXT} bytes of them; leave it out"
            )));
        }
    }
    for last in captions.iter_mut().filter(|last| last.end == i64::MAX) {
        last.end = last.start.saturating_add(SHOWN);
    }
    let mut packets = Vec::new();
    // Of many texts none is shown for hours.
    let longest = if captions.len() > 1000 { 2 * LONGEST_PACKET } else { LONGEST_SHOWN };
    for caption in &mut captions {
        caption.end = caption.end.min(caption.start.saturating_add(longest));
    }
    let laid = lay_out(captions);
    if laid.left_out > 0 {
        damage.ended(format!("{} texts are left out: too many are shown at the same time", laid.left_out));
    }
    for caption in laid.captions {
        let data = coder.encode(&caption.text, caption.end.saturating_sub(caption.start))?;
        let mut start = caption.start;
        while start < caption.end {
            let end = caption.end.min(start.saturating_add(LONGEST_PACKET));
            packets.push((start, end - start, data.clone()));
            start = end;
        }
    }
    Ok(Side { size: None, extradata: coder.headers(), packets })
}
