//! Codecs of covers, whose packets and headers a file holds as they are.

use ffmpeg_next::ffi::AVCodecID;
use xxhash_rust::xxh3::xxh3_64;

use super::{Codec, Form};

/// A codec of covers, by libavcodec's id.
#[derive(Debug)]
pub(super) struct Whole(pub(super) AVCodecID);

impl Codec for Whole {
    fn id(&self) -> AVCodecID {
        self.0
    }

    fn is_same_header(&self, encoder: &[u8], file: &[u8]) -> bool {
        encoder == file
    }

    fn digest(&self, packet: &[u8], _: Form) -> u64 {
        xxh3_64(packet)
    }

    fn is_keyframe(&self, _: &[u8], _: Form) -> bool {
        true
    }
}
