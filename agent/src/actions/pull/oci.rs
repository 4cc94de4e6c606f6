//! A bundle from an OCI registry: the manifest that the assignment names by its digest, then each file the manifest names.

mod challenge;
mod credentials;
mod registry;
mod token;

use std::time::Duration;

use lifecycle::bundle::limits::MAX_MANIFEST_BYTES;
use lifecycle::bundle::oci_manifest::{self, Layer, Repository};
use lifecycle::{Fault, Reason};
use tokio::time::timeout;

use super::download::Expected;
use super::transfer::{SLOWEST, transfer};
use super::{PullSettings, PulledFiles, lasting};
use registry::Registry;

/// What a manifest may take, and more for each file it names: a registry that dawdles holds up other add-ons.
const PATIENCE: Duration = Duration::from_secs(2 * 60);
const PATIENCE_PER_FILE: Duration = Duration::from_secs(5);

/// # Errors
/// `PullFailed`, `BundleTooLarge`; `InvalidBundle` and `EmptyBundle` for a manifest of something else than files.
pub async fn pull(
    sources: &PullSettings,
    repository: &Repository,
    digest: &str,
) -> Result<PulledFiles, Fault> {
    let pulling = async {
        let registry = Registry::new(sources, repository).await?;
        let layers = within(PATIENCE, layers(&registry, digest)).await?;
        within(patience(&layers), files(&registry, digest, layers)).await
    };
    let said = |fault: Fault| format!("{repository}: {}", fault.message);
    pulling.await.map_err(|fault| Fault::new(fault.reason, said(fault)))
}

fn patience(layers: &[Layer]) -> Duration {
    let bytes: u64 = layers.iter().map(|layer| layer.size).sum();
    let files = u32::try_from(layers.len()).unwrap_or(u32::MAX);
    PATIENCE + PATIENCE_PER_FILE.saturating_mul(files) + Duration::from_secs(bytes / SLOWEST)
}

async fn within<T>(
    patience: Duration,
    pulling: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    timeout(patience, pulling).await.unwrap_or_else(|_| {
        Err(lasting(format!("it took longer than {} s, which is given up", patience.as_secs())))
    })
}

async fn files(
    registry: &Registry<'_>,
    digest: &str,
    layers: Vec<Layer>,
) -> Result<PulledFiles, Fault> {
    let mut pulled = PulledFiles::new(digest)?;
    for Layer { name, digest, size } in layers {
        let expected = Expected { name: Some(name), digest: digest.clone(), largest: size };
        let transferred =
            transfer(&mut pulled, expected, |from| registry.blob(&digest, from)).await;
        transferred.map_err(spoilt)?;
    }
    Ok(pulled)
}

/// What was asked for by its digest, or with the size that a verified manifest says, and is something else, is the
/// registry's to mend, not the assignment's.
fn spoilt(fault: Fault) -> Fault {
    let of_bytes = [Reason::DigestMismatch, Reason::BundleTooLarge].contains(&fault.reason);
    if of_bytes { Fault { reason: Reason::PullFailed, ..fault } } else { fault }
}

async fn layers(registry: &Registry<'_>, digest: &str) -> Result<Vec<Layer>, Fault> {
    let mut manifest = PulledFiles::new(digest)?;
    let expected = Expected {
        name: Some("the manifest".to_owned()),
        digest: digest.to_owned(),
        largest: MAX_MANIFEST_BYTES,
    };
    let transferred =
        transfer(&mut manifest, expected, |from| registry.manifest(digest, from)).await;
    let of_the_registry = |fault: &Fault| fault.reason == Reason::DigestMismatch;
    transferred.map_err(|fault| if of_the_registry(&fault) { spoilt(fault) } else { fault })?;
    let files = manifest.files().map_err(|error| {
        Fault::transient(Reason::PullFailed, format!("the pulled manifest cannot be read: {error}"))
    })?;
    files.first().map_or_else(|| Ok(Vec::new()), |file| oci_manifest::layers(&file.bytes))
}
