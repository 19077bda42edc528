//! What an upload may ask for.

use millrace_formats::{Container, Tables};
use millrace_profiles::Request;
pub use millrace_profiles::{
    Catalog, assets, lasting_profile, pin_assets, pin_profile, profile_and_version, profile_reference,
    unpinned_assets,
};
use millrace_schemas::{SourceRef, Upload};
use millrace_topology::ports::{PortError, Storage};

/// Returns an upload whose profile's assets (images and alike) are pinned to their present versions; those that are pinned stay so.
///
/// # Errors
/// If one can't be read.
pub(crate) async fn pin_assets_of<S: Storage + ?Sized>(
    storage: &S,
    upload: Upload,
) -> Result<Upload, PortError> {
    let mut pinned = Vec::new();
    for url in unpinned_assets(&upload) {
        let source = storage.pin(&url).await?;
        // The profile keeps the URL as it is written.
        pinned.push(SourceRef { url, ..source });
    }
    Ok(pin_assets(upload, &pinned))
}

/// The tables of formats; in unit tests, with what those plant.
pub(crate) fn tables() -> &'static Tables {
    #[cfg(not(test))]
    let tables = &millrace_formats::TABLES;
    #[cfg(test)]
    let tables = &millrace_formats::planted::TABLES;
    tables
}

/// Returns the format of this name.
///
/// # Errors
/// If there is none: the text says which there are.
pub fn format(name: &str) -> Result<&'static Container, String> {
    tables().container(name)
}

/// Returns what an upload asks for.
///
/// # Errors
/// If it is not possible, with what would work.
pub fn wanted(upload: &Upload) -> Result<Request, String> {
    Request::of(upload, tables())
}

/// The shortest segment that may be asked for, in seconds: each costs a record, a work object and a keyframe.
const SHORTEST_SEGMENT: f64 = 0.1;

/// Holds a segment time to be one that can be cut by.
///
/// # Errors
/// Where it is less than 0.1 or more than a day, or not a number.
pub fn segment_time(seconds: f64) -> Result<f64, String> {
    if seconds.is_finite() && (SHORTEST_SEGMENT..=86_400.0).contains(&seconds) {
        return Ok(seconds);
    }
    Err(format!(
        "a segment time of {seconds} is out of range: at least {SHORTEST_SEGMENT} seconds, and at most 86400 (15 is usual)"
    ))
}

/// Holds a deadline to be one that can be met.
///
/// # Errors
/// Where it is not more than 0, or not a number.
pub fn deadline(seconds: Option<f64>) -> Result<(), String> {
    match seconds {
        Some(seconds) if !seconds.is_finite() || seconds <= 0.0 => {
            Err(format!("a deadline of {seconds} is out of range: seconds, more than 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_time_is_a_tenth_of_a_second_at_least() {
        for wrong in [0.0, 0.09, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(segment_time(wrong).is_err(), "{wrong}");
        }
        assert!(segment_time(0.1).is_ok());
    }
}
