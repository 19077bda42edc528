//! Millrace under everything that can go wrong, by chance and by nothing else: the same runner, processors and fold as
//! ever, on a log in memory, with a clock that jumps, and with media and storage that keep facts in place of bytes. A
//! seed is a run; it can be run again, and made smaller.

mod check;
mod clock;
mod plan;
mod ports;
mod process;
mod store;
mod users;
mod world;

pub use check::check_log;

use std::{sync::Arc, time::Duration};

use millrace_engine::{Ended, lag, sweep};
use millrace_processors::cleanup;
use millrace_processors::topology;
use millrace_runtime::{Log, Options, Watched, simulated::Spared, table};
use millrace_schemas::Assembly;
use millrace_topology::{
    invariants::{Invariant, Violation, nothing_left},
    streams,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use plan::{Plan, Trouble};
use world::World;

/// After the trouble, all must have ended within this time of the virtual clock.
const PATIENCE: Duration = Duration::from_secs(3600);
/// By then nothing may be left.
const LONG_AFTER: Duration = Duration::from_secs(27 * 3600);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was broken; empty where all was held.
    pub violations: Vec<Violation>,
    /// What happened, where it was asked for.
    pub trace: Vec<String>,
    /// For how long it lasted on the virtual clock.
    pub lasted: Duration,
}

/// Runs a plan. Everything in it depends on the plan alone.
///
/// # Panics
/// Where no runtime can be made.
#[must_use]
pub fn run(plan: &Plan, traced: bool) -> Outcome {
    #[expect(clippy::expect_used, reason = "without threads and without I/O there is nothing that can fail")]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(live(plan.clone(), traced))
}

async fn live(plan: Plan, traced: bool) -> Outcome {
    clock::begin();
    fastrand::seed(plan.seed);
    let world = Arc::new(World::new(plan, traced));
    // Streams that are made anew are always made.
    let _ = world.log.ensure(&streams::ALL).await;
    let over = Watched::new(false);
    let mut processes = JoinSet::new();
    for _ in 0..world.plan.processes {
        processes.spawn(process::keep_running(world.clone(), over.clone()));
    }
    let expected = people(&world).await;
    world.trace(|| "no more trouble".into());
    world.calm_down();
    if timeout(PATIENCE, quiet(&world, &expected)).await.is_err() {
        world.trace(|| "it never becomes quiet".into());
    }
    over.modify(|over| *over = true);
    while let Some(ended) = processes.join_next().await {
        if let Err(panic) = ended {
            world.violated(Violation { invariant: Invariant::Lg1, what: panic.to_string() });
        }
    }
    let set_back = world.plan.has(Trouble::SetBack);
    if let Err(violation) = check::check(world.log.history(), &world.store(), &expected, set_back) {
        world.violated(violation);
    }
    sleep(LONG_AFTER).await;
    last_sweep(&world).await;
    let left: Vec<String> = {
        let store = world.store();
        let staged = store.staged.iter().filter(|(_, staged)| !staged.is_published);
        let objects = store.objects.keys().map(|key| format!("{key:?}"));
        objects.chain(staged.map(|(key, staged)| format!("{key:?} for {}", staged.url))).collect()
    };
    if let Err(violation) = nothing_left(&left) {
        world.violated(violation);
    }
    Outcome { violations: world.violations(), trace: world.traced(), lasted: clock::elapsed() }
}

/// Lets people do what they do until the trouble is over; gives the executions that they asked for.
async fn people(world: &Arc<World>) -> Vec<String> {
    let begun = Instant::now();
    let meddler = tokio::spawn({
        let world = world.clone();
        async move { users::meddle(&world).await }
    });
    let mut people = JoinSet::new();
    for number in 0..world.plan.uploads {
        let world = world.clone();
        people.spawn(async move {
            let execution = users::upload(&world, number).await?;
            tokio::join!(users::cancel(&world, &execution), users::retry(&world, &execution));
            Some(execution)
        });
    }
    let mut expected = Vec::new();
    while let Some(done) = people.join_next().await {
        expected.extend(done.ok().flatten());
    }
    sleep(Duration::from_secs(world.plan.seconds).saturating_sub(begun.elapsed())).await;
    meddler.abort();
    expected.sort();
    expected
}

/// Waits until everything that was asked for has ended, and every record is consumed.
async fn quiet(world: &Arc<World>, expected: &[String]) {
    // What was committed in bad weather can be read by then.
    sleep(Duration::from_secs(5)).await;
    loop {
        sleep(Duration::from_secs(2)).await;
        let known = table::<Assembly>(&world.log, streams::ASSEMBLIES).await.unwrap_or_default();
        if !expected.iter().all(|execution| known.get(execution).is_some_and(Assembly::is_terminal)) {
            continue;
        }
        let mut open = 0;
        for spec in topology().processors {
            open += lag(&world.log, &spec).await.unwrap_or(1);
        }
        if open == 0 {
            return;
        }
    }
}

/// What every process does at its start and every hour.
async fn last_sweep(world: &Arc<World>) {
    let ports = ports::Ports { world: world.clone(), fate: Arc::new(Spared), ended: Ended::default() };
    let options = Options { clock: clock::now_ms, ..Options::default() };
    if let Err(error) = sweep(&world.log, &ports, options, cleanup::RETRY_WINDOW_MS).await {
        world.violated(Violation { invariant: Invariant::Gc1, what: error.to_string() });
    }
}

/// Makes a failing plan smaller, for as long as it still fails.
#[must_use]
pub fn shrink(plan: &Plan) -> Plan {
    let mut smallest = plan.clone();
    while let Some(smaller) =
        smallest.smaller().into_iter().find(|plan| !run(plan, false).violations.is_empty())
    {
        smallest = smaller;
    }
    smallest
}
