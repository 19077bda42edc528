//! The processes of a run: their faults and their restarts.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use fastrand::Rng;
use millrace_engine::{Engine, Settings};
use millrace_processors::trigger::rules::Rule;
use millrace_runtime::{Level, Options, Watched, simulated::ProcessFaults};
use millrace_topology::invariants::{Invariant, Violation};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{clock, plan::InjectedFault, ports::Ports, profiles::ChangingProfiles, world::World};

/// The session timeout of group members.
const SESSION: Duration = Duration::from_secs(10);

/// The state of a process: alive, paused or dead.
pub(crate) struct ProcessState {
    world: Weak<World>,
    number: u64,
    dead: AtomicBool,
    died: Notify,
    /// The end of a pause.
    paused_until: Mutex<Option<Instant>>,
}

impl ProcessState {
    fn new(world: &Arc<World>, number: u64) -> Self {
        Self {
            world: Arc::downgrade(world),
            number,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            paused_until: Mutex::default(),
        }
    }

    /// Returns the end of the current pause.
    fn pause_end(&self) -> Option<Instant> {
        let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    /// Pauses the process. A pause longer than its session expires the session.
    fn pause(&self, world: &Arc<World>, doing: &str) {
        let length = world.milliseconds(2_000, 45_000);
        world.trace(|| format!("process {} pauses for {length:?} at '{doing}'", self.number));
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + length);
        if length > SESSION {
            let (world, number) = (world.clone(), self.number);
            tokio::spawn(async move {
                sleep(SESSION).await;
                world.log.expire_sessions(number);
            });
        }
    }
}

#[async_trait]
impl ProcessFaults for ProcessState {
    async fn step(&self, doing: &'static str) {
        while let Some(until) = self.pause_end() {
            sleep_until(until).await;
        }
        let Some(world) = self.world.upgrade() else { return };
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if world.injects(InjectedFault::Crash, 0.004) {
            world.trace(|| format!("process {} dies at '{doing}'", self.number));
            self.dead.store(true, Ordering::Relaxed);
            self.died.notify_one();
            drop(world);
            std::future::pending::<()>().await;
        } else if world.injects(InjectedFault::Pause, 0.003) {
            self.pause(&world, doing);
            drop(world);
            while let Some(until) = self.pause_end() {
                sleep_until(until).await;
            }
        }
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// Returns random options for the processors of a process.
fn options(world: &World) -> Options {
    Options {
        window: world.random(|rng| rng.usize(1..12)),
        backoff: Duration::from_millis(100),
        patience: Duration::from_secs(600),
        clock: clock::now_ms,
    }
}

/// Returns a watch rule, so that notifications are consumed, foreign records on their stream too.
fn watch_rule() -> Rule {
    Rule::parse("s3://watched/", "s3://made").expect("both are locations")
}

/// Keeps a process running until `over` is true: starts a new one after each death or restart.
pub(crate) async fn keep_running(world: Arc<World>, over: Watched<bool>) {
    loop {
        let number = world.next_process();
        let state = Arc::new(ProcessState::new(&world, number));
        let log = Arc::new(world.log.connect(number, state.clone()));
        let settings = Settings {
            rules: vec![watch_rule()],
            profiles: Arc::new(ChangingProfiles),
            ..Settings::new(options(&world))
        };
        let mut engine = Engine::new(log, settings);
        let ports = Arc::new(Ports { world: world.clone(), faults: state.clone(), ended: engine.ended() });
        world.trace(|| format!("process {number} starts"));
        engine.start(&ports, 2, &[]);
        let restart = async {
            if world.plan.has(InjectedFault::Restart) {
                sleep(world.milliseconds(1000, 40_000)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let mut is_over = false;
        tokio::select! {
            biased;
            () = state.died.notified() => {}
            ended = engine.next_end() => {
                world.trace(|| format!("process {number} ends: {ended:?}"));
                world.record_violation(Violation {
                    invariant: Invariant::Lg1,
                    detail: format!("a processor ended before it was stopped: {ended:?}"),
                });
            }
            () = over.until(|over| *over) => is_over = true,
            () = restart => {
                world.trace(|| format!("process {number} drains"));
            }
        }
        if !state.is_dead() {
            engine.raise(Level::Drain);
            let drained = async { while engine.next_end().await.is_some() {} };
            tokio::select! {
                biased;
                () = state.died.notified() => {}
                _ = timeout(Duration::from_secs(20), drained) => {}
            }
        }
        let died = state.is_dead();
        engine.kill().await;
        if is_over {
            return;
        }
        if died && world.random(Rng::bool) {
            sleep(SESSION).await;
        }
        world.log.expire_sessions(number);
        sleep(world.milliseconds(0, 8000)).await;
    }
}
