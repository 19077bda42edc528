//! Pictures that are encoded so that they can stand before or behind packets that are copied, in one track.
//!
//! A track has one set of codec headers, in front. Two encoders' pictures stand in one track if its headers hold those of both, and
//! each picture says which of them it needs.

use crate::codec::Form;

/// How pictures are encoded so that they can stand beside packets that are copied from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// The options of libavcodec's encoder, beside those that every encoder has (size, clock, colour).
    pub options: Vec<(&'static str, String)>,
    /// The form of the packets that are copied: [`Form::File`], or [`Form::Stream`] if each unit has a start code in front.
    pub form: Form,
}

/// The quality of pictures that are encoded to stand beside copies, as a constant rate factor of libx264: far finer than usual, since
/// they are few, and are seen next to what they were made of.
pub(crate) const SPLICED_CRF: &str = "12";
