//! Pulls a bundle: from an OCI registry, from a web server, or out of the assignment itself.

mod client;
mod download;
mod fault;
mod oci;
mod owner_files;
mod settings;
mod transfer;

use lifecycle::{Assignment, Fault, MAX_BUNDLE_BYTES, Pull};

use client::Redirects;
pub use download::PulledFiles;
use download::{ExpectedFile, PartialFile};
pub use settings::PullSettings;

/// Pulls the bundle that an assignment names, and verifies its digest.
///
/// # Errors
/// `PullFailed`, `BundleTooLarge` and `DigestMismatch`; for an artifact in a registry also `InvalidBundle` and
/// `EmptyBundle`.
pub async fn pull(settings: &PullSettings, assignment: &Assignment) -> Result<PulledFiles, Fault> {
    match &assignment.pull {
        Pull::Oci { repository, digest } => oci::pull(settings, repository, digest).await,
        Pull::Http { url, digest } => pull_http(settings, url, digest).await,
        Pull::Inline { yaml } => unpack_inline(yaml, &assignment.release.digest),
    }
}

async fn pull_http(settings: &PullSettings, url: &str, digest: &str) -> Result<PulledFiles, Fault> {
    let client = client::new(settings.ca_bundle.as_deref(), Redirects::AnyServer).await?;
    let mut pulled = PulledFiles::new(digest)?;
    let request = |offset| transfer::send(client.get(url), offset);
    transfer::transfer(&mut pulled, single_file(digest), request).await?;
    Ok(pulled)
}

fn unpack_inline(yaml: &[u8], digest: &str) -> Result<PulledFiles, Fault> {
    let mut pulled = PulledFiles::new(digest)?;
    let mut file = PartialFile::new(&mut pulled, single_file(digest))?;
    file.write(yaml)?;
    file.verify()?;
    Ok(pulled)
}

/// A bundle that is one file.
fn single_file(digest: &str) -> ExpectedFile {
    ExpectedFile { name: None, digest: digest.to_owned(), max_bytes: MAX_BUNDLE_BYTES }
}
