//! An assignment: the spec of a `ManagedAddOn`, parsed once and rejected as a whole if anything in it is unclear.

use semver::{Version, VersionReq};

use crate::api::ManagedAddOnSpec;
use crate::bundle::release::{Release, ServiceAccount, Shape};
use crate::health::Rules;
use crate::names::{DEFAULT_NAMESPACE, DEFAULT_SERVICE_ACCOUNT};
use crate::reason::{Fault, Reason};
use crate::spec::policy::Policy;
use crate::spec::pull::Pull;
use crate::spec::requirement::Requirement;
use crate::spec::version_range;

/// A spec that can be acted on.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The assigned release.
    pub release: Release,
    /// Everything that shapes the release.
    pub shape: Shape,
    /// How to get its bundle.
    pub pull: Pull,
    /// Versions that the release may follow; any if absent.
    pub upgrade_from: Option<VersionReq>,
    /// Versions of the API server that it supports; any if absent.
    pub kubernetes: Option<VersionReq>,
    /// Other add-ons that it needs.
    pub requires: Vec<Requirement>,
    /// How its rollout behaves.
    pub policy: Policy,
}

impl Assignment {
    /// Parses a spec. `agent_namespace` has the default service account. Health rules are compiled, which takes time.
    ///
    /// # Errors
    /// - `InvalidVersion`: the version is not semantic.
    /// - `InvalidAssignment`: another field is unclear, such as a health rule that does not compile.
    /// - `BundleTooLarge`: an inline bundle exceeds the limit.
    pub fn parse(spec: &ManagedAddOnSpec, agent_namespace: &str) -> Result<Self, Fault> {
        let version = Version::parse(&spec.version).map_err(|e| {
            Fault::new(Reason::InvalidVersion, format!("version {:?}: {e}", spec.version))
        })?;
        Rules::compile(spec.health.as_deref().unwrap_or_default())?;
        let pull = Pull::parse(&spec.source)?;
        let shape = Shape {
            digest: pull.digest(),
            namespace: namespace(spec),
            service_account: service_account(spec, agent_namespace),
            health: spec.health.clone().unwrap_or_default(),
            values: spec.values.clone().unwrap_or_default(),
        };
        let requires = spec.requires.iter().flatten().map(Requirement::parse);
        Ok(Self {
            release: Release { id: shape.id(), version, digest: shape.digest.clone() },
            shape,
            pull,
            upgrade_from: parse_range("upgradeFrom", spec.upgrade_from.as_deref())?,
            kubernetes: parse_range("kubernetes", spec.kubernetes.as_deref())?,
            requires: requires.collect::<Result<_, _>>()?,
            policy: Policy::parse(spec.policy.as_ref())?,
        })
    }
}

fn namespace(spec: &ManagedAddOnSpec) -> String {
    spec.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())
}

fn service_account(spec: &ManagedAddOnSpec, agent_namespace: &str) -> ServiceAccount {
    match &spec.service_account_name {
        Some(name) => ServiceAccount { namespace: namespace(spec), name: name.clone() },
        None => ServiceAccount {
            namespace: agent_namespace.to_owned(),
            name: DEFAULT_SERVICE_ACCOUNT.to_owned(),
        },
    }
}

fn parse_range(field: &str, text: Option<&str>) -> Result<Option<VersionReq>, Fault> {
    let invalid = |e| Fault::new(Reason::InvalidAssignment, format!("{field}: {e}"));
    text.map(version_range::parse).transpose().map_err(invalid)
}
