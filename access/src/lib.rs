//! Where bytes lie, and who may reach them. Pure: nothing here opens, lists or asks anything.
//!
//! A URL or a path is parsed once into a [`Location`], which has one canonical form. What a process, or somebody who asks it for
//! something, may read and write is a [`Reach`]. Locations are compared by whole path components, never by the texts of URLs.

mod location;
mod principal;
mod reach;

pub use location::{
    Location, LocationError, Scheme, as_url, encode_part, object_url, path_of, shown, url_of,
};
pub use principal::{Access, Asked, Limits, Principal, Right};
pub use reach::{Purpose, Reach, Refusal};
