//! `trigger`: a notification of an object store becomes what is to be made of the source by the rules that it meets. Folders are told
//! of by the process that watches them, which meets their files with the same rules.

pub mod notification;
pub mod rules;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_schemas::{Arrival, RecordError, SourceRef, object_url};
use millrace_topology::{
    Emit, Processor, ProcessorError, Task,
    ports::{PortError, Storage},
    streams,
};

use notification::{Notification, ObjectEvent, Place};
use rules::Rule;

/// The processor.
pub struct Trigger<P> {
    ports: Arc<P>,
    rules: Vec<Rule>,
    /// The scheme of the store whose buckets notifications name.
    store: String,
}

impl<P> Trigger<P> {
    /// With these ports and rules, for notifications of the store of this scheme.
    pub fn new(ports: Arc<P>, rules: Vec<Rule>, store: &str) -> Self {
        Self { ports, rules, store: store.into() }
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
    Source(SourceRef),
    /// It is there, and can't be used: what asks for it fails with the reason.
    Unusable(String),
}

impl<P: Storage> Trigger<P> {
    async fn arrival(&self, event: &ObjectEvent, task: Task) -> Result<Option<Emit>, ProcessorError> {
        let Place { bucket, keys } = &event.place;
        let urls: Vec<String> = keys.iter().map(|key| object_url(&self.store, bucket, key)).collect();
        if !urls.iter().any(|url| rules::any_meets(&self.rules, url)) {
            return Ok(None);
        }
        let Some(found) = self.find(&urls, event.version.as_deref()).await? else {
            tracing::info!(source = urls[0], "it was gone before it was looked at");
            return Ok(None);
        };
        let (url, source) = match &found {
            Found::Source(source) => (&source.url, Some(source)),
            Found::Unusable(url) => (url, None),
        };
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
        let uploads = rules::uploads(&self.rules, url, source);
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
        Ok(Some(Emit::new(streams::ARRIVALS, url, &arrival)?))
    }

    /// The one of these that is there at the version that was told, or else the first that is there.
    async fn find(&self, urls: &[String], told: Option<&str>) -> Result<Option<Found>, PortError> {
        let mut first = None;
        for url in urls {
            match self.ports.pin(url).await {
                Ok(source) if told.is_none_or(|told| told == source.version) => {
                    return Ok(Some(Found::Source(source)));
                }
                Ok(source) => first = first.or(Some(Found::Source(source))),
                Err(PortError::Refused(_)) => match self.ports.size(url).await {
                    Ok(None) => {}
                    Ok(Some(_)) | Err(PortError::Refused(_)) => {
                        first = first.or_else(|| Some(Found::Unusable(url.clone())));
                    }
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(first)
    }
}
