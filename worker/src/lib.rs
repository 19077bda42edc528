//! One process of a cluster: the processors on a log, and the ports through which they reach media and bytes.
//!
//! [`Worker`] starts the processors of [`millrace_engine`] and implements their ports ([`millrace_topology::ports`]): bytes go through
//! [`millrace_storage`], media through child processes ([`millrace_media::Launcher`]). It decides how many children run at once and
//! with how many cores, and when a child has taken too long. [`Probes`] inspects and verifies files outside of any execution, and [`LightWork`] makes
//! pictures of them.
//!
//! This crate knows no settings file, no command line and no HTTP.

mod assets;
mod batch;
mod children;
mod compute;
mod error;
mod keys;
mod light;
mod limits;
mod metrics;
mod ports;
mod probe;
mod sandbox;
mod settings;
mod slots;
mod sockets;
mod stored;
mod worker;

pub use error::WorkerError;
pub use keys::{Keys, variable as key_variable};
pub use light::{LONGEST_PICTURE_FILE, LightWork, Made};
pub use metrics::{count_profile_fault, describe as describe_metrics, set_faulty_profiles};
pub use probe::{Comparison, MadeOf, PackageContents, PackageTrack, Probes, probe_json};
pub use sandbox::{MediaProcessSettings, check_sandbox};
pub use settings::{DEFAULT_STORE, WorkerSettings};
pub use worker::Worker;
