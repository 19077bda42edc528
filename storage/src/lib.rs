//! Sources, work objects and outputs, by URL: in files of this machine and in object stores.
//!
//! There are three backends behind one set of traits (`backend.rs`): `files`, `objects`, and `web`, whose files are only read. Files
//! are read and written in place. Objects and files on web servers are read in ranges ([`RangeReader`]), by media processes over a socket ([`OpenSource::descriptor`]); they are written to a
//! nameless file first, and uploaded when they are proven. In both a name appears at once and complete ([`StagedWrite`]). An output takes
//! two steps ([`StagedOutput`]), so that all outputs of an execution appear together, or none does.

mod backend;
mod blocking;
mod error;
mod files;
mod marker;
mod names;
mod objects;
mod open_source;
mod output;
mod package;
mod range_reader;
mod range_server;
mod record;
mod small_output;
mod source;
mod staged_output;
mod staged_write;
mod stores;
mod web;
mod work;

pub use error::StorageError;
pub use marker::Marker;
pub use millrace_access::{
    Location, LocationError, Scheme, as_url, display_url, object_url, path_of, url_of,
};
pub use names::is_work_prefix;
pub use open_source::{ObjectSource, OpenSource};
pub use package::{FoundPackage, Package, PackagePart, is_manifest};
pub use range_reader::RangeReader;
pub use range_server::RangeServer;
pub use small_output::SmallOutput;
pub use staged_output::StagedOutput;
pub use staged_write::StagedWrite;
pub use stores::Stores;
pub use work::{WorkObjectTail, WorkStore};
