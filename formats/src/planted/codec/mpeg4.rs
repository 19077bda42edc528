//! MPEG-4 Visual (ISO/IEC 14496-2), each segment an encode of its own.

use millrace_schemas::VideoSettings;

use super::{Codec, Form, Kind, Seams, VideoCodec};
use crate::codec::Quality;

pub(super) const ENTRY: &dyn Codec = &Mpeg4;

/// The code that a picture begins with (6.3.5), and the bits behind it that are zero in one that needs no other (6.3.5, table
/// 6-20).
const PICTURE: [u8; 4] = [0, 0, 1, 0xb6];
const CODED_BY_ITSELF: u8 = 0xc0;

/// MPEG-4 Visual.
#[derive(Debug)]
pub(crate) struct Mpeg4;

impl Codec for Mpeg4 {
    fn name(&self) -> &'static str {
        "mpeg4"
    }

    fn kind(&self) -> Kind {
        Kind::Video(&Mpeg4)
    }

    fn encoders(&self) -> &'static [&'static str] {
        &["mpeg4"]
    }

    fn seams(&self) -> Seams {
        Seams::OwnEncode
    }

    fn headers_agree(&self, encoder: &[u8], file: &[u8]) -> bool {
        encoder == file
    }

    fn is_keyframe(&self, packet: &[u8], _: Form) -> bool {
        let at = packet.windows(4).position(|code| code == PICTURE);
        at.and_then(|at| packet.get(at + 4)).is_some_and(|byte| byte & CODED_BY_ITSELF == 0)
    }
}

impl VideoCodec for Mpeg4 {
    fn pixel_formats(&self) -> &'static [&'static str] {
        &["yuv420p"]
    }

    fn presets(&self) -> &'static [&'static str] {
        &[]
    }

    fn usual_preset(&self) -> &'static str {
        ""
    }

    fn quality(&self) -> Quality {
        Quality { best: 0.0, worst: 0.0, usual: 0.0, step: 0.0, halving: 6.0, bits: 0.1 }
    }

    fn fit(&self, settings: &mut VideoSettings) {
        settings.field_order = 0;
    }

    fn options(&self, _: &VideoSettings) -> Vec<(&'static str, String)> {
        vec![("b", "400k".into())]
    }
}
