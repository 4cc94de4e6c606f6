//! Parses verified files and retains the release.

use lifecycle::bundle::yaml;
use lifecycle::{Assignment, Fault, Reason, Release, bundle};

use crate::actions::pull::PulledFiles;
use crate::storage::packed_release::{Content, PackedRelease};
use crate::storage::releases::ReleaseStore;

/// Makes a release of the pulled files and saves it.
///
/// # Errors
/// `PullFailed`, transient, if the files cannot be read; the refusals of [`bundle::read_objects`] and of
/// [`PackedRelease::pack`]; `RetainFailed`.
pub async fn stage(
    store: &ReleaseStore,
    add_on: &str,
    assignment: &Assignment,
    pulled: &mut PulledFiles,
) -> Result<(Release, PackedRelease), Fault> {
    let files = pulled.read_files().map_err(|e| {
        Fault::transient(Reason::PullFailed, format!("could not read the pulled bundle: {e}"))
    })?;
    let (release, packed) = parse_and_pack(add_on, assignment.clone(), files).await?;
    store.save(&release, &packed).await?;
    Ok((release, packed))
}

/// Parses on a thread of its own, because a large bundle would delay other add-ons.
async fn parse_and_pack(
    add_on: &str,
    assignment: Assignment,
    files: Vec<yaml::File>,
) -> Result<(Release, PackedRelease), Fault> {
    let add_on = add_on.to_owned();
    let parse = move || {
        let Assignment { release, shape, .. } = assignment;
        let objects = bundle::read_objects(&files, &shape.values, &shape.namespace)?;
        let content = Content { add_on, release, shape, objects };
        let packed = PackedRelease::pack(&content)?;
        Ok((content.release, packed))
    };
    tokio::task::spawn_blocking(parse)
        .await
        .unwrap_or_else(|_| Err(Fault::new(Reason::InvalidBundle, "the bundle's parser crashed")))
}
