//! How the bundle of an assignment is pulled.

use std::io::Read;

use base64::Engine;

use crate::api::Source;
use crate::bundle::limits::MAX_BUNDLE_BYTES;
use crate::bundle::release;
use crate::bundle::repository::Repository;
use crate::reason::{Fault, Reason};

/// How to get a bundle. Digests are `sha256:` and 64 hex digits.
#[derive(Clone, Debug, PartialEq)]
pub enum Pull {
    /// From an OCI registry.
    Oci {
        /// Registry and repository.
        repository: Repository,
        /// Digest of the manifest.
        digest: String,
    },
    /// From a web server.
    Http {
        /// URL with scheme `http` or `https`.
        url: String,
        /// Digest of the file.
        digest: String,
    },
    /// From the assignment itself.
    Inline {
        /// The unpacked bundle.
        yaml: Vec<u8>,
    },
}

impl Pull {
    /// Parses `spec.source`.
    ///
    /// # Errors
    /// - `InvalidAssignment`: there is not exactly one source, or it cannot be read.
    /// - `BundleTooLarge`: an inline bundle unpacks to more than [`MAX_BUNDLE_BYTES`].
    pub fn parse(source: &Source) -> Result<Self, Fault> {
        match (&source.oci, &source.http, &source.inline) {
            (Some(oci), None, None) => {
                let repository = Repository::parse(&oci.repository)
                    .map_err(|why| invalid(format!("source.oci.repository {why}")))?;
                Ok(Pull::Oci { repository, digest: oci.digest.clone() })
            }
            (None, Some(http), None) => {
                Ok(Pull::Http { url: http.url.clone(), digest: format!("sha256:{}", http.sha256) })
            }
            (None, None, Some(inline)) => Ok(Pull::Inline { yaml: unpack(&inline.manifests)? }),
            _ => Err(invalid("exactly one of source.oci, source.http and source.inline is needed")),
        }
    }

    /// Digest of the bundle.
    pub fn digest(&self) -> String {
        match self {
            Pull::Oci { digest, .. } | Pull::Http { digest, .. } => digest.clone(),
            Pull::Inline { yaml } => release::digest(yaml),
        }
    }
}

/// Unpacks base64 of gzip.
fn unpack(encoded: &str) -> Result<Vec<u8>, Fault> {
    let packed = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim_ascii())
        .map_err(|e| invalid(format!("source.inline.manifests is not base64: {e}")))?;
    let mut yaml = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .take(MAX_BUNDLE_BYTES + 1)
        .read_to_end(&mut yaml)
        .map_err(|e| invalid(format!("source.inline.manifests is not gzip: {e}")))?;
    if yaml.len() as u64 > MAX_BUNDLE_BYTES {
        return Err(Fault::new(
            Reason::BundleTooLarge,
            format!("the inline bundle unpacks to more than {MAX_BUNDLE_BYTES} bytes"),
        ));
    }
    Ok(yaml)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Reason::InvalidAssignment, message)
}
