//! CMAF (ISO/IEC 23000-19): tracks of movie fragments, each a movie of its own, with the manifests of HLS and of DASH over the same
//! segments.

use super::{Container, Contents, Index, Layout, Manifest, NO_TRACKS, Package, Priming, Tracks, mp4};
use crate::codec::{
    aac::Aac, ac3::Ac3, alac::Alac, av1::Av1, flac::Flac, h264::H264, hevc::Hevc, mp3::Mp3, opus::Opus, vp9::Vp9,
    webvtt::WebVtt,
};

pub(super) const ENTRY: &Container = &Container {
    name: "cmaf",
    about: "HLS and DASH over the same segments: fragmented mp4 of H.264, HEVC, AV1 or VP9, and AAC",
    muxer: mp4::ENTRY.muxer,
    demuxer: mp4::ENTRY.demuxer,
    video: Tracks { codecs: &[&H264, &Hevc, &Av1, &Vp9], most: usize::MAX },
    audio: Tracks { codecs: &[&Aac, &Opus, &Ac3, &Flac, &Alac, &Mp3], most: usize::MAX },
    text: Tracks { codecs: &[&WebVtt], most: usize::MAX },
    covers: NO_TRACKS,
    chapters: false,
    metadata: false,
    timecode: false,
    priming: Priming::Signalled,
    last_length: true,
    index: Index::Fragments,
    layout: Layout::Package(PACKAGE),
    options,
};

pub(super) const PACKAGE: Package = Package {
    manifests: &[Manifest::Dash, Manifest::Hls],
    initialization: "init.mp4",
    segment: "m4s",
    single: "track.mp4",
};

/// Fragments are ended by the caller, without an index behind them. Decoding times are those of the packets, whatever comes first, and
/// composition offsets may be negative, so that no edit list is needed (ISO/IEC 23000-19, 7.5.17, brand `cmf2`). The movie box is written
/// with the first packet, since some codecs state in packets what it has to say.
fn options(_: &Contents) -> Vec<(&'static str, String)> {
    let flags = "frag_custom+cmaf+delay_moov+frag_discont+negative_cts_offsets+skip_trailer";
    vec![
        ("movflags", flags.into()),
        ("use_editlist", "0".into()),
        ("avoid_negative_ts", "disabled".into()),
        ("flush_packets", "1".into()),
        // FLAC, and with FFmpeg 5.1 also Opus, count as experiments.
        ("strict", "experimental".into()),
    ]
}
