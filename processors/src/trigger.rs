//! `trigger`: a notification of an object store becomes what is to be made of the source by the rules that match it. Folders are told
//! of by the process that watches them, which holds their files to the same rules.

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

use crate::{Given, Ports, Runner};

use notification::{Notification, ObjectEvent, Place};
use rules::Rule;

/// Its name and its edges.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let does = "meets notifications with rules";
    ProcessorSpec {
        role: Role::Watches,
        ..ProcessorSpec::new("trigger", does, streams::NOTIFICATIONS, [streams::ARRIVALS])
    }
}

/// Gives it to a runner.
pub fn start<P: Ports>(given: &Given<P>, runner: &mut impl Runner) {
    runner.processor(spec(), Trigger::new(given.ports.clone(), given.rules.clone(), &given.store));
}

/// The processor.
pub struct Trigger<P> {
    ports: Arc<P>,
    rules: Vec<Rule>,
    /// The scheme of the store whose buckets notifications name.
    store: Option<Scheme>,
}

impl<P> Trigger<P> {
    /// With these ports and rules, for notifications of the store of this scheme.
    pub fn new(ports: Arc<P>, rules: Vec<Rule>, store: &str) -> Self {
        Self { ports, rules, store: Scheme::named(store) }
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
        // The dead letter can be published again; no execution has begun.
        Vec::new()
    }
}

/// What was found at an event's place.
enum Found {
    Source(Location, SourceRef),
    /// It is there, and can't be used: what asks for it fails with the reason.
    Unusable(Location),
}

impl<P: Storage> Trigger<P> {
    async fn arrival(&self, event: &ObjectEvent, task: Task) -> Result<Option<Emit>, ProcessorError> {
        let Place { bucket, keys } = &event.place;
        let Some(store) = self.store else { return Ok(None) };
        // What no store can hold, and what stands for a folder, matches nothing.
        let locations: Vec<Location> = keys
            .iter()
            .filter(|key| !key.ends_with('/'))
            .filter_map(|key| Location::object(store, bucket, key).ok())
            .collect();
        if !locations.iter().any(|location| rules::any_matches(&self.rules, location)) {
            return Ok(None);
        }
        let Some(found) = self.find(&locations, event.version.as_deref()).await? else {
            tracing::info!(source = %locations[0], "it was gone before it was looked at");
            return Ok(None);
        };
        let (location, source) = match &found {
            Found::Source(location, source) => (location, Some(source)),
            Found::Unusable(location) => (location, None),
        };
        let url = location.url();
        if let (Some(told), Some(source)) = (&event.version, source)
            && *told != source.version
        {
            tracing::info!(
                source = url,
                told,
                "another version is there by now, of which a notification of its own tells"
            );
            return Ok(None);
        }
        let uploads = rules::uploads(&self.rules, location, source);
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

    /// The one of these that is there at the version that was told, or else the first that is there.
    async fn find(&self, locations: &[Location], told: Option<&str>) -> Result<Option<Found>, PortError> {
        let mut first = None;
        for location in locations {
            let url = location.url();
            match self.ports.pin(&url).await {
                Ok(source) if told.is_none_or(|told| told == source.version) => {
                    return Ok(Some(Found::Source(location.clone(), source)));
                }
                Ok(source) => first = first.or_else(|| Some(Found::Source(location.clone(), source))),
                Err(PortError::Refused(_)) => match self.ports.size(&url).await {
                    Ok(None) => {}
                    Ok(Some(_)) | Err(PortError::Refused(_)) => {
                        first = first.or_else(|| Some(Found::Unusable(location.clone())));
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(first)
    }
}
