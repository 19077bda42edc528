//! Single pictures of the source, a file each, and a list of WebVTT that says when each is shown.

use super::{Container, Index, Layout, NO_TRACKS, Pictures, Priming, Tracks};
use crate::intermediate::ffv1::Ffv1;

pub(super) const ENTRY: &Container = &Container {
    name: "thumbnails",
    about: "pictures of the source at times, a file each, with a list of WebVTT",
    muxer: "",
    demuxer: "",
    video: Tracks { codecs: &[&Ffv1], most: 1 },
    audio: NO_TRACKS,
    text: NO_TRACKS,
    covers: NO_TRACKS,
    chapters: false,
    metadata: false,
    timecode: false,
    priming: Priming::Signalled,
    last_length: false,
    index: Index::Frames,
    layout: Layout::Pictures(Pictures::Files { manifest: "thumbnails.vtt" }),
    options: |_| Vec::new(),
};
