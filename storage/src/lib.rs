//! Where bytes lie: sources, work objects and outputs, by URL; in files of this machine and in object stores.
//!
//! Files are read and written where they are. Of objects, sources are read in ranges ([`Ranged`]) and handed to media processes
//! over a socket ([`Opened::descriptor`]); work objects and outputs are written to a file without a name first, proven there,
//! and uploaded. Either way a name appears at once and whole ([`Draft`]); an output in two steps, so that those of an execution
//! appear together or not at all ([`Staged`]).

mod credentials;
mod draft;
mod error;
mod feed;
mod folder;
mod hidden;
mod output;
mod ranged;
mod source;
mod staged;
mod stores;
mod uploads;
mod work;

pub use draft::Draft;
pub use error::StorageError;
pub use feed::Fed;
pub use millrace_access::{Location, LocationError, Scheme, as_url, object_url, path_of, shown, url_of};
pub use ranged::Ranged;
pub use source::{ObjectSource, Opened};
pub use staged::Staged;
pub use stores::Stores;
pub use work::{Marker, Tail, Work, is_place};
