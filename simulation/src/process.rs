//! Processes: what happens to them, and who starts them again.

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
use millrace_runtime::{Level, Options, Watched, simulated::Fate};
use millrace_topology::invariants::{Invariant, Violation};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{clock, plan::Trouble, ports::Ports, world::World};

/// After so long a process that says nothing is out of its groups.
const SESSION: Duration = Duration::from_secs(10);

/// What happens to a process.
pub(crate) struct ProcessFate {
    world: Weak<World>,
    number: u64,
    dead: AtomicBool,
    died: Notify,
    sleeps_until: Mutex<Option<Instant>>,
}

impl ProcessFate {
    fn new(world: &Arc<World>, number: u64) -> Self {
        Self {
            world: Arc::downgrade(world),
            number,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            sleeps_until: Mutex::default(),
        }
    }

    fn asleep(&self) -> Option<Instant> {
        let until = *self.sleeps_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| *until > Instant::now())
    }

    fn fall_asleep(&self, world: &Arc<World>, doing: &str) {
        let long = world.milliseconds(2_000, 45_000);
        world.trace(|| format!("process {} sleeps for {long:?} at '{doing}'", self.number));
        *self.sleeps_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + long);
        if long > SESSION {
            let (world, number) = (world.clone(), self.number);
            tokio::spawn(async move {
                sleep(SESSION).await;
                world.log.expire(number);
            });
        }
    }
}

#[async_trait]
impl Fate for ProcessFate {
    async fn step(&self, doing: &'static str) {
        while let Some(until) = self.asleep() {
            sleep_until(until).await;
        }
        let Some(world) = self.world.upgrade() else { return };
        if self.dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if world.strikes(Trouble::Crash, 0.004) {
            world.trace(|| format!("process {} dies at '{doing}'", self.number));
            self.dead.store(true, Ordering::Relaxed);
            self.died.notify_one();
            drop(world);
            std::future::pending::<()>().await;
        } else if world.strikes(Trouble::Sleep, 0.003) {
            self.fall_asleep(&world, doing);
            drop(world);
            while let Some(until) = self.asleep() {
                sleep_until(until).await;
            }
        }
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// How processors run here.
fn options(world: &World) -> Options {
    Options {
        window: world.chance(|rng| rng.usize(1..12)),
        backoff: Duration::from_millis(100),
        patience: Duration::from_secs(600),
        clock: clock::now_ms,
    }
}

/// Something is watched, so that notifications are consumed; what strangers put there too.
fn watched() -> Rule {
    Rule::parse("s3://watched/", "s3://made").expect("both are locations")
}

/// Keeps a process running: one that died is started anew, until all is over.
pub(crate) async fn keep_running(world: Arc<World>, over: Watched<bool>) {
    loop {
        let number = world.next_process();
        let fate = Arc::new(ProcessFate::new(&world, number));
        let log = Arc::new(world.log.connect(number, fate.clone()));
        let mut engine =
            Engine::new(log, Settings { rules: vec![watched()], ..Settings::of(options(&world)) });
        let ports = Arc::new(Ports { world: world.clone(), fate: fate.clone(), ended: engine.ended() });
        world.trace(|| format!("process {number} starts"));
        engine.start(&ports, 2, &[]);
        let restart = async {
            if world.plan.has(Trouble::Restart) {
                sleep(world.milliseconds(1000, 40_000)).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let mut ends = false;
        tokio::select! {
            biased;
            () = fate.died.notified() => {}
            ended = engine.next_end() => {
                world.trace(|| format!("process {number} ends: {ended:?}"));
                world.violated(Violation {
                    invariant: Invariant::Lg1,
                    what: format!("a processor ended before it was told to: {ended:?}"),
                });
            }
            () = over.until(|over| *over) => ends = true,
            () = restart => {
                world.trace(|| format!("process {number} is told to stop"));
            }
        }
        if !fate.is_dead() {
            engine.raise(Level::Drain);
            let drained = async { while engine.next_end().await.is_some() {} };
            tokio::select! {
                biased;
                () = fate.died.notified() => {}
                _ = timeout(Duration::from_secs(20), drained) => {}
            }
        }
        let died = fate.is_dead();
        engine.kill().await;
        if ends {
            return;
        }
        if died && world.chance(Rng::bool) {
            sleep(SESSION).await;
        }
        world.log.expire(number);
        sleep(world.milliseconds(0, 8000)).await;
    }
}
