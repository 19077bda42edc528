//! `millrace submit`: publishes uploads, and follows them to their end.

use std::{collections::HashMap, ffi::OsString, io::Read, path::Path};

use millrace_processors::request;
use millrace_runtime::{Tail, read_table};
use millrace_schemas::{Assembly, SourceRef, Upload, execution_id, masked_url, output_prefix, source_url};
use millrace_storage::Stores;
use millrace_topology::{Emit, streams};
use serde_json::json;

use super::{
    follow::{Awaited, Ending, Results, follow},
    run::pin_assets,
};
use crate::{
    cli::Submit,
    config::Config,
    error::CommandError,
    inputs::{display_name, parse_output, parse_url},
    order::{Order, unknown_name},
    shell::{
        connect::{existing_log, new_log, publish},
        data::DataFolder,
    },
    terminal::{note, print},
};

pub(super) async fn submit(call: Submit) -> Result<u8, CommandError> {
    let config = Config::load(&call.log, &[])?.with_profiles(&call.own);
    let uploads = uploads(&call, &config)?;
    let catalog = config.catalog()?;
    let store = config.default_store()?;
    let log = match existing_log(&call.log, true).await? {
        Some(log) => log,
        None => new_log(&DataFolder::find(config.data.as_deref())?).await?,
    };
    let known = read_table::<Assembly>(log.as_ref(), streams::ASSEMBLIES).await?;
    let ended = Tail::from_end(log.clone(), streams::MERGED).await?;
    let stores = Stores::default();
    let mut results = Results::new(call.json);
    let (mut emits, mut awaited) = (Vec::new(), HashMap::new());
    for upload in uploads {
        upload.check_by_others().map_err(CommandError::Call)?;
        let upload = match unknown_here(&upload, &config) {
            Some(name) => {
                note(&format!(
                    "the profile '{name}' is not known here; the process that accepts the upload looks it up"
                ));
                upload
            }
            None => request::pin_profile(upload, &catalog)
                .map_err(|error| CommandError::Call(format!("profile: {error}")))?,
        };
        // What this process can't read, the one that accepts the upload pins.
        let upload = pin_assets(upload.clone(), &stores).await.unwrap_or(upload);
        let source = source_url(&upload, store).map_err(CommandError::Call)?;
        output_prefix(&upload, &source).map_err(CommandError::Call)?;
        let execution = named(&upload, &source, &stores).await;
        if call.wait && execution.is_none() {
            let (what, source) = match request::profile_reference(&upload) {
                Some(name) => (format!("the profile '{name}'"), String::new()),
                None => ("the source".to_owned(), format!("{}: ", masked_url(&source))),
            };
            return Err(CommandError::Call(format!(
                "{source}{what} can't be looked at from here, and so the execution is not known before it is made; give it a --name to \
                 wait for"
            )));
        }
        emits.push(Emit::new(streams::UPLOADS, &source, &upload).map_err(CommandError::failed)?);
        let before = execution.as_ref().and_then(|id| known.get(id));
        if !call.wait {
            print_submitted(&call, execution.as_deref(), &masked_url(&source), before);
            continue;
        }
        let Some(execution) = execution else { continue };
        if let Some(state) = before.filter(|state| state.is_terminal()) {
            let outputs: Vec<_> = state.outputs.iter().filter_map(|output| output.facts.clone()).collect();
            results.report(&Ending {
                execution: Some(&execution),
                name: &masked_url(&source),
                state: state.phase,
                reason: state.reason.as_deref(),
                outputs: &outputs,
                segments: state.video_segments,
                reused: state.video_segments,
                warnings: &state.warnings,
            });
            continue;
        }
        results.begin(&execution, &display_name(&source), before);
        awaited.insert(
            execution,
            Awaited { name: masked_url(&source), attempt: upload.attempt, there_before: 0, found_before: 0 },
        );
    }
    // One by one: each is there or is not, and publishing them again changes nothing.
    for emit in emits {
        publish(log.as_ref(), vec![emit]).await?;
    }
    if awaited.is_empty() {
        return Ok(results.status());
    }
    follow(log, None, ended, awaited, results).await
}

/// Returns the uploads that the arguments ask for.
fn uploads(call: &Submit, config: &Config) -> Result<Vec<Upload>, CommandError> {
    if let Some(path) = &call.record {
        return records(path);
    }
    let output = call.output.as_deref().unwrap_or_default();
    // A name that is not known here can't be checked here.
    let named = call.order.profile.as_deref().and_then(unknown_name).filter(|_| config.profiles.is_none());
    let order = match named {
        Some(_) => &Order { profile: None, ..call.order.clone() },
        None => &call.order,
    };
    let template = order.upload("", config.profiles.as_deref())?;
    let template = Upload { profile: named.map(str::to_owned).or(template.profile), ..template };
    request::deadline(call.deadline).map_err(CommandError::Call)?;
    if call.name.is_some() && call.sources.len() > 1 {
        return Err(CommandError::Call("a name is of one source; submit the others on their own".into()));
    }
    let mut labels = HashMap::new();
    for label in &call.labels {
        let Some((name, value)) = label.split_once('=') else {
            return Err(CommandError::Call(format!("'{label}' is no label; write NAME=VALUE")));
        };
        labels.insert(name.to_owned(), value.to_owned());
    }
    let template = Upload {
        output_prefix: parse_output(output).map_err(CommandError::Call)?,
        name: call.name.clone(),
        labels,
        deadline_seconds: call.deadline,
        ..template
    };
    let upload = |source: &OsString| {
        let source = parse_url(source).map_err(CommandError::Call)?;
        Ok(Upload { source: Some(source), ..template.clone() })
    };
    call.sources.iter().map(upload).collect()
}

/// Returns the name of an upload's profile if it is not known here, and no folder of profiles is named where it should be.
fn unknown_here<'a>(upload: &'a Upload, config: &Config) -> Option<&'a str> {
    request::profile_reference(upload).and_then(unknown_name).filter(|_| config.profiles.is_none())
}

/// Reads uploads as JSON, one per line.
fn records(path: &Path) -> Result<Vec<Upload>, CommandError> {
    let wrong = |error: &dyn std::fmt::Display| CommandError::Call(format!("{}: {error}", path.display()));
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(|error| wrong(&error))?;
    } else {
        text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    }
    let values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let read = |value: Result<serde_json::Value, serde_json::Error>| {
        let value = value.map_err(|error| wrong(&error))?;
        Upload::read(value.to_string().as_bytes()).map_err(|error| wrong(&error))
    };
    values.map(read).collect()
}

/// Returns the id of the execution that an upload asks for, if it is known: the upload has a name, or this process can read the
/// source's version.
async fn named(upload: &Upload, source: &str, stores: &Stores) -> Option<String> {
    let pinned = match &upload.name {
        // Assets that are pinned later are part of its id.
        None if request::profile_reference(upload).is_some() => return None,
        None if !request::unpinned_assets(upload).is_empty() => return None,
        Some(_) => SourceRef { url: source.to_owned(), version: String::new(), bytes: 0 },
        None => stores.pin(source).await.ok()?,
    };
    Some(execution_id(upload, &pinned))
}

/// Prints what was published.
fn print_submitted(call: &Submit, execution: Option<&str>, source: &str, before: Option<&Assembly>) {
    let state = before.map_or("submitted", |state| state.phase.as_str());
    if call.json {
        print(&json!({"execution": execution, "source": source, "state": state}).to_string());
    } else {
        print(&format!("{:<16}  {state:<11}  {source}", execution.unwrap_or("?")));
    }
}
