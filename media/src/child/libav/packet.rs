//! Packets.

use ffmpeg_next::{
    Packet,
    ffi::{AVPacketSideDataType, av_packet_new_side_data},
    packet::{Mut as _, side_data::Type},
};

/// Adds codec headers to a packet's side data, as a demuxer does where they change.
pub(crate) fn add_headers(packet: &mut Packet, headers: &[u8]) {
    let kind = AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA;
    // SAFETY: the packet is whole; libavcodec allocates as many bytes as are asked for, or returns null, and they belong to the
    // packet.
    unsafe {
        let data = av_packet_new_side_data(packet.as_mut_ptr(), kind, headers.len());
        if !data.is_null() {
            std::ptr::copy_nonoverlapping(headers.as_ptr(), data, headers.len());
        }
    }
}

/// Returns the codec headers that come with a packet, if they change there.
pub(crate) fn new_headers(packet: &Packet) -> Option<Vec<u8>> {
    packet.side_data().find(|data| data.kind() == Type::NewExtraData).map(|data| data.data().to_vec())
}
