//! Pictures of a clip that can't be copied: decoded, and encoded so that they can stand beside the packets that are.

use std::collections::{BTreeSet, VecDeque};

use ffmpeg_next::{self as ff, Packet, frame};
use millrace_formats::{Splice, codec::Form};
use millrace_schemas::{Picture, Ratio, VideoSettings, VideoTrack};

use crate::child::{
    alive,
    codec::{Codec, VideoCodec, dictionary, encoder, tables},
    decode::{Decoder, Received, lengths},
    failure::Failure,
    libav::{
        codec::{headers, name_of, video_encoder},
        stream::{extradata, fields},
    },
    source::Source,
};

/// How pictures of a source are encoded beside its own packets.
pub(super) struct Splicer {
    codec: &'static dyn Codec,
    video: &'static dyn VideoCodec,
    stream: i32,
    settings: VideoSettings,
    splice: Splice,
    /// The codec headers of the source.
    headers: Vec<u8>,
    cores: usize,
}

/// A picture that was encoded.
pub(super) struct Encoded {
    /// The presentation time, in ticks of the source.
    pub(super) pts: i64,
    /// For how long it is shown, in ticks; 0 if that is not known.
    pub(super) length: i64,
    pub(super) is_key: bool,
    /// Its bytes, in the form of the packets beside it.
    pub(super) data: Vec<u8>,
}

impl Splicer {
    /// Plans how pictures of a track are encoded. Nothing is opened yet.
    ///
    /// # Errors
    /// If the track is not there. Within: the name of its codec and the reason, if its pictures can't be encoded so.
    pub(super) fn new(
        source: &Source,
        track: &VideoTrack,
        cores: usize,
    ) -> Result<Result<Self, (String, String)>, Failure> {
        let index = usize::try_from(track.stream).unwrap_or(usize::MAX);
        let stream = source.input.stream(index).ok_or_else(|| Failure::new("a stream went missing"))?;
        let parameters = fields(&stream).1;
        let name = name_of(parameters.codec_id);
        let known = tables().codec(&name).ok().and_then(|codec| Some((codec, codec.video()?)));
        let Some((codec, video)) = known else {
            return Ok(Err((name, "nothing here encodes them".into())));
        };
        // As they are coded: players turn them.
        let (width, height) = (parameters.width, parameters.height);
        let picture = Picture { width, height, rotation: 0, mirrored: false, ..track.picture.clone() };
        let mut settings = VideoSettings::of(&name, &picture);
        settings.light.clone_from(&picture.light);
        let Ratio { num, den } = settings.sample_aspect;
        if track.picture.rotation % 180 != 0 && num > 0 {
            settings.sample_aspect = Ratio { num: den, den: num };
        }
        video.fit(&mut settings);
        let headers = extradata(parameters).to_vec();
        Ok(match video.splice(&settings, &headers) {
            Ok(splice) => Ok(Self { codec, video, stream: track.stream, settings, splice, headers, cores }),
            Err(reason) => Err((name, reason)),
        })
    }

    /// Returns `true` if nothing behind a keyframe needs what is before it, so that it can follow other pictures.
    pub(super) fn is_clean(&self, keyframe: &Packet) -> bool {
        self.codec.is_keyframe(keyframe.data().unwrap_or_default(), self.splice.form)
    }

    /// Opens the encoder.
    fn open(&self) -> Result<ff::encoder::video::Encoder, Failure> {
        let threads = self.video.encoder_threads(self.cores);
        let threads = i32::try_from(threads.clamp(1, 8)).unwrap_or(1);
        let context = video_encoder(encoder(&self.settings.codec, "")?, &self.settings, threads)?;
        let options = dictionary(&self.splice.options);
        let opened = context.encoder().video().and_then(|video| video.open_with(options));
        opened.map_err(Failure::at("opening the video encoder"))
    }

    /// Returns the codec headers of its encoder.
    ///
    /// # Errors
    /// If the encoder can't be opened.
    pub(super) fn encoder_headers(&self) -> Result<Vec<u8>, Failure> {
        let encoder = self.open()?;
        Ok(headers(&encoder))
    }

    /// Returns the codec headers of a track of both.
    ///
    /// # Errors
    /// If they don't fit into one.
    pub(super) fn headers_of_both(&self, encoder: &[u8]) -> Result<Vec<u8>, Failure> {
        let both = self.video.spliced_headers(&self.headers, encoder);
        both.ok_or_else(|| Failure::new("the codec headers of the source can't be joined with an encoder's"))
    }

    /// Returns `true` if a packet of the source holds headers that take the place of the encoder's.
    pub(super) fn replaces_headers(&self, encoder: &[u8], packet: &Packet) -> bool {
        self.video.replaces_headers(encoder, packet.data().unwrap_or_default(), self.splice.form)
    }

    /// Returns the form of the source's packets.
    pub(super) fn form(&self) -> Form {
        self.splice.form
    }

    /// Begins a part of the track from one presentation time up to another.
    ///
    /// # Errors
    /// If a decoder or the encoder can't be opened.
    pub(super) fn begin(&self, source: &Source, from: i64, end: i64) -> Result<SplicedPart<'_>, Failure> {
        let encoder = self.open()?;
        let decoder = Decoder::open(source, self.stream, self.video.decoder_threads(self.cores))?;
        let tick = source.clock(self.stream);
        let tick = tick.num as f64 / tick.den as f64;
        Ok(SplicedPart {
            splicer: self,
            decoder,
            encoder,
            range: (from, end),
            tick,
            due: BTreeSet::new(),
            lengths: VecDeque::new(),
        })
    }
}

/// Pictures of a part that are being encoded.
pub(super) struct SplicedPart<'a> {
    splicer: &'a Splicer,
    decoder: Decoder<frame::Video>,
    encoder: ff::encoder::video::Encoder,
    range: (i64, i64),
    tick: f64,
    /// The times of packets in the part whose pictures did not come out yet.
    due: BTreeSet<i64>,
    /// Times and lengths of pictures in the encoder.
    lengths: VecDeque<(i64, i64)>,
}

impl SplicedPart<'_> {
    /// Takes the next packet of the track. Returns the pictures that are done.
    ///
    /// # Errors
    /// If a picture can't be encoded.
    pub(super) fn take(&mut self, packet: &Packet) -> Result<Vec<Encoded>, Failure> {
        let pts = packet.pts().or(packet.dts());
        self.due.extend(pts.filter(|pts| (self.range.0..self.range.1).contains(pts)));
        // A damaged packet costs its pictures, which are missed at the end.
        let _ = self.decoder.send(packet);
        self.encode()
    }

    /// Returns the pictures that are left.
    ///
    /// # Errors
    /// If a picture can't be encoded, or could not be decoded.
    pub(super) fn finish(mut self) -> Result<Vec<Encoded>, Failure> {
        self.decoder.end();
        let mut made = self.encode()?;
        self.encoder.send_eof().map_err(Failure::at("encoding the last pictures"))?;
        self.receive(&mut made)?;
        match self.due.first() {
            None => Ok(made),
            Some(first) => Err(Failure::new(format!(
                "{} pictures can't be decoded, the first one at {:.3} s of its clock: the source is damaged there, or begins within a \
                 group of pictures; begin elsewhere, or give --from-keyframe",
                self.due.len(),
                *first as f64 * self.tick
            ))),
        }
    }

    fn encode(&mut self) -> Result<Vec<Encoded>, Failure> {
        let mut made = Vec::new();
        loop {
            alive::sign();
            match self.decoder.receive() {
                Received::Nothing => return Ok(made),
                Received::Damaged => {}
                Received::Frame(frame) => self.encode_one(frame, &mut made)?,
            }
        }
    }

    fn encode_one(&mut self, mut frame: frame::Video, made: &mut Vec<Encoded>) -> Result<(), Failure> {
        let Some(pts) = frame.timestamp().filter(|pts| self.due.remove(pts)) else { return Ok(()) };
        let settings = &self.splicer.settings;
        let size = (frame.width(), frame.height());
        if size != (settings.width.unsigned_abs(), settings.height.unsigned_abs()) {
            return Err(Failure::new(format!(
                "the size of pictures changes within the source, to {}x{}: the clip can't be joined there",
                size.0, size.1
            )));
        }
        self.lengths.push_back((pts, lengths::length(&frame)));
        frame.set_pts(Some(pts));
        frame.set_kind(ff::picture::Type::None);
        self.encoder.send_frame(&frame).map_err(Failure::at("encoding a picture"))?;
        self.receive(made)
    }

    fn receive(&mut self, made: &mut Vec<Encoded>) -> Result<(), Failure> {
        let mut packet = Packet::empty();
        while self.encoder.receive_packet(&mut packet).is_ok() {
            alive::sign();
            let pts = packet.pts().ok_or_else(|| Failure::new("the encoder gave a packet without a time"))?;
            let sent = self.lengths.iter().position(|(sent, _)| *sent == pts);
            let length = sent.and_then(|at| self.lengths.remove(at)).map_or(0, |(_, length)| length);
            let splicer = self.splicer;
            let data = packet.data().unwrap_or_default();
            let data = splicer.video.spliced_packet(data, splicer.splice.form);
            made.push(Encoded { pts, length, is_key: packet.is_key(), data });
        }
        Ok(())
    }
}
