//! What an upload may ask for.

use millrace_formats::{Container, Tables};
use millrace_profiles::Request;
pub use millrace_profiles::{
    Catalog, assets, key_urls, lasting_profile, pin_assets, pin_profile, profile_and_version,
    profile_reference, unpinned_assets,
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

/// Returns the upload of a failed execution for another attempt. It keeps the profile that it was accepted with; one that was not found
/// then is looked up again.
///
/// # Errors
/// If the profile is not found now, or if the upload with it would be another execution, since it has no name.
pub fn pin_again(upload: Upload, profiles: &Catalog) -> Result<Upload, String> {
    match profile_reference(&upload) {
        None => Ok(upload),
        Some(reference) if upload.name.is_none() => Err(format!(
            "the profile '{reference}' was not found when the upload was accepted, and with it the execution is another one: submit it again"
        )),
        Some(_) => pin_profile(upload, profiles).map_err(|error| format!("profile: {error}")),
    }
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
    fn another_attempt_keeps_its_profile_and_looks_up_one_that_was_not_found() {
        let profiles = Catalog::default();
        let of = |profile: &str, name: Option<&str>| Upload {
            profile: Some(profile.into()),
            name: name.map(str::to_owned),
            ..Upload::of("s3://in/a.mov", "s3://out")
        };
        let pinned = of(r#"{ "name": "web", "output": [{"format": "flv"}]}"#, None);
        assert_eq!(pin_again(pinned.clone(), &profiles), Ok(pinned), "to the letter: it is part of the id");
        let found = pin_again(of("web", Some("friday")), &profiles).unwrap();
        assert_eq!(profile_reference(&found), None);
        assert!(pin_again(of("wib", Some("friday")), &profiles).unwrap_err().contains("known profiles"));
        assert!(pin_again(of("web", None), &profiles).unwrap_err().contains("submit it again"));
    }

    #[test]
    fn a_segment_time_is_a_tenth_of_a_second_at_least() {
        for wrong in [0.0, 0.09, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(segment_time(wrong).is_err(), "{wrong}");
        }
        assert!(segment_time(0.1).is_ok());
    }
}
