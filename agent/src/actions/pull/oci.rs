//! Pulls a bundle from an OCI registry: the OCI manifest that the assignment names, then each file that it lists.

mod challenge;
mod credentials;
mod registry;
mod token;

use std::time::Duration;

use lifecycle::bundle::limits::MAX_MANIFEST_BYTES;
use lifecycle::bundle::oci_manifest::{self, Layer};
use lifecycle::bundle::repository::Repository;
use lifecycle::{Fault, Reason};
use tokio::time::timeout;

use super::download::{ExpectedFile, PulledFiles};
use super::fault::{permanent, transient};
use super::settings::PullSettings;
use super::transfer::{MIN_RATE, transfer};
use registry::Registry;

/// Longest time for an OCI manifest, so that a slow registry does not delay other add-ons.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// Additional time for each file that the OCI manifest lists.
const TIMEOUT_PER_FILE: Duration = Duration::from_secs(5);

/// Pulls the artifact with `digest`.
///
/// # Errors
/// `PullFailed`, `BundleTooLarge`; `InvalidBundle` and `EmptyBundle` for an OCI manifest that does not list files.
pub async fn pull(
    settings: &PullSettings,
    repository: &Repository,
    digest: &str,
) -> Result<PulledFiles, Fault> {
    let pulling = async {
        let registry = Registry::new(settings, repository).await?;
        let layers = with_timeout(MANIFEST_TIMEOUT, pull_manifest(&registry, digest)).await?;
        with_timeout(files_timeout(&layers), pull_files(&registry, digest, layers)).await
    };
    let message = |fault: &Fault| format!("{repository}: {}", fault.message);
    pulling.await.map_err(|fault| Fault::new(fault.reason, message(&fault)))
}

fn files_timeout(layers: &[Layer]) -> Duration {
    let bytes: u64 = layers.iter().map(|layer| layer.size).sum();
    let files = u32::try_from(layers.len()).unwrap_or(u32::MAX);
    let transfer_time = Duration::from_secs(bytes / MIN_RATE);
    MANIFEST_TIMEOUT + TIMEOUT_PER_FILE.saturating_mul(files) + transfer_time
}

async fn with_timeout<T>(
    limit: Duration,
    pulling: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let result = timeout(limit, pulling).await;
    result.unwrap_or_else(|_| Err(permanent(format!("not complete after {} s", limit.as_secs()))))
}

async fn pull_manifest(registry: &Registry<'_>, digest: &str) -> Result<Vec<Layer>, Fault> {
    let mut manifest = PulledFiles::new(digest)?;
    let expected = ExpectedFile {
        name: Some("the manifest".to_owned()),
        digest: digest.to_owned(),
        max_bytes: MAX_MANIFEST_BYTES,
    };
    let request = |offset| registry.get_manifest(digest, offset);
    let is_digest = |fault: &Fault| fault.reason == Reason::DigestMismatch;
    let transferred = transfer(&mut manifest, expected, request).await;
    transferred.map_err(|fault| if is_digest(&fault) { blame_registry(fault) } else { fault })?;
    let files = manifest
        .read_files()
        .map_err(|error| transient(format!("could not read the pulled manifest: {error}")))?;
    files.first().map_or_else(|| Ok(Vec::new()), |file| oci_manifest::read_layers(&file.bytes))
}

async fn pull_files(
    registry: &Registry<'_>,
    digest: &str,
    layers: Vec<Layer>,
) -> Result<PulledFiles, Fault> {
    let mut pulled = PulledFiles::new(digest)?;
    for Layer { name, digest, size } in layers {
        let expected = ExpectedFile { name: Some(name), digest: digest.clone(), max_bytes: size };
        let request = |offset| registry.get_blob(&digest, offset);
        transfer(&mut pulled, expected, request).await.map_err(blame_registry)?;
    }
    Ok(pulled)
}

/// Turns a wrong digest or size into `PullFailed`: the request named the digest, or the verified manifest the size, so
/// that the registry is at fault and not the assignment.
fn blame_registry(fault: Fault) -> Fault {
    let is_content = [Reason::DigestMismatch, Reason::BundleTooLarge].contains(&fault.reason);
    if is_content { Fault { reason: Reason::PullFailed, ..fault } } else { fault }
}
