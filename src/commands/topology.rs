//! `millrace topology`.

use std::collections::HashMap;

use millrace_engine::lag;
use millrace_processors::topology as graph;
use millrace_runtime::{Log, Partition, announce};
use millrace_topology::{Drawing, RecordCounts, draw};

use crate::{
    cli::Topology,
    config::Config,
    error::CommandError,
    shell::connect::{connect, existing_log},
    terminal::{note, print, print_lines},
};

pub(super) async fn topology(call: &Topology) -> Result<u8, CommandError> {
    if call.apply || call.check || call.acls.is_some() {
        return cluster(call).await;
    }
    let drawing = Drawing::from(call.format);
    let log = if drawing == Drawing::Text { existing_log(&call.log, false).await? } else { None };
    let numbers = match log {
        Some(log) => Some(numbers(log.as_ref()).await?),
        None => None,
    };
    print_lines(&draw(&graph(), drawing, numbers.as_ref()));
    Ok(0)
}

/// What a cluster is to have, and has.
async fn cluster(call: &Topology) -> Result<u8, CommandError> {
    let config = Config::load(&call.log, &[])?;
    let unnamed = || CommandError::Call("name a cluster with --brokers, such as kafka:9092".into());
    let settings = config.kafka().ok_or_else(unnamed)?;
    if let Some(principal) = &call.acls {
        millrace_kafka::acls(&graph(), &settings, principal).iter().for_each(|line| print(line));
        return Ok(0);
    }
    let kafka = connect(&config, call.apply).await?.ok_or_else(unnamed)?;
    if call.apply {
        let made = kafka.apply(&graph().streams).await?;
        announce(kafka.as_ref()).await?;
        made.iter().for_each(|name| print(&format!("made  {name}")));
        if made.is_empty() {
            note("all topics were there already");
        }
    }
    let found = kafka.check(&graph()).await?;
    found.iter().for_each(|difference| print(&difference.to_string()));
    if found.is_empty() && call.check {
        note("the cluster is as the graph has it");
    }
    Ok(u8::from(found.iter().any(|difference| difference.is_fatal)))
}

/// What a log holds, and what of it was not consumed yet.
async fn numbers(log: &dyn Log) -> Result<RecordCounts, CommandError> {
    let graph = graph();
    let mut numbers = RecordCounts { depth: HashMap::new(), lag: HashMap::new() };
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
