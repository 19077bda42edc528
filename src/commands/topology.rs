//! `millrace topology`.

use millrace_topology::{draw, topology as graph};

use super::{CommandError, print};
use crate::cli::Topology;

pub(super) fn topology(call: &Topology) -> Result<u8, CommandError> {
    print(draw(&graph(), call.format.into()).trim_end());
    Ok(0)
}
