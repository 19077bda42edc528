//! The scale on which a codec's quality is asked for (crf), and how sizes follow from it.

/// The scale of a codec's constant quality, on which less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// The best quality that can be asked for.
    pub best: f64,
    /// The worst quality that can be asked for.
    pub worst: f64,
    /// The quality of a rendition that asks for none.
    pub usual: f64,
    /// The least difference between two qualities; 0 if any number is one.
    pub step: f64,
    /// By how much worse quality halves the size of ordinary film.
    pub halving: f64,
    /// The size of ordinary film at the usual quality, in bits a pixel.
    pub bits: f64,
}
