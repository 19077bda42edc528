//! The bytes of a packet on its way into an output, without a copy of those that libavcodec holds already.

use std::ops::Deref;

use ffmpeg_next::Packet;

use super::libav::packet::bare;

/// The bytes of a packet.
pub(crate) enum Payload {
    /// Those of a work object, or of a codec's constant.
    Object(Vec<u8>),
    /// Those of the source, as a demuxer gave them.
    Source(Packet),
}

impl Payload {
    /// Returns a packet with these bytes and nothing else.
    pub(crate) fn into_packet(self) -> Packet {
        match self {
            Self::Object(data) => Packet::copy(&data),
            Self::Source(packet) => bare(packet),
        }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Object(data) => data,
            Self::Source(packet) => packet.data().unwrap_or_default(),
        }
    }
}

impl Default for Payload {
    fn default() -> Self {
        Self::Object(Vec::new())
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}
