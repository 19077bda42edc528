//! FFV1 (RFC 9043), without loss and each picture by itself: what single pictures are in work objects, until they are put into files of
//! pictures. No file of tracks holds it.

use millrace_schemas::VideoSettings;

use crate::codec::{Codec, Form, Kind, Quality, Seams, VideoCodec};

pub(super) const ENTRY: &dyn Codec = &Ffv1;

/// FFV1.
#[derive(Debug)]
pub(crate) struct Ffv1;

impl Codec for Ffv1 {
    fn name(&self) -> &'static str {
        "ffv1"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&Ffv1)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["ffv1"]
    }

    fn seams(&self) -> Seams {
        Seams::Stitch
    }

    /// Each picture is coded by itself.
    fn is_keyframe(&self, _: &[u8], _: Form) -> bool {
        true
    }
}

impl VideoCodec for Ffv1 {
    /// Those that files of pictures are made of.
    fn pixel_formats(&self) -> &'static [&'static str] {
        &["yuv420p", "yuv444p"]
    }

    fn presets(&self) -> &'static [&'static str] {
        &[]
    }

    fn usual_preset(&self) -> &'static str {
        ""
    }

    /// There is none: it is without loss.
    fn quality(&self) -> Quality {
        Quality { best: 0.0, worst: 0.0, usual: 0.0, step: 1.0, halving: 1.0, bits: 1.0 }
    }

    fn fit(&self, settings: &mut VideoSettings) {
        settings.field_order = 0;
    }

    /// Version 1, whose keyframes state all that a decoder has to know; each picture is one.
    fn options(&self, _: &VideoSettings) -> Vec<(&'static str, String)> {
        vec![("level", "1".into()), ("g", "1".into())]
    }

    fn encoder_threads(&self, _: usize) -> usize {
        1
    }

    fn decoder_threads(&self, _: usize) -> usize {
        1
    }

    fn held_pictures(&self) -> u64 {
        2
    }
}
