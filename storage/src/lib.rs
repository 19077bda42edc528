//! Sources, work objects and outputs, by URL: in files of this machine and in object stores.
//!
//! There are two backends behind one set of traits (`backend.rs`): `files` and `objects`. Files are read and written in place.
//! Objects are read in ranges ([`Ranged`]), by media processes over a socket ([`Opened::descriptor`]); they are written to a
//! nameless file first, and uploaded when they are proven. In both a name appears at once and complete ([`Draft`]). An output takes
//! two steps ([`Staged`]), so that all outputs of an execution appear together, or none does.

mod backend;
mod blocking;
mod draft;
mod error;
mod files;
mod marker;
mod names;
mod objects;
mod opened;
mod output;
mod range_server;
mod record;
mod source;
mod staged;
mod stores;
mod work;

pub use draft::Draft;
pub use error::StorageError;
pub use marker::Marker;
pub use millrace_access::{Location, LocationError, Scheme, as_url, object_url, path_of, shown, url_of};
pub use names::is_place;
pub use objects::ranged::Ranged;
pub use opened::{ObjectSource, Opened};
pub use range_server::Fed;
pub use staged::Staged;
pub use stores::Stores;
pub use work::{Tail, Work};
