//! What lies beside pictures and sound: text becomes that of mp4, a cover is copied.

use std::{ffi::CStr, fs::File, io::BufWriter};

use ffmpeg_next::{
    self as ff, Packet,
    ffi::{
        AVCodecContext, AVCodecID, AVRational, AVSubtitle, AVSubtitleRect, AVSubtitleType, av_free,
        av_mallocz, av_strdup, avcodec_alloc_context3, avcodec_decode_subtitle2, avcodec_encode_subtitle,
        avcodec_find_decoder, avcodec_free_context, avcodec_open2, avcodec_parameters_to_context,
        avsubtitle_free,
    },
};
use millrace_schemas::Made;

use super::{
    Failure, Reporter,
    alive::Waiting,
    codec,
    damage::{self, Damage},
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
/// The header of ASS that a decoder makes of a stream without one.
const HEADER: &CStr = c"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n\
    Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
    StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\r\n\
    Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n[Events]\r\n\
    Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n";

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
        let track = if codec::find(&side.codec)?.is_text() {
            text(&mut source, (task.stream, &side.codec), reporter, &mut damage)?
        } else {
            cover(&source, task.stream)?
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
    // SAFETY: the attached picture is of a stream of an open context, and of the size that it says.
    let data = unsafe {
        let picture = &(*stream.as_ptr()).attached_pic;
        let size = usize::try_from(picture.size).unwrap_or(0);
        if picture.data.is_null() {
            Vec::new()
        } else {
            std::slice::from_raw_parts(picture.data, size).to_vec()
        }
    };
    // SAFETY: the parameters are of a stream of an open context.
    let size = unsafe { ((*(*stream.as_ptr()).codecpar).width, (*(*stream.as_ptr()).codecpar).height) };
    if size.0 < 1 || size.1 < 1 {
        return Err(Failure::new("the cover has no size: it is damaged"));
    }
    Ok(Side { size: Some(size), extradata: Vec::new(), packets: vec![(0, 0, data)] })
}

fn text(
    source: &mut Source,
    (stream, codec): (i32, &str),
    reporter: &mut Reporter,
    damage: &mut Damage,
) -> Result<Side, Failure> {
    let mut coder = TextCoder::open(source, stream, codec)?;
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
        let data = coder.encode(&caption)?;
        let mut start = caption.start;
        while start < caption.end {
            let end = caption.end.min(start.saturating_add(LONGEST_PACKET));
            packets.push((start, end - start, data.clone()));
            start = end;
        }
    }
    Ok(Side { size: None, extradata: coder.extradata(), packets })
}

/// A text of a packet; times in milliseconds after the packet's.
struct Shown {
    from: i64,
    to: Option<i64>,
    text: String,
}

/// A decoder of text, and an encoder, which speak ASS to each other.
struct TextCoder {
    decoder: *mut AVCodecContext,
    encoder: *mut AVCodecContext,
}

impl TextCoder {
    fn open(source: &Source, stream: i32, into: &str) -> Result<Self, Failure> {
        let encoder = codec::encoder(into)?;
        let parameters = super::inspect::parameters(source, stream)?;
        let clock = source.clock(stream);
        // SAFETY: both contexts are made here, set up before they are opened, and freed by `drop`, also where one could not
        // be made. The header that the decoder made is copied: the encoder frees its own.
        unsafe {
            let coder = Self {
                decoder: avcodec_alloc_context3(std::ptr::null()),
                encoder: avcodec_alloc_context3(std::ptr::null()),
            };
            let wrong = || Failure::new("opening the decoder of text");
            if coder.decoder.is_null()
                || coder.encoder.is_null()
                || avcodec_parameters_to_context(coder.decoder, parameters.as_ptr()) < 0
            {
                return Err(wrong());
            }
            (*coder.decoder).pkt_timebase = AVRational { num: clock.num as i32, den: clock.den as i32 };
            let codec = avcodec_find_decoder((*parameters.as_ptr()).codec_id);
            if codec.is_null() || avcodec_open2(coder.decoder, codec, std::ptr::null_mut()) < 0 {
                return Err(wrong());
            }
            // A track of ASS may come without the header that its decoder gives as it is.
            let (mut header, mut size) =
                ((*coder.decoder).subtitle_header.cast_const(), (*coder.decoder).subtitle_header_size);
            if header.is_null() || size <= 0 {
                (header, size) = (HEADER.as_ptr().cast(), i32::try_from(HEADER.count_bytes()).unwrap_or(0));
            }
            (*coder.encoder).time_base = AVRational { num: 1, den: 1000 };
            {
                let length = usize::try_from(size).unwrap_or(0);
                let copy = av_mallocz(length + 1).cast::<u8>();
                if copy.is_null() {
                    return Err(wrong());
                }
                std::ptr::copy_nonoverlapping(header, copy, length);
                (*coder.encoder).subtitle_header = copy;
                (*coder.encoder).subtitle_header_size = size;
            }
            if avcodec_open2(coder.encoder, encoder.as_ptr(), std::ptr::null_mut()) < 0 {
                return Err(Failure::new(format!("this FFmpeg can't encode text as {into}")));
            }
            Ok(coder)
        }
    }

    /// Makes the text of a packet UTF-8, which decoders insist on.
    fn make_utf8(&self, packet: &mut Packet) {
        let Some(data) = packet.data() else { return };
        // SAFETY: a plain field of an open decoder.
        let is_framed = unsafe { (*self.decoder).codec_id } == AVCodecID::AV_CODEC_ID_MOV_TEXT;
        let Some(bytes) = captions::to_utf8(data, is_framed) else { return };
        let mut new = Packet::copy(&bytes);
        new.set_pts(packet.pts());
        new.set_dts(packet.dts());
        new.set_duration(packet.duration());
        *packet = new;
    }

    fn extradata(&self) -> Vec<u8> {
        // SAFETY: an open encoder's extradata is of the size that it says.
        unsafe {
            let size = usize::try_from((*self.encoder).extradata_size).unwrap_or(0);
            let data = (*self.encoder).extradata;
            if data.is_null() { Vec::new() } else { std::slice::from_raw_parts(data, size).to_vec() }
        }
    }

    fn decode(&mut self, packet: &mut Packet) -> Result<Vec<Shown>, Failure> {
        use ff::packet::Mut as _;
        let mut shown = Vec::new();
        // SAFETY: the decoder is open; what it fills is read while it is whole, and freed.
        unsafe {
            let mut subtitle: AVSubtitle = std::mem::zeroed();
            let mut got = 0;
            let result =
                avcodec_decode_subtitle2(self.decoder, &raw mut subtitle, &raw mut got, packet.as_mut_ptr());
            if result < 0 {
                return Err(Failure::at("decoding text")(ff::Error::from(result)));
            }
            if got == 0 {
                return Ok(shown);
            }
            for i in 0..subtitle.num_rects as usize {
                let rect = &**subtitle.rects.add(i);
                if rect.ass.is_null() {
                    continue;
                }
                let line = CStr::from_ptr(rect.ass).to_string_lossy();
                let text = captions::text_of_line(&line).to_owned();
                let end = subtitle.end_display_time;
                shown.push(Shown {
                    from: i64::from(subtitle.start_display_time),
                    to: (end > 0 && end < u32::MAX).then_some(i64::from(end)),
                    text,
                });
            }
            avsubtitle_free(&raw mut subtitle);
        }
        Ok(shown)
    }

    fn encode(&mut self, caption: &Caption) -> Result<Vec<u8>, Failure> {
        let line = format!("0,0,Default,,0,0,0,,{}", caption.text.replace('\0', " "));
        let line = std::ffi::CString::new(line).map_err(Failure::at("encoding text"))?;
        let mut buffer = vec![0; line.as_bytes().len() * 4 + 4096];
        // SAFETY: the encoder is open; the subtitle is built of memory of libav's, which it frees, and lives through the
        // call; the buffer is of the size that is told.
        let size = unsafe {
            let mut subtitle: AVSubtitle = std::mem::zeroed();
            let rects = av_mallocz(size_of::<*mut AVSubtitleRect>()).cast::<*mut AVSubtitleRect>();
            let rect = av_mallocz(size_of::<AVSubtitleRect>()).cast::<AVSubtitleRect>();
            if rects.is_null() || rect.is_null() {
                av_free(rects.cast());
                av_free(rect.cast());
                return Err(Failure::new("out of memory"));
            }
            (*rect).type_ = AVSubtitleType::SUBTITLE_ASS;
            (*rect).ass = av_strdup(line.as_ptr());
            if (*rect).ass.is_null() {
                av_free(rects.cast());
                av_free(rect.cast());
                return Err(Failure::new("out of memory"));
            }
            *rects = rect;
            subtitle.rects = rects;
            subtitle.num_rects = 1;
            subtitle.end_display_time =
                u32::try_from(caption.end.saturating_sub(caption.start)).unwrap_or(u32::MAX);
            let room = i32::try_from(buffer.len()).unwrap_or(i32::MAX);
            let size = avcodec_encode_subtitle(self.encoder, buffer.as_mut_ptr(), room, &raw const subtitle);
            avsubtitle_free(&raw mut subtitle);
            size
        };
        let size = usize::try_from(size).map_err(|_| Failure::at("encoding text")(ff::Error::from(size)))?;
        buffer.truncate(size);
        Ok(buffer)
    }
}

impl Drop for TextCoder {
    fn drop(&mut self) {
        // SAFETY: both are this one's own, or null.
        unsafe {
            avcodec_free_context(&raw mut self.decoder);
            avcodec_free_context(&raw mut self.encoder);
        }
    }
}
