//! Makes text that of mp4: texts that are shown at the same time become one, in packets that follow each other.

use std::fs::File;

use ffmpeg_next::{Packet, codec};
use millrace_schemas::{Made, Rendition, SideSettings, Trim};

use super::work_object::{Sink, WRITING, begin};
use crate::{
    captions::combine_overlapping,
    child::{
        codec::encoder,
        damage::{self, Damage},
        failure::Failure,
        texts::{MILLISECONDS, Texts},
    },
    packets::{Header, TrailerFacts},
    seams::Decoded,
    timeline::Clock,
};

/// The longest packet of text, in milliseconds: mp4's microseconds of it fit 31 bits. What is shown for longer is repeated, up to a day.
const LONGEST_PACKET: i64 = 1_800_000;
const LONGEST_SHOWN: i64 = 86_400_000;

/// The work object of a text track.
pub(crate) struct TextSink {
    texts: Texts,
    /// The clock of the packets that come in.
    clock: Clock,
    settings: SideSettings,
    rendition: String,
    output: File,
    /// The start and the end of the part of the source that is used, in milliseconds.
    part: (i64, i64),
    is_full: bool,
    damage: Damage,
}

impl TextSink {
    /// Opens the decoder of a stream with these parameters and this clock, and the encoder; of `trim`, texts are cut to it.
    ///
    /// # Errors
    /// If this FFmpeg has no such decoder or encoder.
    pub(crate) fn open(
        rendition: &Rendition,
        (settings, trim): (SideSettings, Option<Trim>),
        output: File,
        track: (&codec::Parameters, Clock),
    ) -> Result<Self, Failure> {
        let part = trim.map(|trim| trim.samples(MILLISECONDS.den));
        Ok(Self {
            texts: Texts::open(track, encoder(&settings.codec, "")?)?,
            clock: track.1,
            settings,
            rendition: rendition.id.clone(),
            output,
            part: (part.map_or(i64::MIN, |part| part.0), part.and_then(|part| part.1).unwrap_or(i64::MAX)),
            is_full: false,
            damage: Damage::default(),
        })
    }

    /// Returns `true` if what follows is behind the part of the source that is used.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns the packets of all captions: time and length in milliseconds, and what is in them.
    fn packets(&mut self) -> Result<Vec<(i64, i64, Vec<u8>)>, Failure> {
        let mut captions = self.texts.take();
        // Of many texts none is shown for hours.
        let longest = if captions.len() > 1000 { 2 * LONGEST_PACKET } else { LONGEST_SHOWN };
        for caption in &mut captions {
            caption.end = caption.end.min(caption.start.saturating_add(longest));
            // One that is shown outside of the part is no longer any, and is removed.
            caption.start = caption.start.max(self.part.0);
            caption.end = caption.end.min(self.part.1);
        }
        let layout = combine_overlapping(captions);
        if layout.left_out > 0 {
            let count = layout.left_out;
            self.damage.ended(format!("{count} texts are left out: too many are shown at the same time"));
        }
        let mut packets = Vec::new();
        for caption in layout.captions {
            let data = self.texts.coder.encode(&caption.text, caption.end.saturating_sub(caption.start))?;
            let mut start = caption.start;
            while start < caption.end {
                let end = caption.end.min(start.saturating_add(LONGEST_PACKET));
                packets.push((start, end - start, data.clone()));
                start = end;
            }
        }
        Ok(packets)
    }
}

impl Sink for TextSink {
    type Input<'a> = &'a mut Packet;
    type End<'a> = ();

    /// Takes a packet of the stream. One that can't be decoded is noted as damage.
    fn push(&mut self, packet: &mut Packet) -> Result<Vec<Made>, Failure> {
        let Some(start) = self.texts.start(packet) else { return Ok(Vec::new()) };
        if start >= self.part.1 {
            self.is_full = true;
            return Ok(Vec::new());
        }
        if !self.texts.push(packet, start)? {
            let tick = self.clock.num as f64 / self.clock.den as f64;
            self.damage.packet(damage::at(packet, tick));
        }
        Ok(Vec::new())
    }

    fn finish(mut self, (): ()) -> Result<Vec<Made>, Failure> {
        let packets = self.packets()?;
        let header = Header {
            extradata: self.texts.coder.headers(),
            clock: (1, 1000),
            video: None,
            audio: None,
            side: Some(self.settings),
            size: None,
            padding: 0,
            frame_size: 0,
            source_stream: None,
        };
        let mut writer = begin(self.output, &header)?;
        for (pts, length, data) in &packets {
            writer.write_packet(true, *pts, *length, data).map_err(Failure::at(WRITING))?;
        }
        let count = i64::try_from(packets.len()).unwrap_or(i64::MAX);
        let facts = TrailerFacts {
            rendition: self.rendition,
            units: count,
            packets: count,
            first: packets.first().map_or(0, |packet| packet.0),
            next: None,
            reorder: 0,
            warnings: self.damage.warnings("texts", None, None),
        };
        let made = writer.finish(facts, &Decoded::default()).map_err(Failure::at(WRITING))?;
        Ok(vec![made])
    }
}
