//! Simulates Millrace with injected faults. The same runner, processors and fold as in the program run on a
//! log in memory, with a virtual clock, and with media and storage that keep facts in place of bytes. A seed
//! determines a run: it can be repeated, and reduced to a smaller run that fails too.

mod check;
mod clock;
mod package;
mod packages;
mod plan;
mod ports;
mod process;
mod profiles;
mod rates;
mod store;
mod users;
mod world;

pub use check::check_log;

use std::{sync::Arc, time::Duration};

use millrace_engine::{Ended, lag, sweep};
use millrace_processors::cleanup;
use millrace_processors::topology;
use millrace_runtime::{Log, Options, Watched, read_table, simulated::NoProcessFaults};
use millrace_schemas::Assembly;
use millrace_topology::{
    invariants::{Invariant, Violation, check_nothing_left},
    streams,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use plan::{InjectedFault, Plan};
use world::World;

/// How long executions may take to end after the last injected fault, on the virtual clock.
const PATIENCE: Duration = Duration::from_secs(3600);
/// How long after that no work object may be left.
const LONG_AFTER: Duration = Duration::from_secs(27 * 3600);

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The violations of invariants; empty if all hold.
    pub violations: Vec<Violation>,
    /// The events of the run, if it was traced.
    pub trace: Vec<String>,
    /// How long it lasted, on the virtual clock.
    pub lasted: Duration,
}

/// Runs a plan. The result depends on the plan alone. With `traced` it includes the events.
///
/// # Panics
/// Panics if tokio's runtime can't be created.
#[must_use]
pub fn run(plan: &Plan, traced: bool) -> Outcome {
    #[expect(clippy::expect_used, reason = "without threads and without I/O there is nothing that can fail")]
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread");
    runtime.block_on(simulate(plan.clone(), traced))
}

async fn simulate(plan: Plan, traced: bool) -> Outcome {
    clock::begin();
    fastrand::seed(plan.seed);
    let world = Arc::new(World::new(plan, traced));
    // Creating streams in an empty log can't fail.
    let _ = world.log.ensure(&streams::ALL).await;
    let over = Watched::new(false);
    let mut processes = JoinSet::new();
    for _ in 0..world.plan.processes {
        processes.spawn(process::keep_running(world.clone(), over.clone()));
    }
    let expected = run_users(&world).await;
    world.trace(|| "no more injected faults".into());
    world.stop_faults();
    if timeout(PATIENCE, wait_until_settled(&world, &expected)).await.is_err() {
        world.trace(|| "executions or records are still open".into());
    }
    over.modify(|over| *over = true);
    while let Some(ended) = processes.join_next().await {
        if let Err(panic) = ended {
            world.record_violation(Violation { invariant: Invariant::Lg1, detail: panic.to_string() });
        }
    }
    let offsets_reset = world.plan.has(InjectedFault::OffsetReset);
    if let Err(violation) = check::check(world.log.history(), &world.store(), &expected, offsets_reset) {
        world.record_violation(violation);
    }
    sleep(LONG_AFTER).await;
    sweep_once(&world).await;
    let left: Vec<String> = {
        let store = world.store();
        let staged = store.staged.iter().filter(|(_, staged)| !staged.is_published);
        let objects = store.objects.keys().map(|key| format!("{key:?}"));
        objects.chain(staged.map(|(key, staged)| format!("{key:?} for {}", staged.url))).collect()
    };
    if let Err(violation) = check_nothing_left(&left) {
        world.record_violation(violation);
    }
    let settled = world.store().check_settled_packages();
    if let Err(violation) = settled {
        world.record_violation(violation);
    }
    Outcome { violations: world.violations(), trace: world.traced(), lasted: clock::elapsed() }
}

/// Runs the users until the end of the injected faults, and returns the executions that they requested.
async fn run_users(world: &Arc<World>) -> Vec<String> {
    let begun = Instant::now();
    let administrator = tokio::spawn({
        let world = world.clone();
        async move { users::administer(&world).await }
    });
    let mut uploaders = JoinSet::new();
    for number in 0..world.plan.uploads {
        let world = world.clone();
        uploaders.spawn(async move {
            let execution = users::upload(&world, number).await?;
            tokio::join!(users::cancel(&world, &execution), users::retry(&world, &execution));
            Some(execution)
        });
    }
    let mut expected = Vec::new();
    while let Some(done) = uploaders.join_next().await {
        expected.extend(done.ok().flatten());
    }
    sleep(Duration::from_secs(world.plan.seconds).saturating_sub(begun.elapsed())).await;
    administrator.abort();
    expected.sort();
    expected
}

/// Waits until the expected executions have ended and every record is consumed.
async fn wait_until_settled(world: &Arc<World>, expected: &[String]) {
    // Late partitions of transactions are visible by then.
    sleep(Duration::from_secs(5)).await;
    loop {
        sleep(Duration::from_secs(2)).await;
        let known = read_table::<Assembly>(&world.log, streams::ASSEMBLIES).await.unwrap_or_default();
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

/// Sweeps, as every process does at its start and every hour.
async fn sweep_once(world: &Arc<World>) {
    let ports =
        ports::Ports { world: world.clone(), faults: Arc::new(NoProcessFaults), ended: Ended::default() };
    let options = Options { clock: clock::now_ms, ..Options::default() };
    if let Err(error) = sweep(&world.log, &ports, options, cleanup::RETRY_WINDOW_MS).await {
        world.record_violation(Violation { invariant: Invariant::Gc1, detail: error.to_string() });
    }
}

/// Reduces a failing plan for as long as it still fails.
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
