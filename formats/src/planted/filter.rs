//! The planted filter.

use crate::filter::{Filter, Pictures};

table! {
    /// What is added to the filters.
    PLANTED: &'static dyn Filter {
        negate,
    }
}
