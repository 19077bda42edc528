//! Checks whether a media file ends earlier than its own headers, index or end mark say.
//!
//! A file that is cut off often still opens: libavformat plays what is there and reports an ordinary end of file. The
//! checks here compare the size of the file with what its container states about it. They report only reliable
//! statements: a length field that a live writer left as a placeholder states nothing, and neither does a container
//! without a length, a count, an index or an end mark (MPEG program streams, raw video).
//!
//! Every number in the file is untrusted. The cost is bounded by [`Bytes`], whatever the file says.

mod asf;
mod audio;
mod avi;
mod bytes;
mod chunks;
mod flv;
mod frames;
mod matroska;
mod mp3;
mod mp4;
mod mxf;
mod nut;
mod ogg;
mod pictures;
mod stream;
#[cfg(test)]
mod tests;
mod transport;
mod video;
mod wav;

use bytes::Bytes;

use crate::read_at::ReadAt;

/// Returns what is missing at the end of a file of `size` bytes, as a message that begins with "the source is cut
/// off: ". `None` if nothing is known to be missing, also if the file can't be read.
///
/// `container` is the name of libavformat's demuxer, e.g. `mov,mp4,m4a,3gp,3g2,mj2`. At most 200 reads and 16 MiB are
/// spent, and mostly one read or two.
pub(crate) fn ended_early(container: &str, size: u64, file: &impl ReadAt) -> Option<String> {
    // Offsets are added up below this without an overflow.
    let size = i64::try_from(size).ok()?.cast_unsigned();
    let bytes = &Bytes::new(file, size);
    match container.split(',').next().unwrap_or_default() {
        "mov" | "mp4" => mp4::missing(bytes),
        "matroska" | "webm" => matroska::missing(bytes),
        "avi" => avi::missing(bytes),
        "flv" | "live_flv" | "kux" => flv::missing(bytes),
        "mpegts" | "mpegtsraw" => transport::missing(bytes),
        "ogg" => ogg::missing(bytes),
        "asf" | "asf_o" => asf::missing(bytes),
        "mxf" => mxf::missing(bytes),
        "nut" => nut::missing(bytes),
        "wav" | "qcp" | "xwma" => wav::riff(bytes),
        "w64" => wav::wave64(bytes),
        "aiff" | "iff" => chunks::iff(bytes),
        "caf" => chunks::core_audio(bytes),
        "rm" => chunks::real_media(bytes),
        "voc" => chunks::creative_voice(bytes),
        "dtshd" => chunks::dts_hd(bytes),
        "mp3" => mp3::missing(bytes),
        "aac" => stream::adts(bytes),
        "ac3" | "eac3" => stream::ac3(bytes),
        "loas" => stream::loas(bytes),
        "amr" => stream::amr(bytes),
        "au" => audio::sun(bytes),
        "dsf" => audio::dsf(bytes),
        "ape" => audio::monkeys_audio(bytes),
        "tta" => audio::true_audio(bytes),
        "wv" => audio::wavpack(bytes),
        "gif" => pictures::gif(bytes),
        "apng" | "png_pipe" => pictures::png(bytes),
        "mjpeg" | "jpeg_pipe" => pictures::motion_jpeg(bytes),
        "ivf" => video::ivf(bytes),
        "yuv4mpegpipe" => video::yuv4mpeg(bytes),
        "dv" => video::dv(bytes),
        "gxf" => video::gxf(bytes),
        "roq" => video::roq(bytes),
        "bink" => video::bink(bytes),
        "smk" => video::smacker(bytes),
        _ => None,
    }
}
