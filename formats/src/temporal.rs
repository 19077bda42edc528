//! Filters that need the pictures before and after one: what libavfilter is given, and how many pictures they need.
//!
//! They run on decoded pictures, in front of all other filters, and give one picture for each that they take, at the same time.
//! Each sees a fixed number of pictures, so that a segment with those around it gives what the whole would.

use std::fmt::Debug;

use millrace_schemas::VideoFilters;

table! {
    /// All filters over time, in the order in which pictures go through them.
    TEMPORAL: &'static dyn TemporalFilter {
        bwdif,
        atadenoise,
    }
}

/// A filter that needs the pictures before and after one.
pub trait TemporalFilter: Debug + Sync {
    /// The name of the entry, which is libavfilter's.
    fn name(&self) -> &'static str;

    /// Returns libavfilter's description of the filter; `None` if it is not asked for.
    fn describe(&self, asked: &VideoFilters) -> Option<String>;

    /// The number of pictures before one that it depends on, and the number behind it.
    fn leads(&self) -> (usize, usize);
}

/// Filters over time, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Their description, as libavfilter parses it.
    pub description: String,
    /// libavfilter's filters that they are made of.
    pub needs: Vec<&'static str>,
    /// The number of pictures before one that it depends on.
    pub lead_in: usize,
    /// The number of pictures behind one that it depends on.
    pub lead_out: usize,
}

/// Returns the filters over time that are asked for; `None` if there are none.
#[must_use]
pub fn chain(asked: &VideoFilters) -> Option<Chain> {
    let mut described = Vec::new();
    let mut chain = Chain { description: String::new(), needs: Vec::new(), lead_in: 0, lead_out: 0 };
    for filter in TEMPORAL {
        let Some(description) = filter.describe(asked) else { continue };
        described.push(description);
        chain.needs.push(filter.name());
        let (before, behind) = filter.leads();
        (chain.lead_in, chain.lead_out) = (chain.lead_in + before, chain.lead_out + behind);
    }
    chain.description = described.join(",");
    (!described.is_empty()).then_some(chain)
}

/// Returns how many decoded pictures are kept for what is asked: in the filters, in front of them, and between them and the encoder.
#[must_use]
pub fn held_pictures(asked: &VideoFilters) -> usize {
    // Twice: those that libavfilter keeps, and as many before a segment begins. Two more are on their way.
    let filters = chain(asked).map_or(0, |chain| 2 * (chain.lead_in + 1 + chain.lead_out) + 2);
    filters + if asked.resample { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_one_chain_that_needs_what_its_filters_need() {
        let asked = |deinterlace: bool, denoise: &str| {
            chain(&VideoFilters { deinterlace, denoise: denoise.into(), ..VideoFilters::default() })
        };
        assert_eq!(asked(false, ""), None);
        let fields = asked(true, "").unwrap();
        assert_eq!((fields.lead_in, fields.lead_out, fields.needs), (1, 1, vec!["bwdif"]));
        let both = asked(true, "light").unwrap();
        assert_eq!((both.lead_in, both.lead_out), (5, 5));
        assert!(both.description.starts_with("bwdif=") && both.description.contains(",atadenoise="));
        assert_ne!(asked(false, "light"), asked(false, "strong"));
        assert_eq!(asked(false, "'x"), None, "what is unknown is no filter");
    }
}
