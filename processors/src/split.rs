//! `split`: plans the execution of an upload and publishes its segments, or refuses the upload. It decodes and copies nothing.

pub mod cuts;
mod extras;
mod grid;
mod limits;
mod longest;
mod plan;
mod preview;
mod ranges;
mod ranks;
mod records;
mod timecode;
mod trim;

use std::sync::Arc;

use async_trait::async_trait;
use millrace_access::Access;
use millrace_schemas::{
    AssetKind, Fingerprint, ImageFacts, OutputPlan, RecordError, SourceRef, Upload, execution_id, masked_url,
    source_url,
};
use millrace_topology::{
    Emit, Processor, ProcessorError, ProcessorSpec, Task,
    faults::Fault,
    ports::{Media, PortError, Storage},
    streams,
};

use tokio::sync::oneshot;
use tracing::Instrument as _;

use crate::{
    dependencies::{Dependencies, Ports, ProcessorStarter},
    pinning::Pinning,
    request::{self, pin_assets_of},
    running::RunningExecutions,
    trigger::rules,
};
use plan::plan;
pub use preview::{OutputPreview, Preview, preview};
use records::{publish, refusal};

/// Returns the processor's name and its edges in the graph.
#[must_use]
pub fn spec() -> ProcessorSpec {
    let writes = [streams::SEGMENTS, streams::TRANSCODED, streams::EXECUTIONS];
    ProcessorSpec::new("split", "plans segments", streams::ACCEPTED, writes)
}

/// Makes the processor and starts it.
pub fn start<P: Ports>(dependencies: &Dependencies<P>, starter: &mut impl ProcessorStarter) {
    let Dependencies { ports, store, access, pinning, running, .. } = dependencies;
    let split = Split::new(ports.clone(), store, access.clone(), pinning.clone(), running.clone());
    starter.start_processor(spec(), split);
}

/// The processor `split`.
pub struct Split<P> {
    ports: Arc<P>,
    /// The URL scheme of the default object store.
    store: String,
    /// What each principal may read and write, and its limits.
    access: Arc<Access>,
    pinning: Pinning,
    running: RunningExecutions,
}

impl<P> Split<P> {
    /// Returns the processor with these ports. `store` is the URL scheme of the default object store, for uploads that name a bucket;
    /// `access` and `running` limit what uploads of each principal may do.
    pub fn new(
        ports: Arc<P>,
        store: &str,
        access: Arc<Access>,
        pinning: Pinning,
        running: RunningExecutions,
    ) -> Self {
        Self { ports, store: store.into(), access, pinning, running }
    }
}

#[async_trait]
impl<P: Media + Storage> Processor for Split<P> {
    type In = Upload;

    fn read(&self, value: &[u8]) -> Result<Upload, RecordError> {
        Upload::read(value)
    }

    async fn handle(&self, upload: &Upload, task: Task) -> Result<Vec<Emit>, ProcessorError> {
        let (upload, source) = match self.pin(upload).await {
            Ok((pinned, source)) => (pinned, source),
            Err(PortError::Refused(reason)) => {
                return refusal(upload, &self.unpinned(upload), task.appended_ms, &reason);
            }
            Err(error) => return Err(error.into()),
        };
        let upload = &upload;
        let execution = execution_id(upload, &source);
        let result = async {
            limits::begin_execution(&self.access, upload, &execution, &self.running, task.now_ms())
                .map_err(PortError::Refused)?;
            let mut facts = self.ports.inspect(&source, upload.segment_time_seconds).await?;
            facts.images.clear();
            for (kind, asset) in request::assets(upload) {
                let (width, height) = self.ports.measure(&asset, kind).await?;
                if kind == AssetKind::Image {
                    facts.images.push(ImageFacts { image: asset, width, height });
                }
            }
            if upload.labels.contains_key(rules::LABEL)
                && facts.comment().is_some_and(|comment| Fingerprint::read(comment).is_some())
            {
                return Ok(None);
            }
            let owned = (upload.clone(), source.clone(), execution.clone());
            let encoders = self.ports.encoders();
            let planned = self.compute(move || {
                let (upload, source, execution) = owned;
                plan(&upload, &source, &execution, &facts, &encoders).map(|plan| (plan, facts))
            });
            let (mut plan, facts) = planned.await?.map_err(PortError::Refused)?;
            limits::check_contents(&self.access, upload, &source, &facts, &plan)
                .map_err(PortError::Refused)?;
            for output in &mut plan.started.outputs {
                output.keep = self.is_made(output).await?;
                let known = upload.made.iter().find(|facts| output.keep && facts.url == output.url);
                if let Some(facts) = known
                    && self.ports.size(&output.url).await? == Some(facts.bytes)
                {
                    plan.started.kept.push(facts.clone());
                }
            }
            if plan.started.kept.len() == plan.started.outputs.len() {
                // All outputs exist: nothing is transcoded.
                plan.segments.clear();
                plan.started.tracks.clear();
            }
            Ok::<_, PortError>(Some(plan))
        };
        let span = tracing::info_span!("split", execution, source = masked_url(&source.url));
        match result.instrument(span).await {
            Ok(None) => {
                // Otherwise a watched bucket or folder with outputs in it would loop.
                tracing::info!(
                    execution,
                    source = masked_url(&source.url),
                    "ignored: the source is an output of Millrace"
                );
                Ok(Vec::new())
            }
            Ok(Some(plan)) => {
                tracing::info!(execution, segments = plan.segments.len(), "planned");
                for left in &plan.left_out {
                    tracing::info!(execution, "left out: {left}");
                }
                let (upload, at_ms) = (upload.clone(), task.appended_ms);
                Ok(self.compute(move || publish(&upload, &execution, at_ms, plan)).await??)
            }
            Err(PortError::Refused(reason)) => {
                tracing::warn!(execution, reason, "refused");
                refusal(upload, &source, task.appended_ms, &reason)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn given_up(&self, upload: &Upload, task: Task, reason: &str) -> Vec<Emit> {
        refusal(upload, &self.unpinned(upload), task.now_ms(), reason).unwrap_or_default()
    }
}

impl<P> Split<P> {
    /// Returns a source that could not be looked up, by the fields of the upload.
    fn unpinned(&self, upload: &Upload) -> SourceRef {
        SourceRef {
            url: source_url(upload, &self.store).unwrap_or_default(),
            version: upload.version.clone().unwrap_or_default(),
            bytes: 0,
        }
    }
}

impl<P: Media + Storage> Split<P> {
    /// Returns the source at the version that the upload names, or at the current one, and the upload with its assets pinned, if
    /// those of an earlier version of Millrace are not yet.
    async fn pin(&self, upload: &Upload) -> Result<(Upload, SourceRef), PortError> {
        let url = source_url(upload, &self.store).map_err(PortError::Refused)?;
        let late = match Fault::ProfilePinnedLate.is_planted() {
            true => Some(self.pinning.pin(self.ports.as_ref(), upload.clone()).await?),
            false => None,
        };
        let upload = late.as_ref().unwrap_or(upload);
        self.pinning.check_pinned(upload).await.map_err(PortError::Refused)?;
        limits::check_locations(&self.access, upload, &url).map_err(PortError::Refused)?;
        let source = self.ports.pin(&url).await?;
        limits::check_size(&self.access, upload, &source).map_err(PortError::Refused)?;
        match &upload.version {
            Some(version) if *version != source.version => Err(PortError::Refused(format!(
                "{} changed since it was accepted; run it again when it is complete",
                masked_url(&url)
            ))),
            _ => {
                let upload = pin_assets_of(self.ports.as_ref(), upload.clone()).await?;
                Ok((upload, source))
            }
        }
    }

    /// Computes on another thread, so that other tasks go on: to plan 100,000 segments takes a quarter of a second, to encode their
    /// records a second.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PortError> {
        let (done, result) = oneshot::channel();
        self.ports.compute(Box::new(move || drop(done.send(work())))).await?;
        result.await.map_err(|_| PortError::Transient("planning was interrupted".into()))
    }

    /// Returns whether the file at the output's URL already is this output.
    ///
    /// # Errors
    /// [`PortError::Refused`] if another file is at the URL that may not be replaced.
    async fn is_made(&self, output: &OutputPlan) -> Result<bool, PortError> {
        // The folder of a package is a part of it, and is made with it.
        let place =
            output.package.as_ref().and_then(|_| output.url.rsplit_once('/')).map(|(folder, _)| folder);
        self.ports.writable(place.unwrap_or(&output.url)).await?;
        if self.ports.size(&output.url).await?.is_none() {
            return Ok(false);
        }
        let found = self.ports.comment(&output.url).await?.as_deref().and_then(Fingerprint::read);
        match (found, Fingerprint::read(&output.mark)) {
            (Some(found), Some(planned)) if found.source == planned.source => Ok(found == planned),
            _ if output.overwrite => Ok(false),
            _ => Err(PortError::Refused(format!(
                "{} is there already and did not come from this source; choose another folder, or replace it with --overwrite",
                output.url
            ))),
        }
    }
}
