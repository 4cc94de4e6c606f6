//! Upgrade paths: which version may follow which.

use semver::Version;

use crate::api::{Downgrades, OperationKind, Upgrades};
use crate::bundle::release::Release;
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;
use crate::spec::version_range::{contains, is_older};

/// Returns the kind of operation that leads from `current` to version `to`. Without a current release it is an install,
/// to an older version a rollback.
pub fn operation_kind(current: Option<&Release>, to: &Version) -> OperationKind {
    match current {
        None => OperationKind::Install,
        Some(current) if is_older(to, &current.version) => OperationKind::Rollback,
        Some(_) => OperationKind::Upgrade,
    }
}

/// Rejects an assignment that may not follow `current`.
///
/// # Errors
/// - `KubernetesNotSupported`: the API server's version is not in `spec.kubernetes`. An unknown version is not compared.
/// - `DigestChanged`: the current or previous release has the same version and another digest.
/// - `UpgradeNotAllowed`, `DowngradeNotAllowed`: the policy does not allow this step.
/// - `UpgradePathNotSupported`: the current version is not in `spec.upgradeFrom`.
pub fn validate_path(
    assignment: &Assignment,
    current: Option<&Release>,
    previous: Option<&Release>,
    kubernetes: Option<&Version>,
) -> Result<(), Fault> {
    let to = &assignment.release;
    if let (Some(range), Some(server)) = (&assignment.kubernetes, kubernetes)
        && !contains(range, server)
    {
        return Err(Fault::new(
            Reason::KubernetesNotSupported,
            format!("{} needs Kubernetes {range}, this is {server}", to.version),
        ));
    }
    let Some(current) = current else { return Ok(()) };
    for known in [Some(current), previous].into_iter().flatten() {
        reject_changed_digest(to, known)?;
    }
    match operation_kind(Some(current), &to.version) {
        OperationKind::Rollback => validate_downgrade(assignment, current, previous),
        OperationKind::Upgrade => validate_upgrade(assignment, current),
        OperationKind::Install | OperationKind::Uninstall => Ok(()),
    }
}

/// Rejects a release whose version is known on this cluster with another digest.
///
/// # Errors
/// `DigestChanged`.
pub fn reject_changed_digest(to: &Release, known: &Release) -> Result<(), Fault> {
    if known.version != to.version || known.digest == to.digest {
        return Ok(());
    }
    Err(Fault::new(
        Reason::DigestChanged,
        format!(
            "{} is known here as {}, now it is {}; give changed content a new version",
            to.version, known.digest, to.digest
        ),
    ))
}

fn validate_upgrade(assignment: &Assignment, current: &Release) -> Result<(), Fault> {
    let (from, to) = (&current.version, &assignment.release.version);
    if from == to {
        return Ok(());
    }
    let is_allowed = match assignment.policy.upgrades {
        Upgrades::Any => true,
        Upgrades::Minor => from.major == to.major,
        Upgrades::Patch => (from.major, from.minor) == (to.major, to.minor),
        Upgrades::None => false,
    };
    if !is_allowed {
        return Err(Fault::new(
            Reason::UpgradeNotAllowed,
            format!(
                "{from} to {to} is a larger step than policy.upgrades {:?} allows",
                assignment.policy.upgrades
            ),
        ));
    }
    match &assignment.upgrade_from {
        Some(range) if !contains(range, from) => Err(Fault::new(
            Reason::UpgradePathNotSupported,
            format!("{to} can follow {range}, but {from} runs here; go through a version between"),
        )),
        _ => Ok(()),
    }
}

fn validate_downgrade(
    assignment: &Assignment,
    current: &Release,
    previous: Option<&Release>,
) -> Result<(), Fault> {
    let (from, to) = (&current.version, &assignment.release.version);
    let not_allowed = |message| Err(Fault::new(Reason::DowngradeNotAllowed, message));
    match assignment.policy.downgrades {
        Downgrades::Any => Ok(()),
        Downgrades::Never => {
            not_allowed(format!("{to} is older than {from}, and policy.downgrades is Never"))
        }
        Downgrades::Previous if previous.is_some_and(|previous| &previous.version == to) => Ok(()),
        Downgrades::Previous => not_allowed(format!(
            "{to} is older than {from} and not the previous version ({}); policy.downgrades Any would allow it",
            previous.map_or("there is none".to_owned(), |previous| previous.version.to_string())
        )),
    }
}
