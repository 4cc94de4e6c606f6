//! Parses verified files and retains the release.

use std::sync::Arc;

use lifecycle::bundle::yaml;
use lifecycle::{Assignment, Fault, Reason, bundle};

use crate::actions::pull::PulledFiles;
use crate::storage::releases::{Content, ReleaseStore};

/// Makes a release of the pulled files and saves it.
///
/// # Errors
/// `PullFailed`, transient, if the files cannot be read; the refusals of [`bundle::read_objects`]; `RetainFailed`.
pub async fn stage(
    store: &ReleaseStore,
    add_on: &str,
    assignment: &Assignment,
    pulled: &mut PulledFiles,
) -> Result<Arc<Content>, Fault> {
    let files = pulled.read_files().map_err(|e| {
        Fault::transient(Reason::PullFailed, format!("could not read the pulled bundle: {e}"))
    })?;
    let content = parse(add_on, assignment.clone(), files).await?;
    store.save(&content).await?;
    Ok(Arc::new(content))
}

/// Parses on a thread of its own, because a large bundle would delay other add-ons.
async fn parse(
    add_on: &str,
    assignment: Assignment,
    files: Vec<yaml::File>,
) -> Result<Content, Fault> {
    let add_on = add_on.to_owned();
    let parse = move || {
        let Assignment { release, shape, .. } = assignment;
        let objects = bundle::read_objects(&files, &shape.values, &shape.namespace)?;
        Ok(Content { add_on, release, shape, objects })
    };
    tokio::task::spawn_blocking(parse)
        .await
        .unwrap_or_else(|_| Err(Fault::new(Reason::InvalidBundle, "the bundle's parser crashed")))
}
