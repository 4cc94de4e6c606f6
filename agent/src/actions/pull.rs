//! Fetches a bundle: from a registry, from a web server, or out of the assignment itself.

mod client;
mod download;
mod oci;
mod owner_files;
mod transfer;

use std::path::{Path, PathBuf};

use lifecycle::bundle::oci_manifest::is_registry;
use lifecycle::{Assignment, Fault, MAX_BUNDLE_BYTES, Pull, Reason, printable};

use crate::args::path;
use client::Redirects;
pub use download::PulledFiles;
use download::{Expected, Partial};

/// What this cluster's owner says about servers of bundles.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct PullSettings {
    /// PEM file of certificate authorities that https sources are trusted by besides the public ones; read at each pull
    #[arg(long, env = "CA_BUNDLE_FILE_PATH", value_name = "FILE", value_parser = path)]
    ca_bundle: Option<PathBuf>,
    /// Docker's config.json with the credentials for OCI registries; read at each pull, and anonymous pulls where it is not there
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE", value_parser = path)]
    registry_config: Option<PathBuf>,
    /// OCI registry that has no TLS, as it stands in source.oci.repository; can be given more than once
    #[arg(long, value_name = "HOST[:PORT]", value_parser = registry)]
    plain_http_registry: Vec<String>,
}

impl PullSettings {
    async fn client(&self, redirects: Redirects) -> Result<reqwest::Client, Fault> {
        client::client(named(self.ca_bundle.as_ref()), redirects).await
    }

    fn registry_config(&self) -> Option<&Path> {
        named(self.registry_config.as_ref())
    }

    /// Whether a host, with its port if that is not the usual one, is to be spoken to without TLS.
    fn is_plain(&self, host: &str) -> bool {
        let bare = |host: &str| host.strip_suffix(":80").unwrap_or(host).to_ascii_lowercase();
        self.plain_http_registry.iter().any(|plain| bare(plain) == bare(host))
    }

    #[cfg(test)]
    fn plain(registries: &[&str]) -> Self {
        let plain_http_registry = registries.iter().map(|&host| host.to_owned()).collect();
        Self { plain_http_registry, ..Self::default() }
    }
}

fn registry(text: &str) -> Result<String, String> {
    let refused =
        || "not a registry such as registry.example.com:5000; there is no scheme".to_owned();
    is_registry(text).then(|| text.to_owned()).ok_or_else(refused)
}

/// A variable that is set to nothing names no file.
fn named(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path).filter(|path| !path.as_os_str().is_empty())
}

/// # Errors
/// `PullFailed`, `BundleTooLarge` and `DigestMismatch`; of an artifact in a registry, also `InvalidBundle` and
/// `EmptyBundle`.
pub async fn pull(sources: &PullSettings, assignment: &Assignment) -> Result<PulledFiles, Fault> {
    match &assignment.pull {
        Pull::Oci { repository, digest } => oci::pull(sources, repository, digest).await,
        Pull::Http { url, digest } => {
            http(&sources.client(Redirects::Anywhere).await?, url, digest).await
        }
        Pull::Inline { yaml } => inline(yaml, &assignment.release.digest),
    }
}

async fn http(client: &reqwest::Client, url: &str, digest: &str) -> Result<PulledFiles, Fault> {
    let mut pulled = PulledFiles::new(digest)?;
    let ask = |from| transfer::send(client.get(url), from);
    transfer::transfer(&mut pulled, whole(digest), ask).await?;
    Ok(pulled)
}

fn inline(yaml: &[u8], digest: &str) -> Result<PulledFiles, Fault> {
    let mut pulled = PulledFiles::new(digest)?;
    let mut partial = Partial::new(&mut pulled, whole(digest))?;
    partial.write(yaml)?;
    partial.verified()?;
    Ok(pulled)
}

/// A bundle that is one file.
fn whole(digest: &str) -> Expected {
    Expected { name: None, digest: digest.to_owned(), largest: MAX_BUNDLE_BYTES }
}

fn transient(message: &str) -> Fault {
    Fault::transient(Reason::PullFailed, message)
}

fn lasting(message: String) -> Fault {
    Fault::new(Reason::PullFailed, message)
}

/// The whole chain of causes, without the URL: it may carry a signature.
fn words(error: &reqwest::Error) -> String {
    let mut words = String::from(if error.is_connect() { "no connection" } else { "broken off" });
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&words)
}
