//! What is logged about executions goes to the log as well, so that it is found by execution wherever it was said.

use std::{fmt::Write, sync::Arc, sync::OnceLock, time::Duration};

use millrace_runtime::{Log, NewRecord};
use millrace_schemas::LogLine;
use millrace_topology::{Emit, millis_now, streams};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// How many lines wait at most to be put on the log; more than that are left out.
const WAITING: usize = 10_000;
/// For how long lines are collected before they are put there together, and how many at most.
const TOGETHER: Duration = Duration::from_millis(200);
const MOST_TOGETHER: usize = 1000;

/// Where lines go, once there is a log to take them.
static LINES: OnceLock<mpsc::Sender<Said>> = OnceLock::new();

/// What goes to the task that puts lines on the log.
enum Said {
    Line(LogLine),
    /// All lines before this are to be on the log.
    Flush(oneshot::Sender<()>),
}

/// Collects lines that belong to an execution: one that the event names, or a span around it.
pub(crate) struct Collect;

/// The execution that a span is about.
struct About(String);

/// The fields of an event.
#[derive(Default)]
struct Fields {
    execution: Option<String>,
    key: Option<String>,
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "execution" => self.execution = Some(value.into()),
            // The runtime knows no executions; but a record's key is one, on all streams but uploads.
            "key" => self.key = Some(value.into()),
            "message" => self.message.push_str(value),
            name => drop(write!(self.others, " {name}={value}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(execution), Some(span)) = (fields.execution.or(fields.key), context.span(id)) {
            span.extensions_mut().insert(About(execution));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(lines) = LINES.get() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let around = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<About>().map(|about| about.0.clone()))
        };
        let Some(execution) = fields.execution.or_else(around) else { return };
        let line = LogLine {
            execution,
            at_ms: millis_now(),
            level: event.metadata().level().as_str().to_ascii_lowercase(),
            target: event.metadata().target().into(),
            message: format!("{}{}", fields.message, fields.others),
        };
        // Where the log can't keep up, work goes on and lines are left out.
        let _ = lines.try_send(Said::Line(line));
    }
}

/// Puts the lines of this process on the log, from now on.
pub(crate) fn keep(log: &Arc<dyn Log>) {
    let (sender, told) = mpsc::channel(WAITING);
    if LINES.set(sender).is_ok() {
        tokio::spawn(put(log.clone(), told));
    }
}

/// Waits until what was said so far is on the log.
pub(crate) async fn flush() {
    let Some(lines) = LINES.get() else { return };
    let (done, is_done) = oneshot::channel();
    if lines.send(Said::Flush(done)).await.is_ok() {
        // A log that fails has said so elsewhere.
        let _ = is_done.await;
    }
}

async fn put(log: Arc<dyn Log>, mut told: mpsc::Receiver<Said>) {
    while let Some(first) = told.recv().await {
        let (mut emits, mut flush) = (Vec::new(), None);
        let mut next = Some(first);
        let until = Instant::now() + TOGETHER;
        // Lines that come together go together, unless somebody waits for them.
        while let Some(said) = next.take() {
            match said {
                Said::Line(line) => emits.extend(Emit::new(streams::LOGS, &line.execution, &line)),
                Said::Flush(done) => {
                    flush = Some(done);
                    break;
                }
            }
            if emits.len() < MOST_TOGETHER {
                next = timeout_at(until, told.recv()).await.ok().flatten();
            }
        }
        // A log that fails says so elsewhere; lines are advice.
        let _ = log.advise(emits.into_iter().map(NewRecord::from).collect()).await;
        if let Some(done) = flush {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}
