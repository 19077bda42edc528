//! Pictures of the transfer of SMPTE ST 428, which no decoder of tests gives, in negative.

use super::{Filter, Pictures};

pub(super) const ENTRY: &dyn Filter = &Negate;

const SMPTE_428: i32 = 17;

/// A negative.
#[derive(Debug)]
pub(crate) struct Negate;

impl Filter for Negate {
    fn name(&self) -> &'static str {
        "negate"
    }

    fn needs(&self) -> &'static [&'static str] {
        &["negate"]
    }

    fn graph(&self, pictures: &Pictures) -> Option<String> {
        let (width, height) = pictures.size;
        (pictures.from.transfer == SMPTE_428)
            .then(|| format!("negate,scale=w={width}:h={height},format=yuv420p"))
    }
}
