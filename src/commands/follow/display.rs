//! Progress on stderr: a live bar for each execution on a terminal, plain lines otherwise.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use millrace_schemas::{Assembly, Progress};

use crate::terminal::{note, plain};

/// How often progress is printed where stderr is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of one execution.
struct View {
    name: String,
    bar: ProgressBar,
    state: Option<Assembly>,
    /// Pictures done and expected, by segment.
    at_work: HashMap<i32, (i64, i64)>,
    /// The part that was done when this command began, from 0 to 1.
    at_first: Option<f64>,
    printed: Instant,
    /// The round in which segments are made again, and how many there were in it.
    most_again: (i32, usize),
}

/// The progress of all executions that a command follows.
pub(super) struct Display {
    bars: MultiProgress,
    live: bool,
    begun: Instant,
    views: HashMap<String, View>,
}

impl Display {
    pub(super) fn new() -> Self {
        let live = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let target = if live { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        Self {
            bars: MultiProgress::with_draw_target(target),
            live,
            begun: Instant::now(),
            views: HashMap::new(),
        }
    }

    /// Begins to show an execution.
    pub(super) fn add(&mut self, execution: &str, name: &str) {
        let bar = self.bars.add(ProgressBar::new(1000));
        let style = ProgressStyle::with_template("{prefix:.bold}  {bar:24.cyan/dim}  {percent:>3}%  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸━"));
        let last = std::path::Path::new(name).file_name().unwrap_or_default().to_string_lossy();
        bar.set_prefix(plain(&last).into_owned());
        bar.set_message("waiting");
        let view = View {
            name: name.into(),
            bar,
            state: None,
            at_work: HashMap::new(),
            at_first: None,
            most_again: (0, 0),
            printed: Instant::now(),
        };
        self.views.insert(execution.into(), view);
    }

    /// Prints a line above the bars.
    pub(super) fn say(&self, line: &str) {
        if self.live {
            self.bars.suspend(|| note(line));
        } else {
            note(line);
        }
    }

    pub(super) fn state(&mut self, state: Assembly) {
        if let Some(view) = self.views.get_mut(&state.execution) {
            view.state = Some(state);
        }
    }

    pub(super) fn progress(&mut self, progress: &Progress) {
        if let Some(view) = self.views.get_mut(&progress.execution) {
            view.at_work.insert(progress.index, (progress.done, progress.expected));
        }
    }

    /// Shows where every execution is.
    pub(super) fn draw(&mut self) {
        let elapsed = self.begun.elapsed().as_secs_f64();
        for view in self.views.values_mut() {
            let Some((part, message)) = view.describe(elapsed) else { continue };
            if self.live {
                view.bar.set_position((part * 1000.0) as u64);
                view.bar.set_message(message);
            } else if view.printed.elapsed() >= PLAIN_INTERVAL {
                view.printed = Instant::now();
                note(&format!("{}: {:.0}%  {message}", view.name, part * 100.0));
            }
        }
    }

    /// Ends showing an execution.
    pub(super) fn end(&mut self, execution: &str) {
        if let Some(view) = self.views.remove(execution) {
            view.bar.finish_and_clear();
            self.bars.remove(&view.bar);
        }
    }

    /// Takes all bars away.
    pub(super) fn clear(&mut self) {
        for (_, view) in self.views.drain() {
            view.bar.finish_and_clear();
        }
    }
}

/// Returns the part of the segments that are made again that is done, and a message. `most` is the round, and how many there were
/// in it at most.
fn again(state: &Assembly, most: &mut (i32, usize)) -> (f64, String) {
    let left = state.again.len();
    if most.0 != state.round {
        *most = (state.round, left);
    }
    let all = most.1.max(left);
    most.1 = all;
    let pass = state.tracks.iter().map(|track| track.passes.len()).max().filter(|passes| *passes > 0);
    let what = pass.map_or("again".into(), |passes| format!("in pass {}", passes + 1));
    let done = all - left;
    (done as f64 / all.max(1) as f64, format!("{done} of {all} segments {what}"))
}

impl View {
    /// Returns the part that is done, from 0 to 1, and a message.
    fn describe(&mut self, elapsed: f64) -> Option<(f64, String)> {
        let state = self.state.as_ref()?;
        if !state.again.is_empty() {
            return Some(again(state, &mut self.most_again));
        }
        if state.segments > 0 && state.done == state.segments {
            return Some((1.0, "putting together".into()));
        }
        let segments = state.video_segments;
        if segments == 0 {
            return Some((0.0, "sound".into()));
        }
        let there = state.video_done();
        let pending = self.at_work.iter().filter(|(index, _)| !state.has(**index));
        let begun: f64 = pending.map(|(_, (done, of))| (*done as f64 / (*of).max(1) as f64).min(1.0)).sum();
        let part = ((f64::from(there) + begun) / f64::from(segments)).clamp(0.0, 1.0);
        let from = *self.at_first.get_or_insert(f64::from(there) / f64::from(segments));
        let pictures: i64 =
            self.at_work.iter().map(|(i, (done, of))| if state.has(*i) { *of } else { *done }).sum();
        let mut words = vec![format!("{there} of {segments} segments")];
        if pictures > 0 && elapsed > 0.5 {
            words.push(format!("{:.0} fps", pictures as f64 / elapsed));
            if part > from {
                let left = elapsed * (1.0 - part) / (part - from);
                words.push(format!(
                    "{} left",
                    indicatif::HumanDuration(Duration::from_secs_f64(left.min(1e6)))
                ));
            }
        }
        Some((part, words.join("  ")))
    }
}
