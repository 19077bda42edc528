//! Keeps a cover, as it is.

use std::fs::File;

use millrace_schemas::{Made, Rendition, SideSettings};

use super::work_object::{Sink, WRITING, begin};
use crate::{
    child::failure::Failure,
    packets::{Header, TrailerFacts},
    seams::Decoded,
};

/// A cover: the bytes of a picture's file, and its width and height in pixels.
pub(crate) struct Cover<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) size: (i32, i32),
}

/// The work object of a cover, which has one packet.
pub(crate) struct CoverSink {
    settings: SideSettings,
    rendition: String,
    output: File,
    cover: Option<(Vec<u8>, (i32, i32))>,
}

impl CoverSink {
    /// A sink for the cover of this rendition.
    pub(crate) fn new(rendition: &Rendition, settings: SideSettings, output: File) -> Self {
        Self { settings, rendition: rendition.id.clone(), output, cover: None }
    }
}

impl Sink for CoverSink {
    type Input<'a> = Cover<'a>;
    type End<'a> = ();

    fn push(&mut self, cover: Cover<'_>) -> Result<Vec<Made>, Failure> {
        if cover.size.0 < 1 || cover.size.1 < 1 {
            return Err(Failure::new("the cover has no size: it is damaged"));
        }
        self.cover = Some((cover.data.to_vec(), cover.size));
        Ok(Vec::new())
    }

    fn finish(self, (): ()) -> Result<Vec<Made>, Failure> {
        let (data, size) = self.cover.ok_or_else(|| Failure::new("the cover is gone"))?;
        let header = Header {
            extradata: Vec::new(),
            clock: (1, 1000),
            video: None,
            audio: None,
            side: Some(self.settings),
            size: Some(size),
            padding: 0,
            frame_size: 0,
            source_stream: None,
        };
        let mut writer = begin(self.output, &header)?;
        writer.write_packet(true, 0, 0, &data).map_err(Failure::at(WRITING))?;
        let facts = TrailerFacts {
            rendition: self.rendition,
            units: 1,
            packets: 1,
            first: 0,
            next: None,
            reorder: 0,
            warnings: Vec::new(),
        };
        let made = writer.finish(facts, &Decoded::default()).map_err(Failure::at(WRITING))?;
        Ok(vec![made])
    }
}
