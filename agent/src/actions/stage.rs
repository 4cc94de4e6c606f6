//! From verified bytes to a retained release.

use lifecycle::bundle::yaml;
use lifecycle::{Assignment, Fault, Reason, bundle};

use crate::actions::pull::PulledFiles;
use crate::storage::releases::{Content, ReleaseStore};

pub async fn stage(
    store: &ReleaseStore,
    add_on: &str,
    assignment: &Assignment,
    pulled: &mut PulledFiles,
) -> Result<Content, Fault> {
    let files = pulled.read_files().map_err(|e| {
        Fault::transient(Reason::PullFailed, format!("the pulled bundle cannot be read: {e}"))
    })?;
    let content = content(add_on, assignment.clone(), files).await?;
    store.save(&content).await?;
    Ok(content)
}

/// Parsing may take a while and must not hold up other add-ons.
async fn content(
    add_on: &str,
    assignment: Assignment,
    files: Vec<yaml::File>,
) -> Result<Content, Fault> {
    let add_on = add_on.to_owned();
    let parse = move || {
        let Assignment { release, shape, .. } = assignment;
        let objects = bundle::read_files(&files, &shape.values, &shape.namespace)?;
        Ok(Content { add_on, release, shape, objects })
    };
    tokio::task::spawn_blocking(parse).await.unwrap_or_else(|_| {
        Err(Fault::new(Reason::InvalidBundle, "the bundle could not be read at all"))
    })
}
