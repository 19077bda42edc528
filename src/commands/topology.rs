//! `millrace topology`.

use std::collections::HashMap;

use millrace_engine::lag;
use millrace_runtime::{Log, Partition};
use millrace_topology::{Drawing, Numbers, draw, topology as graph};

use super::{CommandError, existing_log, print};
use crate::cli::Topology;

pub(super) async fn topology(call: &Topology) -> Result<u8, CommandError> {
    let drawing = Drawing::from(call.format);
    let log = if drawing == Drawing::Text { existing_log(&call.data).await? } else { None };
    let numbers = match log {
        Some(log) => Some(numbers(log.as_ref()).await?),
        None => None,
    };
    print(draw(&graph(), drawing, numbers.as_ref()).trim_end());
    Ok(0)
}

/// What a log holds, and what of it was not consumed yet.
async fn numbers(log: &dyn Log) -> Result<Numbers, CommandError> {
    let graph = graph();
    let mut numbers = Numbers { depth: HashMap::new(), lag: HashMap::new() };
    for stream in &graph.streams {
        let mut depth = 0;
        for number in 0..log.partitions(stream.name).await? {
            depth += log.depth(&Partition { stream: stream.name.into(), number }).await?;
        }
        numbers.depth.insert(stream.name, depth);
    }
    for processor in &graph.processors {
        numbers.lag.insert(processor.name, lag(log, processor).await?);
    }
    Ok(numbers)
}
