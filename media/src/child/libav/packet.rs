//! Packets.

use ffmpeg_next::{
    Error, Packet,
    ffi::{
        AVPacketSideDataType, av_opt_set, av_packet_free_side_data, av_packet_new_side_data, av_write_frame,
        avio_seek,
    },
    format::context::Output,
    packet::{Flags, Mut as _, side_data::Type},
};

/// Adds codec headers to a packet's side data, as a demuxer does where they change.
pub(crate) fn add_headers(packet: &mut Packet, headers: &[u8]) {
    add_side_data(packet, AVPacketSideDataType::AV_PKT_DATA_NEW_EXTRADATA, headers);
}

/// Says that so many samples at the start and at the end of a packet of sound are not heard.
pub(crate) fn skip_samples(packet: &mut Packet, (start, end): (i64, i64)) {
    // Little-endian, as libavcodec documents `AV_PKT_DATA_SKIP_SAMPLES`: samples at the start, samples at the end, two reasons.
    let bytes = |samples: i64| u32::try_from(samples).unwrap_or(0).to_le_bytes();
    let mut skip = [0; 10];
    skip[..4].copy_from_slice(&bytes(start));
    skip[4..8].copy_from_slice(&bytes(end));
    add_side_data(packet, AVPacketSideDataType::AV_PKT_DATA_SKIP_SAMPLES, &skip);
}

/// Has a muxer write the packets that it holds back to put them together with others.
pub(crate) fn write_held_back(output: &mut Output) -> Result<(), Error> {
    // SAFETY: the context is open for writing, and its header was written; no packet stands for this.
    match unsafe { av_write_frame(output.as_mut_ptr(), std::ptr::null_mut()) } {
        error if error < 0 => Err(Error::from(error)),
        _ => Ok(()),
    }
}

/// Has the muxer of transport streams write the tables of the program again, in front of the next packet.
///
/// # Errors
/// If it is another muxer.
pub(crate) fn restate_tables(output: &mut Output) -> Result<(), Error> {
    // SAFETY: the context is open for writing, so its muxer's own options are there; the texts end with a zero, and are copied.
    let set = unsafe {
        av_opt_set((*output.as_mut_ptr()).priv_data, c"mpegts_flags".as_ptr(), c"+resend_headers".as_ptr(), 0)
    };
    if set < 0 { Err(Error::from(set)) } else { Ok(()) }
}

/// Has a muxer hand on the bytes of packets as it gets them, without a copy of its own: what writes them gathers them.
pub(crate) fn write_at_once(output: &mut Output) {
    // SAFETY: the context is open for writing, and its I/O context is a plain structure that belongs to it, or null.
    if let Some(io) = unsafe { (*output.as_mut_ptr()).pb.as_mut() } {
        io.direct = 1;
    }
}

/// Returns the offset in bytes behind what a muxer has written; 0 if there is none.
pub(crate) fn position(output: &mut Output) -> u64 {
    // SAFETY: the context is open for writing. Of its I/O context, which may be null, libavformat returns where it is, as its macro
    // `avio_tell` does, or a negative number.
    let at = unsafe { avio_seek((*output.as_mut_ptr()).pb, 0, libc::SEEK_CUR) };
    u64::try_from(at).unwrap_or(0)
}

fn add_side_data(packet: &mut Packet, kind: AVPacketSideDataType, bytes: &[u8]) {
    // SAFETY: the packet is whole; libavcodec allocates as many bytes as are asked for, or returns null, and they belong to the
    // packet.
    unsafe {
        let data = av_packet_new_side_data(packet.as_mut_ptr(), kind, bytes.len());
        if !data.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
    }
}

/// Returns the codec headers that come with a packet, if they change there.
pub(crate) fn new_headers(packet: &Packet) -> Option<Vec<u8>> {
    packet.side_data().find(|data| data.kind() == Type::NewExtraData).map(|data| data.data().to_vec())
}

/// Returns a packet with the same bytes, without side data, times and flags.
pub(crate) fn bare(mut packet: Packet) -> Packet {
    // SAFETY: the packet is whole; its side data belongs to it, and is freed once.
    unsafe { av_packet_free_side_data(packet.as_mut_ptr()) };
    packet.set_flags(Flags::empty());
    packet.set_position(-1);
    packet
}
