//! `fuzz`: runs the targets with stable Rust; `make fuzz` calls it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, ExitStatus},
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use clap::Parser;
use fastrand::Rng;
use millrace_fuzz::{Limit, Outcome, Runner, TARGETS, Target, target};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Where inputs go, from the workspace's folder.
const FOLDER: &str = "target/fuzz";
/// An input that is parsed for so long is not waited for.
const HANGS: Duration = Duration::from_secs(30);

/// Feeds mutated examples to the parsers, and holds them to what must be true for any bytes.
#[derive(Debug, Parser)]
struct Arguments {
    /// For how long, in all
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this target
    #[arg(long)]
    target: Option<String>,
    /// The seed: the same gives the same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Parse one file, with the target that is named
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
    /// Write the examples of each target to a folder of its name below this one, as a corpus for cargo fuzz
    #[arg(long)]
    examples: Option<PathBuf>,
    /// Run the target in this process
    #[arg(long, hide = true, requires = "target")]
    alone: bool,
}

fn runner() -> Runner<'static> {
    Runner { memory: &MEMORY, folder: FOLDER.into() }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let targets = match arguments.target.as_deref().filter(|name| !name.is_empty()) {
        None => TARGETS.to_vec(),
        Some(name) => match target(name) {
            Some(target) => vec![target],
            None => {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                eprintln!("there is no target '{name}'; choose one of {}", names.join(", "));
                return ExitCode::from(2);
            }
        },
    };
    match run(&arguments, &targets) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Returns `false` if something did not hold.
fn run(arguments: &Arguments, targets: &[&Target]) -> io::Result<bool> {
    if let Some(folder) = &arguments.examples {
        for target in targets {
            let folder = folder.join(target.name);
            fs::create_dir_all(&folder)?;
            for (at, seed) in (target.seeds)(&mut Rng::with_seed(arguments.seed)).iter().enumerate() {
                fs::write(folder.join(format!("{at:03}")), seed)?;
            }
        }
        return Ok(true);
    }
    let time = Duration::from_secs(arguments.seconds) / u32::try_from(targets.len()).unwrap_or(1);
    let mut all_hold = true;
    for target in targets {
        all_hold &= match &arguments.input {
            Some(file) => parse(target, file)?,
            None if arguments.alone => alone(target, arguments.seed, time)?,
            None => apart(target, arguments, time)?,
        };
    }
    Ok(all_hold)
}

fn parse(target: &Target, file: &Path) -> io::Result<bool> {
    let input = fs::read(file)?;
    let mut outcome = Outcome {
        inputs: 1,
        valid: 0,
        time: Duration::ZERO,
        slowest: Duration::ZERO,
        most_memory: 0,
        failure: None,
    };
    let result = runner().parse(target, &input, &mut outcome);
    let (time, memory) = (outcome.slowest, outcome.most_memory);
    match &result {
        Ok(is_valid) => {
            let what = if *is_valid { "valid" } else { "not valid" };
            println!("{}: {} bytes, {what}: {time:?}, {memory} bytes of memory", target.name, input.len());
        }
        Err(reason) => println!("{}: {reason}", target.name),
    }
    Ok(result.is_ok())
}

/// Runs a target in this process.
fn alone(target: &Target, seed: u64, time: Duration) -> io::Result<bool> {
    let outcome = runner().run(target, seed, Limit::Time(time))?;
    println!(
        "{:<13} {:>10} inputs, {:>7.0} a second, {:>3.0}% valid; at most {:>7.1} ms and {:>6.2} MiB each",
        target.name,
        outcome.inputs,
        outcome.inputs as f64 / outcome.time.as_secs_f64(),
        outcome.valid as f64 * 100.0 / outcome.inputs as f64,
        outcome.slowest.as_secs_f64() * 1000.0,
        outcome.most_memory as f64 / f64::from(1 << 20),
    );
    if let Some(failure) = &outcome.failure {
        explain(target, &failure.reason, &failure.input);
    }
    Ok(outcome.failure.is_none())
}

fn explain(target: &Target, reason: &str, input: &Path) {
    println!("{}: {reason}", target.name);
    println!("  again: make fuzz TARGET={} INPUT={}", target.name, input.display());
}

/// Runs a target in a process of its own, which it may end: by a stack that overflows, or memory that runs out.
fn apart(target: &Target, arguments: &Arguments, time: Duration) -> io::Result<bool> {
    let current = Path::new(FOLDER).join(target.name).join("current");
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--alone", "--target", target.name])
        .args(["--seed", &arguments.seed.to_string()])
        .args(["--seconds", &time.as_secs().max(1).to_string()])
        .spawn()?;
    let reason = match wait(&mut child, &current)? {
        Some(status) if status.success() => return Ok(true),
        // It has said why.
        Some(status) if status.code() == Some(1) => return Ok(false),
        Some(status) => format!("its process ends: {status}"),
        None => format!("an input takes more than {HANGS:?}"),
    };
    let input = runner().save(target, &fs::read(&current)?)?;
    explain(target, &reason, &input);
    Ok(false)
}

/// Waits for a process; ends it and returns `None` if it hangs at an input.
fn wait(child: &mut Child, current: &Path) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let written = fs::metadata(current).and_then(|file| file.modified());
        let since = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if begun.elapsed() > HANGS && since.is_none_or(|since| since > HANGS) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        sleep(Duration::from_millis(50));
    }
}
