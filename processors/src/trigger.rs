//! `trigger`: publishes an arrival for each notification of an object store that a rule matches. Arrivals in watched folders are
//! published by the process that watches the folder, by the same rules.

pub mod notification;
pub mod rules;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_access::{Location, Scheme};
use millrace_schemas::{Arrival, RecordError, SourceRef};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Role, Task,
    ports::{PortError, Storage},
    streams,
};

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    pinning::Pinning,
};
use notification::{Notification, ObjectEvent};
use rules::Rule;

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "meets notifications with rules";
    ProcessorSpec {
        role: Role::Watches,
        ..ProcessorSpec::new("trigger", does, streams::NOTIFICATIONS, [streams::ARRIVALS])
    }
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    let Dependencies { ports, rules, pinning, store, .. } = dependencies;
    starter.start_processor(spec(), Trigger::new(ports.clone(), rules.clone(), pinning.clone(), store));
}

/// The processor `trigger`.
pub struct Trigger<P> {
    ports: Arc<P>,
    rules: Vec<Rule>,
    pinning: Pinning,
    /// The scheme of the default object store, which has the buckets of the notifications.
    store: Option<Scheme>,
}

impl<P> Trigger<P> {
    /// Returns the processor with these ports and rules. `store` is the URL scheme of the default object store, which sends the
    /// notifications.
    pub fn new(ports: Arc<P>, rules: Vec<Rule>, pinning: Pinning, store: &str) -> Self {
        Self { ports, rules, pinning, store: Scheme::named(store) }
    }
}

#[async_trait]
impl<P: Storage> Processor for Trigger<P> {
    type In = Notification;

    fn read(&self, value: &[u8]) -> Result<Notification, RecordError> {
        notification::read(value).map_err(|reason| RecordError::Notification { reason })
    }

    async fn handle(&self, notification: &Notification, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        let mut emits = Vec::new();
        for event in &notification.events {
            emits.extend(self.arrival(event, task).await?);
        }
        Ok(emits)
    }

    fn given_up(&self, _: &Notification, _: Task, _: &str) -> Vec<Emit> {
        // No execution has begun. The dead letter can be published again.
        Vec::new()
    }
}

/// What was found at the location of an event.
enum FoundObject {
    /// A source.
    Source(Location, SourceRef),
    /// An object that can't be a source: its execution fails with the reason.
    Unusable(Location),
}

impl<P: Storage> Trigger<P> {
    /// Returns the arrival of an event; `None` if no rule matches it, or if the object is gone or has another version by now.
    async fn arrival(&self, event: &ObjectEvent, task: Task) -> Result<Option<Emit>, ProcessorError> {
        let Some(store) = self.store else { return Ok(None) };
        // A key that no store can have, and a key that stands for a folder, matches no rule.
        let locations: Vec<Location> = event
            .keys
            .iter()
            .filter(|key| !key.ends_with('/'))
            .filter_map(|key| Location::object(store, &event.bucket, key).ok())
            .collect();
        if !locations.iter().any(|location| rules::any_matches(&self.rules, location)) {
            return Ok(None);
        }
        let Some(found) = self.find(&locations, event.version.as_deref()).await? else {
            tracing::info!(source = %locations[0], "the object was removed before it was looked up");
            return Ok(None);
        };
        let (location, source) = match &found {
            FoundObject::Source(location, source) => (location, Some(source)),
            FoundObject::Unusable(location) => (location, None),
        };
        let url = location.url();
        if let (Some(version), Some(source)) = (&event.version, source)
            && *version != source.version
        {
            tracing::info!(
                source = url,
                version,
                "the object has another version by now, which has a notification of its own"
            );
            return Ok(None);
        }
        let mut uploads = Vec::new();
        for upload in rules::uploads(&self.rules, location, source) {
            uploads.push(self.pinning.pin(self.ports.as_ref(), upload).await?);
        }
        if uploads.is_empty() {
            return Ok(None);
        }
        let arrival = Arrival {
            source: url.clone(),
            version: source.map(|source| source.version.clone()).unwrap_or_default(),
            sequencer: event.sequencer.clone(),
            at_ms: event.at_ms.unwrap_or(task.appended_ms),
            uploads,
        };
        tracing::info!(source = url, "arrived");
        Ok(Some(Emit::new(streams::ARRIVALS, &url, &arrival)?))
    }

    /// Returns the first of the locations that has this version, or else the first that has any object.
    async fn find(
        &self,
        locations: &[Location],
        version: Option<&str>,
    ) -> Result<Option<FoundObject>, PortError> {
        let mut first = None;
        for location in locations {
            let url = location.url();
            match self.ports.pin(&url).await {
                Ok(source) if version.is_none_or(|version| version == source.version) => {
                    return Ok(Some(FoundObject::Source(location.clone(), source)));
                }
                Ok(source) => first = first.or_else(|| Some(FoundObject::Source(location.clone(), source))),
                Err(PortError::Refused(_)) => match self.ports.size(&url).await {
                    Ok(None) => {}
                    Ok(Some(_)) | Err(PortError::Refused(_)) => {
                        first = first.or_else(|| Some(FoundObject::Unusable(location.clone())));
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(first)
    }
}
