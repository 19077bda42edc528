//! Runs a target: mutated examples, by seed, until something does not hold.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use fastrand::Rng;
use millrace_schemas::hash_of;
use peak_alloc::PeakAlloc;

use crate::{Target, mutate::mutate};

/// The longest time that an input may take.
const SLOW: Duration = Duration::from_secs(1);
/// How many valid inputs are kept to go on from, beside the examples, and how long each may be, in bytes.
const KEPT: usize = 256;
const LONGEST_KEPT: usize = 2 << 10;

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// After so many inputs.
    Inputs(u64),
    /// After so much time.
    Time(Duration),
}

/// Something did not hold.
#[derive(Debug)]
pub struct Failure {
    /// What, in words.
    pub reason: String,
    /// The file that has the input.
    pub input: PathBuf,
}

/// What a run found.
#[derive(Debug)]
pub struct Outcome {
    /// How many inputs were parsed.
    pub inputs: u64,
    /// How many of them were valid.
    pub valid: u64,
    /// How long the run took.
    pub time: Duration,
    /// The longest time that an input took.
    pub slowest: Duration,
    /// The most memory that an input took, in bytes.
    pub most_memory: usize,
    /// What did not hold; the run ends with it.
    pub failure: Option<Failure>,
}

/// Runs targets.
pub struct Runner<'a> {
    /// The process's allocator, which counts.
    pub memory: &'a PeakAlloc,
    /// Where inputs go: `<folder>/<target>/`.
    pub folder: PathBuf,
}

impl Runner<'_> {
    /// Runs a target with the inputs of a seed. The same seed gives the same inputs.
    ///
    /// The input that is being parsed is always in the file `current`, for a parser that ends the process.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn run(&self, target: &Target, seed: u64, limit: Limit) -> io::Result<Outcome> {
        // Memory is counted for the process.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut current = Current::create(&self.folder.join(target.name))?;
        let mut rng = Rng::with_seed(seed);
        let mut pool = (target.seeds)(&mut rng);
        let examples = pool.len();
        let begun = Instant::now();
        let mut outcome = Outcome {
            inputs: 0,
            valid: 0,
            time: Duration::ZERO,
            slowest: Duration::ZERO,
            most_memory: 0,
            failure: None,
        };
        let mut input = Vec::new();
        loop {
            let is_over = match limit {
                Limit::Inputs(most) => outcome.inputs >= most,
                Limit::Time(most) => begun.elapsed() >= most,
            };
            if is_over {
                break;
            }
            // The examples as they are come first.
            let example = usize::try_from(outcome.inputs).ok().filter(|at| *at < examples);
            let from = example.unwrap_or_else(|| rng.usize(0..pool.len()));
            input.clone_from(&pool[from]);
            if example.is_none() {
                mutate(&mut input, &pool, target.words, target.longest, &mut rng);
            }
            current.write(&input)?;
            outcome.inputs += 1;
            let mut reason = match self.parse(target, &input, &mut outcome) {
                Ok(is_valid) => {
                    outcome.valid += u64::from(is_valid);
                    if is_valid && example.is_none() && input.len() <= LONGEST_KEPT {
                        keep(&input, &mut pool, examples, &mut rng);
                    }
                    None
                }
                Err(reason) => Some(reason),
            };
            // Else the parser takes nothing, and the run shows nothing.
            if reason.is_none() && outcome.inputs == 1 && outcome.valid == 0 {
                reason = Some("the first example is not valid".into());
            }
            if let Some(reason) = reason {
                let input = self.save(target, &input)?;
                outcome.failure = Some(Failure { reason, input });
                break;
            }
        }
        outcome.time = begun.elapsed();
        Ok(outcome)
    }

    /// Parses one input; returns whether it is valid.
    ///
    /// # Errors
    /// What did not hold.
    pub fn parse(&self, target: &Target, input: &[u8], outcome: &mut Outcome) -> Result<bool, String> {
        let mut parse = || {
            self.memory.reset_peak_usage();
            let (before, begun) = (self.memory.current_usage(), Instant::now());
            let result = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
            let time = begun.elapsed();
            outcome.most_memory = outcome.most_memory.max(self.memory.peak_usage().saturating_sub(before));
            (result, time, self.memory.peak_usage().saturating_sub(before))
        };
        let (result, mut time, memory) = parse();
        // What takes a second only since the machine is busy does not take it again.
        for _ in 0..2 {
            if time > SLOW {
                time = time.min(parse().1);
            }
        }
        outcome.slowest = outcome.slowest.max(time);
        let is_valid = result.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("it panics: {}", text.unwrap_or("without a reason"))
        })?;
        if time > SLOW {
            return Err(format!("{} bytes take {time:?}", input.len()));
        }
        let most = target.memory.0 + target.memory.1 * input.len();
        if memory > most {
            return Err(format!("{} bytes take {memory} bytes of memory, {most} may be", input.len()));
        }
        Ok(is_valid)
    }

    /// Writes an input to a file of its own.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, target: &Target, input: &[u8]) -> io::Result<PathBuf> {
        let file = self.folder.join(target.name).join(hash_of(&[input]));
        fs::write(&file, input)?;
        Ok(file)
    }
}

/// Keeps a valid input: what is made of it is often valid, too, and differs more and more from the examples.
fn keep(input: &[u8], pool: &mut Vec<Vec<u8>>, examples: usize, rng: &mut Rng) {
    if pool.len() < examples + KEPT {
        pool.push(input.to_vec());
    } else if rng.u8(..) < 16 {
        let at = rng.usize(examples..pool.len());
        pool[at] = input.to_vec();
    }
}

/// The file that has the input that is being parsed.
struct Current {
    file: File,
    length: usize,
}

impl Current {
    fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { file: File::create(folder.join("current"))?, length: 0 })
    }

    fn write(&mut self, input: &[u8]) -> io::Result<()> {
        self.file.write_all_at(input, 0)?;
        if input.len() < self.length {
            self.file.set_len(input.len() as u64)?;
        }
        self.length = input.len();
        Ok(())
    }
}
