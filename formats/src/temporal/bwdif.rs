//! Fields become whole pictures, by libavfilter's bwdif: one for each interlaced picture, at its time.

use millrace_schemas::VideoFilters;

use super::TemporalFilter;

pub(super) const ENTRY: &dyn TemporalFilter = &Bwdif;

/// Makes whole pictures of fields, by the pictures before and behind (w3fdif and yadif in one).
#[derive(Debug)]
struct Bwdif;

impl TemporalFilter for Bwdif {
    fn name(&self) -> &'static str {
        "bwdif"
    }

    fn describe(&self, asked: &VideoFilters) -> Option<String> {
        // The field order is each picture's own. It counts times in halves.
        asked.deinterlace.then(|| "bwdif=mode=send_frame:parity=auto:deint=all,settb=expr=1".into())
    }

    fn leads(&self) -> (usize, usize) {
        (1, 1)
    }
}
