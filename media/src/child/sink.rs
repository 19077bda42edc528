//! What fills the work objects of a rendition: frames or packets go in, work objects come out.

mod audio;
mod cover;
mod handover;
mod text;
mod video;
mod work_object;

pub(crate) use self::{
    audio::{AudioEncoder, AudioEnd, AudioSink, MOST_PADDING, Samples},
    cover::{Cover, CoverSink},
    text::TextSink,
    video::{TimedPicture, VideoSink},
    work_object::{Sink, WRITING, begin},
};
