//! How sources are to be transcoded: the options that `run`, `submit` and `[[watch]]` share.

use std::path::Path;

use clap::Args;
use millrace_formats::CONTAINERS;
use millrace_processors::request;
use millrace_profiles::{Profile, ProfileReference};
use millrace_schemas::Upload;

use crate::{
    error::CommandError,
    profile_file::{read_catalog, read_profile_file},
};

/// The length of a segment in seconds, unless it is set otherwise.
pub(crate) const SEGMENT_TIME_SECONDS: f64 = 15.0;

/// How sources are to be transcoded.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    /// A format to make; may be given several times
    #[arg(short, long = "format", value_name = "FORMAT", help = help_on_formats())]
    pub(crate) formats: Vec<String>,
    /// What to make: the name of a profile ('millrace profiles list'), also as NAME@VERSION, or a file of one in TOML or JSON
    #[arg(short, long, value_name = "NAME|FILE", conflicts_with = "formats")]
    pub(crate) profile: Option<String>,
    /// Length of a segment in seconds, at least 0.1; fractions are fine
    #[arg(long, value_name = "SECONDS", default_value_t = SEGMENT_TIME_SECONDS, allow_negative_numbers = true)]
    pub(crate) segment_time: f64,
    /// Replace output files that came from another source
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Fail where there is anything to warn of in a source (damage, a track that is left out, a clock that drifts), in place of
    /// making what can be made of it and saying what is wrong
    #[arg(long)]
    pub(crate) strict: bool,
    /// Let outputs say where the source was recorded, if it does
    #[arg(long)]
    pub(crate) keep_location: bool,
}

/// Returns the help on `--format`, with all formats of the tables.
fn help_on_formats() -> String {
    let known: Vec<&str> = CONTAINERS.iter().map(|container| container.name).collect();
    let (last, others) = known.split_last().map_or(("", &[][..]), |(last, others)| (*last, others));
    let names = [others.join(", ").as_str(), last].join(" or ");
    format!("A format to make: {names}; may be given several times [default: {}]", CONTAINERS[0].name)
}

impl Order {
    /// Returns an upload that asks for this order, of no source and with no output prefix yet. Nothing is checked.
    pub(crate) fn unchecked_upload(&self) -> Upload {
        let upload = Upload {
            source: None,
            segment_time_seconds: self.segment_time,
            overwrite: self.overwrite,
            strict: self.strict,
            keep_location: self.keep_location,
            profile: self.profile.clone(),
            ..Upload::of("", "")
        };
        let dst_formats = if self.formats.is_empty() { upload.dst_formats } else { self.formats.clone() };
        Upload { dst_formats, ..upload }
    }

    /// Returns an upload of no source yet that asks for this order, with its profile read. `folder` has the user's own profiles.
    ///
    /// # Errors
    /// If it asks for something that is not possible, or the segment time is out of range.
    pub(crate) fn upload(&self, output_prefix: &str, folder: Option<&Path>) -> Result<Upload, CommandError> {
        let profile = self.profile.as_deref().map(|argument| read_profile(argument, folder)).transpose()?;
        let mut upload = Upload {
            segment_time_seconds: request::segment_time(self.segment_time).map_err(CommandError::Call)?,
            output_prefix: output_prefix.into(),
            profile: profile.map(|profile| profile.to_json()),
            ..self.unchecked_upload()
        };
        upload.merge_equal_formats();
        request::wanted(&upload).map_err(CommandError::Call)?;
        Ok(upload)
    }
}

/// Reads the profile that an argument names: a file, one of the user's own in `folder`, or one that ships.
///
/// # Errors
/// If there is none, or it is none.
pub(crate) fn read_profile(argument: &str, folder: Option<&Path>) -> Result<Profile, CommandError> {
    if is_file(argument) {
        return read_profile_file(Path::new(argument))
            .map_err(|reason| CommandError::Call(format!("{argument}: {reason}")));
    }
    let catalog = read_catalog(folder).map_err(CommandError::Call)?;
    catalog.resolve(argument).map_err(|error| {
        CommandError::Call(format!(
            "{error}; a file of yours is named with its extension, such as ours.toml, or is in a folder that --profiles names"
        ))
    })
}

/// Returns a profile as an upload has it: a name as it is, to be looked up when the upload is accepted, and a file as the profile
/// that it is now.
///
/// # Errors
/// If the file can't be read, or is no profile.
pub(crate) fn named_profile(argument: &str) -> Result<String, CommandError> {
    if is_file(argument) {
        return Ok(read_profile(argument, None)?.to_json());
    }
    Ok(argument.to_owned())
}

/// Returns whether the argument `--profile` names a file, and not a profile.
fn is_file(argument: &str) -> bool {
    argument.contains('/') || Path::new(argument).extension().is_some()
}

/// Returns the profile that an argument names, if it is well named and not known here: another process may know it.
pub(crate) fn unknown_name(argument: &str) -> Option<&str> {
    let is_name = !is_file(argument) && argument.parse::<ProfileReference>().is_ok();
    Some(argument).filter(|_| is_name && Profile::resolve(argument).is_err())
}
