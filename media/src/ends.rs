//! Checks whether a media file ends earlier than its own headers, index or end mark say.
//!
//! A file that is cut off often still opens: libavformat plays what is there and reports an ordinary end of file. The
//! checks here compare the size of the file with what its container states about it. They report only what the
//! container is sure of: a length field that a live writer left as a placeholder states nothing, and neither does a
//! container without a length, a count, an index or an end mark (MPEG program streams, raw video).
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
mod transport;
mod video;
mod wav;

use bytes::Bytes;

use crate::boxes::ReadAt;

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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    impl ReadAt for Vec<u8> {
        fn read_at(&self, buffer: &mut [u8], at: u64) -> std::io::Result<usize> {
            let rest = usize::try_from(at).ok().and_then(|at| self.get(at..)).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
    }

    /// The message for a file, if it is cut off.
    pub(super) fn message(container: &str, file: &[u8]) -> Option<String> {
        ended_early(container, file.len() as u64, &file.to_vec())
    }

    /// Asserts that there is no message for a file, and this one for its first `length` bytes.
    #[track_caller]
    pub(super) fn assert_cut(container: &str, file: &[u8], length: usize, why: &str) {
        assert_eq!(message(container, file), None, "the whole file");
        assert_eq!(message(container, &file[..length]), Some(format!("the source is cut off: {why}")));
    }

    /// A file of ones that has no end, and counts its reads.
    struct Endless(Cell<u32>);

    impl ReadAt for Endless {
        fn read_at(&self, buffer: &mut [u8], _: u64) -> std::io::Result<usize> {
            self.0.set(self.0.get() + 1);
            buffer.fill(1);
            Ok(buffer.len())
        }
    }

    struct Unreadable;

    impl ReadAt for Unreadable {
        fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
            Err(std::io::Error::other("gone"))
        }
    }

    const CONTAINERS: [&str; 40] = [
        "mov,mp4,m4a,3gp,3g2,mj2",
        "matroska,webm",
        "avi",
        "flv",
        "mpegts",
        "ogg",
        "asf",
        "mxf",
        "nut",
        "wav",
        "w64",
        "aiff",
        "iff",
        "caf",
        "rm",
        "voc",
        "dtshd",
        "mp3",
        "aac",
        "ac3",
        "eac3",
        "loas",
        "amr",
        "au",
        "dsf",
        "ape",
        "tta",
        "wv",
        "gif",
        "apng",
        "mjpeg",
        "ivf",
        "yuv4mpegpipe",
        "dv",
        "gxf",
        "roq",
        "bink",
        "smk",
        "mpeg",
        "no such container",
    ];

    #[test]
    fn files_of_no_bytes_and_of_other_bytes_are_not_cut_off() {
        for container in CONTAINERS {
            for file in [vec![], vec![0; 1], vec![0; 100_000], vec![0xff; 100_000], b"RIFF".repeat(20_000)] {
                assert_eq!(ended_early(container, file.len() as u64, &file), None, "{container}");
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_cut_off() {
        for container in CONTAINERS {
            assert_eq!(ended_early(container, 1 << 40, &Unreadable), None, "{container}");
        }
    }

    #[test]
    fn a_check_of_a_file_of_any_size_is_bounded() {
        for container in CONTAINERS {
            let file = Endless(Cell::new(0));
            ended_early(container, i64::MAX as u64, &file);
            assert!(file.0.get() <= 200, "{container} takes {} reads", file.0.get());
        }
    }
}
