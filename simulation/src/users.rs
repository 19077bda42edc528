//! The users: they upload, upload again, cancel, retry and reset offsets; and other programs append foreign
//! records.

use std::sync::Arc;

use fastrand::Rng;
use millrace_processors::{
    cleanup,
    request::{Catalog, pin_profile},
    topology,
};
use millrace_runtime::{Log, LogError, NewRecord, Partition, Transaction, read_table};
use millrace_schemas::{
    Assembly, Cancelled, Phase, Signal, SourceRef, Upload, execution_id, frame::Record as _,
};
use millrace_topology::{Emit, streams};
use tokio::time::sleep;

use crate::{
    clock,
    plan::InjectedFault,
    ports::random_source,
    profiles::{CHANGING, average},
    world::World,
};

/// Appends records until the commit is acknowledged.
async fn append(world: &World, emits: Vec<Emit>) {
    loop {
        let records = emits.iter().cloned().map(NewRecord::from).collect();
        match world.log.commit(Transaction { records, ..Transaction::default() }).await {
            // After a lost acknowledgement the records are sent again, as producers do.
            Err(LogError::Aborted { .. } | LogError::Uncertain { .. }) => {
                sleep(world.milliseconds(10, 500)).await;
            }
            _ => return,
        }
    }
}

/// Puts a source into the store and uploads it. Returns the execution.
pub(crate) async fn upload(world: &Arc<World>, number: u64) -> Option<String> {
    sleep(world.milliseconds(0, world.plan.seconds * 500)).await;
    let url = format!("sim://in/{number}.mov");
    let source = world.random(|rng| random_source(rng, &world.plan));
    world.store().sources.insert(url.clone(), source);
    let mut upload = Upload { segment_time_seconds: 1.0, ..Upload::of(&url, "sim://out") };
    if world.random(Rng::bool) {
        upload.dst_formats = vec!["mp4".into(), "flv".into()];
    }
    if world.random(Rng::bool) {
        // A package beside what else there is.
        upload.dst_formats.push("cmaf".into());
    }
    if number % 3 == 1 {
        upload.dst_formats = Upload::of("", "").dst_formats;
        // As it is pinned: executions are named by that.
        upload = pin_profile(Upload { profile: Some(average("1M")), ..upload }, &Catalog::default()).ok()?;
    }
    match world.random(|rng| rng.u8(0..3)) {
        0 => upload.name = Some(format!("upload {number}")),
        1 => upload.version = Some("1".into()),
        _ => {}
    }
    if upload.name.is_some() && upload.profile.is_some() {
        // Its execution has the same id in whatever version it is accepted.
        upload.profile = Some(CHANGING.into());
    }
    if world.plan.has(InjectedFault::Deadline) && world.random(Rng::bool) {
        upload.deadline_seconds = Some(world.random(Rng::f64) * 60.0 + 0.5);
    }
    let pinned = SourceRef { url: url.clone(), version: "1".into(), bytes: 1 };
    let execution = execution_id(&upload, &pinned);
    world.trace(|| format!("upload {number}: {execution} of {:?}", world.store().sources.get(&url)));
    let emit = Emit::new(streams::UPLOADS, &url, &upload).ok()?;
    append(world, vec![emit.clone()]).await;
    if world.injects(InjectedFault::Duplicate, 0.7) {
        sleep(world.milliseconds(1, 20_000)).await;
        world.trace(|| format!("upload {number} again"));
        append(world, vec![emit]).await;
    }
    Some(execution)
}

/// Cancels an execution at a random time.
pub(crate) async fn cancel(world: &Arc<World>, execution: &str) {
    sleep(world.milliseconds(10, 15_000)).await;
    if !world.injects(InjectedFault::Cancel, 0.6) {
        return;
    }
    let known = read_table::<Assembly>(&world.log, streams::ASSEMBLIES).await.unwrap_or_default();
    let Some(state) = known.get(execution) else { return };
    world.trace(|| format!("attempt {} at {execution} is cancelled", state.attempt));
    let mut signal = Signal::new(execution, state.attempt, clock::now_ms());
    signal.cancelled = Some(Cancelled { reason: "asked for".into() });
    if let Ok(emit) = Emit::new(streams::TRANSCODED, execution, &signal) {
        append(world, vec![emit]).await;
    }
}

/// Retries an execution that failed or was cancelled, up to twice.
pub(crate) async fn retry(world: &Arc<World>, execution: &str) {
    for _ in 0..2 {
        sleep(world.milliseconds(3_000, 30_000)).await;
        let known = read_table::<Assembly>(&world.log, streams::ASSEMBLIES).await.unwrap_or_default();
        let again = known.get(execution).filter(|s| s.is_terminal() && s.phase != Phase::Succeeded);
        let Some((state, upload)) = again.and_then(|state| Some((state, state.upload.as_ref()?))) else {
            continue;
        };
        let request = Upload { deadline_seconds: None, ..upload.clone() };
        let next = cleanup::next_attempt(state, request, clock::now_ms(), cleanup::RETRY_WINDOW_MS);
        world.trace(|| format!("{execution} is retried: attempt {}", next.attempt));
        if let Ok(emit) = Emit::new(streams::ACCEPTED, &state.source.url, &next) {
            append(world, vec![emit]).await;
        }
    }
}

/// At random times: rebalances groups, resets offsets, appends foreign records.
pub(crate) async fn administer(world: &Arc<World>) {
    loop {
        sleep(world.milliseconds(500, 8000)).await;
        let graph = topology();
        let Some(spec) = world.random(|rng| rng.choice(graph.processors)) else { return };
        if world.injects(InjectedFault::Rebalance, 0.5) {
            world.trace(|| format!("{} is rebalanced", spec.group()));
            world.log.rebalance(&spec.group());
        }
        let number = world.random(|rng| rng.u32(0..spec.reads.partitions));
        let partition = Partition { stream: spec.reads.name.into(), number };
        if world.injects(InjectedFault::OffsetReset, 0.3) {
            let to = world.random(|rng| rng.u64(0..30));
            world.trace(|| format!("{} is reset to {to} in {number}", spec.group()));
            world.log.reset_offset(&spec.group(), &partition, to);
        }
        if world.injects(InjectedFault::Garbage, 0.4) {
            let value = invalid_record(world);
            let table = spec.state.filter(|_| world.random(Rng::bool));
            let partition = Partition { stream: table.unwrap_or(spec.reads).name.into(), number };
            let offset = world.log.append_foreign(&partition, b"foreign".to_vec(), value);
            world.trace(|| format!("foreign record in {} {number}:{offset}", partition.stream));
        }
    }
}

/// Returns a value that can't be decoded: wrong magic byte, unknown schema, truncated Avro, or too large.
fn invalid_record(world: &World) -> Vec<u8> {
    let valid = Signal::new("foreign", 1, 0).encode().unwrap_or_default();
    match world.random(|rng| rng.u8(0..10)) {
        0..3 => vec![1, 2, 3],
        3..6 => [&[0, 0xff, 0xff, 0xff, 0xff], &valid[5..]].concat(),
        6..9 => valid[..valid.len() / 2].to_vec(),
        _ => vec![b'x'; millrace_runtime::LARGEST_VALUE + 1],
    }
}
