//! Profiles: what is made of a source, as data. A profile says which outputs there are, and what their video and audio are to be.
//! Pure: no file is read here.
//!
//! [`Profile`] is what a file or an upload says; [`Profile::wanted`] checks it against the tables of formats, and returns what the
//! planner works by.

mod amounts;
mod asset;
mod bounds;
mod catalog;
mod check;
mod color;
mod copies;
mod copying;
mod crop;
mod division;
mod encryption;
mod ends;
mod geometry;
mod keys;
mod ladder;
mod length;
mod lettering;
mod name;
mod over_time;
mod pictures;
mod problems;
mod profile;
mod request;
mod rungs;
mod shipped;
mod subtitles;
mod timecode;
mod timing;
mod trim;
mod wanted;
mod watermark;
mod waveform;

pub use amounts::{BitRate, Seconds, Size};
pub use asset::Asset;
pub use catalog::{Catalog, CatalogEntry, Origin};
pub use crop::{Crop, Rotate};
pub use division::Division;
pub use encryption::Encryption;
pub use ends::{Ends, IMAGE, ends, profile_with};
pub use keys::{KEYS, Key, documentation};
pub use ladder::for_source;
pub use length::Length;
pub use name::{ProfileName, ProfileReference, ProfileVersion};
pub use pictures::PicturesAsked;
pub use problems::Problem;
pub use profile::{Audio, Output, Profile, ProfileError, SourceTerms, Video};
pub use request::{
    Request, assets, key_urls, lasting_profile, pin_assets, pin_profile, profile_and_version,
    profile_reference, unpinned_assets,
};
pub use rungs::{Rung, Rungs};
pub use shipped::{SHIPPED, shipped};
pub use subtitles::Subtitles;
pub use timing::{Deinterlace, Denoise, FrameRate, Rate};
pub use trim::TrimTimes;
pub use wanted::Wanted;
pub use watermark::{Place, Watermark};
pub use waveform::WaveformAsked;
