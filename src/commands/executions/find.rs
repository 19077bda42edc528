//! Executions by the first characters of their ids.

use std::collections::HashMap;

use millrace_runtime::{Log, read_table};
use millrace_schemas::Assembly;
use millrace_topology::streams;

use crate::error::CommandError;

/// Returns the execution whose id begins with `id`. Without a log there is none.
///
/// # Errors
/// If there is no such execution, or several.
pub(in crate::commands) async fn find_execution(
    log: Option<&dyn Log>,
    id: &str,
) -> Result<Assembly, CommandError> {
    let known = match log {
        Some(log) => read_table::<Assembly>(log, streams::ASSEMBLIES).await?,
        None => HashMap::new(),
    };
    let mut found = known.into_values().filter(|state| state.execution.starts_with(id));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => {
            Err(CommandError::Call(format!("several executions begin with '{id}'; give more of it")))
        }
        (None, _) => Err(CommandError::Call(format!(
            "no execution begins with '{id}'; 'millrace executions list' shows those of this data folder"
        ))),
    }
}
