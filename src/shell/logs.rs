//! Log lines about executions are also published to the stream `logs`, where `executions logs` finds them, whichever process wrote them.

use std::{fmt::Write, sync::Arc, sync::OnceLock, time::Duration};

use millrace_runtime::{Log, NewRecord};
use millrace_schemas::LogLine;
use millrace_topology::{Emit, millis_now, streams};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// The most lines that wait to be published; further ones are dropped.
const MAX_WAITING: usize = 10_000;
/// For how long lines are collected before they are published together.
const COLLECT: Duration = Duration::from_millis(200);
/// The most lines that are published together.
const MAX_TOGETHER: usize = 1000;
/// How long a flush may take: a log that does not respond must not keep the process alive.
const LONGEST_FLUSH: Duration = Duration::from_secs(2);

/// The channel to the publishing task, once [`publish_lines`] has started it.
static LINES: OnceLock<mpsc::Sender<Message>> = OnceLock::new();

/// A message to the publishing task.
enum Message {
    Line(LogLine),
    /// Asks for a reply when all lines before this are published.
    Flush(oneshot::Sender<()>),
}

/// The `tracing` layer that collects events about executions: the event, or a span around it, has a field `execution`.
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
            // The runtime does not know executions, but a record's key is one, on all streams except `uploads`.
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
        // If the log can't keep up, lines are dropped.
        let _ = lines.try_send(Message::Line(line));
    }
}

/// Publishes the lines of this process to `log` from now on. Further calls do nothing.
pub(crate) fn publish_lines(log: &Arc<dyn Log>) {
    let (sender, messages) = mpsc::channel(MAX_WAITING);
    if LINES.set(sender).is_ok() {
        tokio::spawn(publish(log.clone(), messages));
    }
}

/// Waits until the lines logged so far are published, for at most [`LONGEST_FLUSH`].
pub(crate) async fn flush() {
    let Some(lines) = LINES.get() else { return };
    let flushed = async {
        let (done, is_done) = oneshot::channel();
        if lines.send(Message::Flush(done)).await.is_ok() {
            // An error of the log is reported by whoever else uses it.
            let _ = is_done.await;
        }
    };
    // Lines are advice: those that are not published by then are lost.
    let _ = timeout(LONGEST_FLUSH, flushed).await;
}

async fn publish(log: Arc<dyn Log>, mut messages: mpsc::Receiver<Message>) {
    while let Some(first) = messages.recv().await {
        let (mut emits, mut flush) = (Vec::new(), None);
        let mut next = Some(first);
        let until = Instant::now() + COLLECT;
        // A flush is not delayed.
        while let Some(message) = next.take() {
            match message {
                Message::Line(line) => emits.extend(Emit::new(streams::LOGS, &line.execution, &line)),
                Message::Flush(done) => {
                    flush = Some(done);
                    break;
                }
            }
            if emits.len() < MAX_TOGETHER {
                next = timeout_at(until, messages.recv()).await.ok().flatten();
            }
        }
        // Lines are advice; an error of the log is reported by whoever else uses it.
        let _ = log.advise(emits.into_iter().map(NewRecord::from).collect()).await;
        if let Some(done) = flush {
            // The receiver may be gone.
            let _ = done.send(());
        }
    }
}
