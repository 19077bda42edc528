//! What all processes of a run share: the log, the store, chance, and what was seen.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use millrace_runtime::simulated::{Simulated, Weather};
use millrace_topology::invariants::Violation;

use crate::{
    clock,
    plan::{Plan, Trouble},
    store::Store,
};

/// The world of a run.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) log: Simulated,
    pub(crate) store: Mutex<Store>,
    rng: Mutex<Rng>,
    calm: AtomicBool,
    processes: AtomicU64,
    seen: Mutex<Vec<Violation>>,
    trace: Option<Mutex<Vec<String>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(crate) fn new(plan: Plan, traced: bool) -> Self {
        let mut rng = Rng::with_seed(plan.seed ^ 0x6d69_6c6c_7261_6365);
        let log = Simulated::new(rng.u64(..), weather(&plan, &mut rng), clock::now_ms);
        Self {
            log,
            store: Mutex::default(),
            rng: Mutex::new(rng),
            calm: AtomicBool::new(false),
            processes: AtomicU64::new(1),
            seen: Mutex::default(),
            trace: traced.then(Mutex::default),
            plan,
        }
    }

    pub(crate) fn chance<T>(&self, act: impl FnOnce(&mut Rng) -> T) -> T {
        act(&mut lock(&self.rng))
    }

    /// Whether something happens that is so likely, if there is such trouble at all and still.
    pub(crate) fn strikes(&self, trouble: Trouble, likely: f64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.plan.has(trouble) && self.chance(Rng::f64) < likely
    }

    pub(crate) fn milliseconds(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.chance(|rng| rng.u64(from..=to)))
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    pub(crate) fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// No more trouble.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
        self.log.set_weather(Weather::CALM);
    }

    pub(crate) fn violated(&self, violation: Violation) {
        lock(&self.seen).push(violation);
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        lock(&self.seen).clone()
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            lock(trace).push(format!("{:>10.3}  {}", clock::elapsed().as_secs_f64(), line()));
        }
    }

    pub(crate) fn traced(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| lock(trace).clone()).unwrap_or_default()
    }
}

fn weather(plan: &Plan, rng: &mut Rng) -> Weather {
    let mut chance = |trouble, most: f64| if plan.has(trouble) { rng.f64() * most } else { 0.0 };
    Weather {
        delay: chance(Trouble::Delay, 0.3),
        abort: chance(Trouble::Abort, 0.3),
        lost_ack: chance(Trouble::LostAck, 0.3),
        half: chance(Trouble::Half, 0.8),
        half_ms: 3000,
        lazy: plan.seed.is_multiple_of(2),
    }
}
