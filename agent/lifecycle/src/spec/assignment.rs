//! What is asked of this cluster, read once from a `ManagedAddOn` and refused whole when anything in it is unclear.

use std::io::Read;
use std::time::Duration;

use base64::Engine;
use semver::{Version, VersionReq};

use crate::api::{
    Deletion, Downgrades, ManagedAddOnSpec, OnFailure, OnUnsafe, PolicySpec, Source, Upgrades,
};
use crate::bundle::limits::MAX_BUNDLE_BYTES;
use crate::bundle::release::{self, Release, ServiceAccount, Shape};
use crate::bundle::repository::Repository;
use crate::health::Rules;
use crate::names::{DEFAULT_NAMESPACE, DEFAULT_SERVICE_ACCOUNT};
use crate::reason::{Fault, Reason};
use crate::spec::maintenance_window::Windows;
use crate::spec::requirement::Requirement;
use crate::spec::{duration, version_range};

/// A spec that can be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub release: Release,
    pub shape: Shape,
    pub pull: Pull,
    pub upgrade_from: Option<VersionReq>,
    pub kubernetes: Option<VersionReq>,
    pub requires: Vec<Requirement>,
    pub policy: Policy,
}

/// How to get the bundle's bytes.
#[derive(Clone, Debug, PartialEq)]
pub enum Pull {
    /// `digest` is the manifest's.
    Oci {
        repository: Repository,
        digest: String,
    },
    Http {
        url: String,
        digest: String,
    },
    /// Already here.
    Inline {
        yaml: Vec<u8>,
    },
}

/// The policy with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub on_failure: OnFailure,
    pub on_unsafe: OnUnsafe,
    pub upgrades: Upgrades,
    pub downgrades: Downgrades,
    /// Default 15 minutes: three times what a slow image pull usually takes at the edge.
    pub timeout: Duration,
    /// Default 30 seconds: three probe periods of Kubernetes' own default.
    pub soak: Duration,
    pub windows: Windows,
    pub deletion: Deletion,
    pub adopt: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            on_unsafe: OnUnsafe::default(),
            upgrades: Upgrades::default(),
            downgrades: Downgrades::default(),
            timeout: Duration::from_secs(15 * 60),
            soak: Duration::from_secs(30),
            windows: Windows::default(),
            deletion: Deletion::default(),
            adopt: false,
        }
    }
}

impl Policy {
    pub fn read(spec: Option<&PolicySpec>) -> Result<Self, Fault> {
        let default = Self::default();
        let Some(spec) = spec else { return Ok(default) };
        let time = |name: &str, text: &Option<String>, otherwise| match text {
            None => Ok(otherwise),
            Some(text) => duration::parse(text).map_err(|e| invalid(format!("policy.{name}: {e}"))),
        };
        Ok(Self {
            on_failure: spec.on_failure.unwrap_or_default(),
            on_unsafe: spec.on_unsafe.unwrap_or_default(),
            upgrades: spec.upgrades.unwrap_or_default(),
            downgrades: spec.downgrades.unwrap_or_default(),
            timeout: time("timeout", &spec.timeout, default.timeout)?,
            soak: time("soak", &spec.soak, default.soak)?,
            windows: Windows::read(spec.windows.as_deref().unwrap_or_default())
                .map_err(|e| invalid(format!("policy.windows: {e}")))?,
            deletion: spec.deletion.unwrap_or_default(),
            adopt: spec.adopt.unwrap_or_default(),
        })
    }
}

impl Assignment {
    /// `home` is the agent's own namespace. Takes time where there are health rules: they are compiled.
    pub fn read(spec: &ManagedAddOnSpec, home: &str) -> Result<Self, Fault> {
        let version = Version::parse(&spec.version).map_err(|e| {
            Fault::new(Reason::InvalidVersion, format!("version {:?}: {e}", spec.version))
        })?;
        Rules::compile(spec.health.as_deref().unwrap_or_default())?;
        let pull = Pull::read(&spec.source)?;
        let shape = Shape {
            digest: pull.digest(),
            namespace: spec.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            service_account: service_account(spec, home),
            health: spec.health.clone().unwrap_or_default(),
            values: spec.values.clone().unwrap_or_default(),
        };
        Ok(Self {
            release: Release { id: shape.id(), version, digest: shape.digest.clone() },
            shape,
            pull,
            upgrade_from: range("upgradeFrom", spec.upgrade_from.as_deref())?,
            kubernetes: range("kubernetes", spec.kubernetes.as_deref())?,
            requires: spec
                .requires
                .iter()
                .flatten()
                .map(Requirement::parse)
                .collect::<Result<_, _>>()?,
            policy: Policy::read(spec.policy.as_ref())?,
        })
    }
}

impl Pull {
    fn read(source: &Source) -> Result<Self, Fault> {
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

    fn digest(&self) -> String {
        match self {
            Pull::Oci { digest, .. } | Pull::Http { digest, .. } => digest.clone(),
            Pull::Inline { yaml } => release::digest(yaml),
        }
    }
}

fn service_account(spec: &ManagedAddOnSpec, home: &str) -> ServiceAccount {
    match &spec.service_account_name {
        Some(name) => ServiceAccount {
            namespace: spec.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: name.clone(),
        },
        None => {
            ServiceAccount { namespace: home.to_owned(), name: DEFAULT_SERVICE_ACCOUNT.to_owned() }
        }
    }
}

fn range(field: &str, text: Option<&str>) -> Result<Option<VersionReq>, Fault> {
    text.map(version_range::parse).transpose().map_err(|e| invalid(format!("{field}: {e}")))
}

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
