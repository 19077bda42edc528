//! The program `simulate`: runs seeds. `make simulate` and `make faults` call it.

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::Parser;
use millrace_simulation::{Plan, run, shrink};

/// How often a long search reports its progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Simulates Millrace with injected faults
#[derive(Debug, Parser)]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 500)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Print every event of a run; with --seeds 1
    #[arg(long)]
    trace: bool,
    /// How many threads [default: the number of cores]
    #[arg(long)]
    jobs: Option<usize>,
    /// Plant one fault after the other, and check that each is found
    #[cfg(feature = "faults")]
    #[arg(long)]
    faults: bool,
}

/// Runs seeds on `jobs` threads, with `all` to the end and otherwise until one fails. Returns how many
/// failed, and the first seed that did.
fn search(first: u64, seeds: u64, jobs: usize, all: bool) -> (u64, Option<u64>) {
    let next = AtomicU64::new(first);
    let (failed, earliest) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let is_done = AtomicBool::new(false);
    let reported = Mutex::new(Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds || is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    if let Ok(mut last) = reported.try_lock()
                        && last.elapsed() > PROGRESS
                    {
                        *last = Instant::now();
                        eprintln!(
                            "{} of {seeds} seeds, {} violations",
                            seed - first,
                            failed.load(Ordering::Relaxed)
                        );
                    }
                    if !run(&Plan::from_seed(seed), false).violations.is_empty() {
                        failed.fetch_add(1, Ordering::Relaxed);
                        earliest.fetch_min(seed, Ordering::Relaxed);
                        is_done.store(!all, Ordering::Relaxed);
                        if all {
                            println!("seed {seed} fails; again: make simulate SEEDS=1 FIRST={seed}");
                        }
                    }
                }
            });
        }
    });
    let earliest = earliest.into_inner();
    (failed.into_inner(), (earliest < u64::MAX).then_some(earliest))
}

/// Prints the violations of a failing seed, and the smallest run that fails too.
fn explain(seed: u64) {
    let plan = Plan::from_seed(seed);
    println!("{plan}");
    for violation in run(&plan, false).violations {
        println!("  {violation}");
    }
    let small = shrink(&plan);
    println!("the smallest run that fails: {small}");
    let outcome = run(&small, true);
    for line in outcome.trace {
        println!("  {line}");
    }
    for violation in outcome.violations {
        println!("  {violation}");
    }
}

/// Runs seeds and prints the result.
fn simulate(arguments: &Arguments, jobs: usize) -> ExitCode {
    let begun = Instant::now();
    if arguments.trace && arguments.seeds == 1 {
        let outcome = run(&Plan::from_seed(arguments.first), true);
        println!("{}", Plan::from_seed(arguments.first));
        outcome.trace.iter().for_each(|line| println!("  {line}"));
        outcome.violations.iter().for_each(|violation| println!("  {violation}"));
    }
    let (failed, first) = search(arguments.first, arguments.seeds, jobs, true);
    if let Some(seed) = first {
        explain(seed);
    }
    eprintln!("{:.1} s", begun.elapsed().as_secs_f64());
    println!("{} seeds, {failed} violations", arguments.seeds);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(feature = "faults")]
fn faults(arguments: &Arguments, jobs: usize) -> ExitCode {
    use millrace_topology::faults::{Fault, plant};
    let mut found = 0;
    for fault in Fault::ALL {
        plant(Some(fault));
        let (_, seed) = search(arguments.first, arguments.seeds, jobs, false);
        match seed {
            Some(seed) => {
                found += 1;
                let violation = run(&Plan::from_seed(seed), false).violations.into_iter().next();
                let text = violation.map_or(String::new(), |violation| violation.to_string());
                let short: String = text.chars().take(100).collect();
                let seeds = seed - arguments.first + 1;
                println!("{:<22} found after {seeds:>4} seeds: {short}", format!("{fault:?}"));
            }
            None => println!("{:<22} not found in {} seeds", format!("{fault:?}"), arguments.seeds),
        }
    }
    plant(None);
    println!("{found} of {} found", Fault::ALL.len());
    if found == Fault::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let jobs = arguments.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    #[cfg(feature = "faults")]
    if arguments.faults {
        return faults(&arguments, jobs);
    }
    simulate(&arguments, jobs)
}
