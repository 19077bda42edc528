//! What fills the work objects of a rendition: frames or packets go in, work objects come out.

mod audio;
mod cover;
mod options;
mod text;
mod video;
mod work_object;

pub(crate) use self::{
    audio::{AudioEnd, AudioSink, Samples},
    cover::{Cover, CoverSink},
    options::{LEAD_FRAMES, TAIL_FRAMES, encoder, is_text, packet_length},
    text::TextSink,
    video::{Picture, VideoEnd, VideoSink},
    work_object::Sink,
};
