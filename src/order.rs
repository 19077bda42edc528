//! How sources are to be transcoded: the options that `run`, `submit` and `[[watch]]` share.

use clap::Args;
use millrace_formats::{CONTAINERS, Container};
use millrace_processors::request;
use millrace_schemas::Upload;

use crate::error::CommandError;

/// The length of a segment in seconds, unless it is set otherwise.
pub(crate) const SEGMENT_TIME_SECONDS: f64 = 15.0;

/// How sources are to be transcoded.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    /// A format to make: mp4, mov or flv; may be given several times [default: mp4]
    #[arg(short, long = "format", value_name = "FORMAT")]
    pub(crate) formats: Vec<String>,
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

impl Order {
    /// Returns the formats, each once; the first of [`CONTAINERS`] if none is named.
    ///
    /// # Errors
    /// If there is no format of that name.
    pub(crate) fn formats(&self) -> Result<Vec<&'static Container>, CommandError> {
        let mut found: Vec<&'static Container> = Vec::new();
        for name in &self.formats {
            let format = request::format(name).map_err(CommandError::Call)?;
            if !found.contains(&format) {
                found.push(format);
            }
        }
        if found.is_empty() {
            found.push(CONTAINERS[0]);
        }
        Ok(found)
    }

    /// Returns an upload that asks for this order, of no source and with no output prefix yet. Nothing is checked.
    pub(crate) fn unchecked_upload(&self) -> Upload {
        let upload = Upload {
            source: None,
            segment_time_seconds: self.segment_time,
            overwrite: self.overwrite,
            strict: self.strict,
            keep_location: self.keep_location,
            ..Upload::of("", "")
        };
        let dst_formats = if self.formats.is_empty() { upload.dst_formats } else { self.formats.clone() };
        Upload { dst_formats, ..upload }
    }

    /// Returns an upload of no source yet that asks for this order.
    ///
    /// # Errors
    /// If a format is unknown, or the segment time out of range.
    pub(crate) fn upload(&self, output_prefix: &str) -> Result<Upload, CommandError> {
        let formats = self.formats()?;
        Ok(Upload {
            segment_time_seconds: request::segment_time(self.segment_time).map_err(CommandError::Call)?,
            dst_formats: formats.iter().map(|format| format.name.to_owned()).collect(),
            output_prefix: output_prefix.into(),
            ..self.unchecked_upload()
        })
    }
}
