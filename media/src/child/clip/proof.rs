//! A finished clip is read again: each picture must be there, once, at its time, and with the bytes that were written.

use std::{
    fs::File,
    io::{self, Seek as _},
};

use ffmpeg_next::{Packet, ffi::AVMediaType};
use millrace_formats::{
    codec::Form,
    container::{Container, Index},
};
use twox_hash::XxHash3_64;

use super::start::times;
use crate::child::{
    alive,
    failure::Failure,
    libav::stream::fields,
    source::{Depth, Source},
};

/// What was written of the pictures, in decoding order.
#[derive(Default)]
pub(super) struct Proof {
    /// Presentation times in ticks of the clip.
    times: Vec<i64>,
    /// Digests of their bytes, where the container keeps their form.
    digests: Vec<Option<u64>>,
}

impl Proof {
    /// Notes the bytes of a picture that is about to be written, in their form if it is known.
    pub(super) fn write(&mut self, data: &[u8], form: Option<Form>) {
        self.digests.push((form == Some(Form::File)).then(|| XxHash3_64::oneshot(data)));
    }

    /// Notes when the picture is shown, in ticks of the clip.
    pub(super) fn place(&mut self, pts: i64) {
        self.times.push(pts);
    }

    /// Returns the number of pictures.
    pub(super) fn pictures(&self) -> u32 {
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    /// Holds a clip to what was written.
    ///
    /// # Errors
    /// If it can't be read, or its pictures are others.
    pub(super) fn hold(&self, mut file: File, container: &Container) -> Result<(), Failure> {
        let doing = "reading the clip again";
        file.rewind().map_err(Failure::at(doing))?;
        let mut clip = Source::open(file, Depth::Packets)?;
        let is_video =
            |stream: &ffmpeg_next::Stream<'_>| fields(stream).1.codec_type == AVMediaType::AVMEDIA_TYPE_VIDEO;
        let video = clip.input.streams().find(is_video).map(|stream| fields(&stream).0.index);
        let video = video.ok_or_else(|| differs("it has no pictures"))?;
        clip.only(&[video])?;
        // Units of a stream have other bytes between them.
        let keeps_form = container.index != Index::Stream;
        let (mut read, mut packet) = (0, Packet::empty());
        let mut first = None;
        while clip.read_as_it_is(&[video], &mut packet).map_err(Failure::at(doing))?.is_some() {
            alive::sign();
            let (Some(pts), Some(digest)) = (self.times.get(read), self.digests.get(read)) else {
                return Err(differs(&format!("it has more than {read} pictures")));
            };
            let found = times(&packet).ok_or_else(|| differs("a picture has no time"))?.pts;
            // Edit lists and clocks move all of them alike.
            let moved = *first.get_or_insert(found.wrapping_sub(*pts));
            if found.wrapping_sub(*pts) != moved {
                return Err(differs(&format!("picture {read} is shown at another time")));
            }
            let data = packet.data().unwrap_or_default();
            if keeps_form && digest.is_some_and(|digest| XxHash3_64::oneshot(data) != digest) {
                return Err(differs(&format!("picture {read} has other bytes")));
            }
            read += 1;
        }
        if read == self.times.len() {
            Ok(())
        } else {
            Err(differs(&format!("it has {read} of {} pictures", self.times.len())))
        }
    }
}

fn differs(what: &str) -> Failure {
    Failure::at("reading the clip again")(io::Error::other(format!("{what}; this is a fault of Millrace")))
}
