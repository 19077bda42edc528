//! What the processes of a run share: the log, the store, the random generator, and the violations.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use millrace_runtime::simulated::{FaultProfile, Simulated};
use millrace_topology::invariants::Violation;

use crate::{
    clock,
    plan::{InjectedFault, Plan},
    store::Store,
};

/// The shared state of a run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) log: Simulated,
    pub(crate) store: Mutex<Store>,
    rng: Mutex<Rng>,
    faults_stopped: AtomicBool,
    /// The number of the next process.
    processes: AtomicU64,
    violations: Mutex<Vec<Violation>>,
    trace: Option<Mutex<Vec<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(plan: Plan, traced: bool) -> Self {
        let mut rng = Rng::with_seed(plan.seed ^ 0x6d69_6c6c_7261_6365);
        let log = Simulated::new(rng.u64(..), fault_profile(&plan, &mut rng), clock::now_ms);
        Self {
            log,
            store: Mutex::default(),
            rng: Mutex::new(rng),
            faults_stopped: AtomicBool::new(false),
            processes: AtomicU64::new(1),
            violations: Mutex::default(),
            trace: traced.then(Mutex::default),
            plan,
        }
    }

    /// Draws from the random generator of the run.
    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut lock(&self.rng))
    }

    /// Returns `true` if a fault is to be injected here, with this probability: only if the plan has it and
    /// faults are not stopped.
    pub(crate) fn injects(&self, fault: InjectedFault, probability: f64) -> bool {
        !self.faults_stopped.load(Ordering::Relaxed)
            && self.plan.has(fault)
            && self.random(Rng::f64) < probability
    }

    /// Draws a duration between these numbers of milliseconds.
    pub(crate) fn milliseconds(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.random(|rng| rng.u64(from..=to)))
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    /// Returns the number of a new process; process 0 is the users'.
    pub(crate) fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// Stops injecting faults.
    pub(crate) fn stop_faults(&self) {
        self.faults_stopped.store(true, Ordering::Relaxed);
        self.log.set_fault_profile(FaultProfile::NONE);
    }

    pub(crate) fn record_violation(&self, violation: Violation) {
        lock(&self.violations).push(violation);
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        lock(&self.violations).clone()
    }

    /// Adds an event to the trace, if the run is traced.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            lock(trace).push(format!("{:>10.3}  {}", clock::elapsed().as_secs_f64(), line()));
        }
    }

    pub(crate) fn traced(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| lock(trace).clone()).unwrap_or_default()
    }
}

/// Returns the fault profile of the log.
fn fault_profile(plan: &Plan, rng: &mut Rng) -> FaultProfile {
    let mut probability = |fault, most: f64| if plan.has(fault) { rng.f64() * most } else { 0.0 };
    FaultProfile {
        delay: probability(InjectedFault::Delay, 0.3),
        abort: probability(InjectedFault::Abort, 0.3),
        lost_ack: probability(InjectedFault::LostAck, 0.3),
        late_visibility: probability(InjectedFault::LateVisibility, 0.8),
        late_visibility_ms: 3000,
        lazy_compaction: plan.seed.is_multiple_of(2),
    }
}
