//! The locations of files and objects, and who may read and write them. Pure: nothing here does I/O.
//!
//! A URL or a path is parsed once into a [`Location`], which has one canonical form. A [`Reach`] is a set of locations that a process
//! or a principal may read or write. Locations are compared by whole path components, never by the texts of URLs.

mod location;
mod principal;
mod reach;

pub use location::{
    Location, LocationError, Scheme, WebAddress, as_url, display_url, encode_part, object_url, path_of,
    url_of,
};
pub use principal::{Access, Limits, Principal, Right, UploadUsage};
pub use reach::{Purpose, Reach, Refusal};
