//! Which version may follow which.

use semver::{Version, VersionReq};

use crate::api::{Downgrades, OperationKind, Upgrades};
use crate::bundle::release::Release;
use crate::reason::{Fault, Reason};
use crate::spec::assignment::Assignment;

/// Reads a range such as `>=1.3.0, <1.5.0`.
pub fn range(text: &str) -> Result<VersionReq, semver::Error> {
    VersionReq::parse(text)
}

/// Whether a version is in a range. A pre-release is in when its release is, unlike in Cargo.
pub fn contains(range: &VersionReq, version: &Version) -> bool {
    let release = Version { pre: semver::Prerelease::EMPTY, ..version.clone() };
    range.matches(version) || range.matches(&release)
}

/// By SemVer's precedence, in which build metadata do not count.
pub fn is_older(one: &Version, other: &Version) -> bool {
    one.cmp_precedence(other).is_lt()
}

/// What going from `current` to the assignment is called; `None` current is an install.
pub fn operation(current: Option<&Release>, to: &Version) -> OperationKind {
    match current {
        None => OperationKind::Install,
        Some(current) if is_older(to, &current.version) => OperationKind::Rollback,
        Some(_) => OperationKind::Upgrade,
    }
}

/// Refuses a step that the assignment's own policy, its `upgradeFrom` or the API server's version does not allow.
pub fn permit(
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
        same_content(to, known)?;
    }
    match operation(Some(current), &to.version) {
        OperationKind::Rollback => permit_downgrade(assignment, current, previous),
        OperationKind::Upgrade => permit_upgrade(assignment, current),
        OperationKind::Install | OperationKind::Uninstall => Ok(()),
    }
}

/// Refuses a version that is known here with another digest.
pub fn same_content(to: &Release, known: &Release) -> Result<(), Fault> {
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

fn permit_upgrade(assignment: &Assignment, current: &Release) -> Result<(), Fault> {
    let (from, to) = (&current.version, &assignment.release.version);
    if from == to {
        return Ok(());
    }
    let fits = match assignment.policy.upgrades {
        Upgrades::Any => true,
        Upgrades::Minor => from.major == to.major,
        Upgrades::Patch => (from.major, from.minor) == (to.major, to.minor),
        Upgrades::None => false,
    };
    if !fits {
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

fn permit_downgrade(
    assignment: &Assignment,
    current: &Release,
    previous: Option<&Release>,
) -> Result<(), Fault> {
    let (from, to) = (&current.version, &assignment.release.version);
    let refused = |message| Err(Fault::new(Reason::DowngradeNotAllowed, message));
    match assignment.policy.downgrades {
        Downgrades::Any => Ok(()),
        Downgrades::Never => {
            refused(format!("{to} is older than {from}, and policy.downgrades is Never"))
        }
        Downgrades::Previous if previous.is_some_and(|previous| &previous.version == to) => Ok(()),
        Downgrades::Previous => refused(format!(
            "{to} is older than {from} and not the previous version ({}); policy.downgrades Any would allow it",
            previous.map_or("there is none".to_owned(), |previous| previous.version.to_string())
        )),
    }
}

/// The API server's version without what clouds and distributions add: `v1.31.4-eks-1` is 1.31.4.
pub fn kubernetes(git_version: &str) -> Option<Version> {
    let digits = git_version.trim_start_matches('v');
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    Version::parse(digits.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prerelease_is_in_a_range_when_its_release_is() {
        let range = range(">=1.3.0, <1.5.0").expect("a range");
        for (version, is_in) in [
            ("1.3.0", true),
            ("1.4.9", true),
            ("1.4.0-rc.1", true),
            ("1.3.0-rc.1", true),
            ("1.5.0", false),
            ("1.5.0-rc.1", false),
            ("1.2.9", false),
        ] {
            let version = Version::parse(version).expect("a version");
            assert_eq!(contains(&range, &version), is_in, "{version}");
        }
    }

    #[test]
    fn vendor_suffixes_of_the_api_server_are_ignored() {
        for (reported, version) in
            [("v1.31.4-eks-1", "1.31.4"), ("v1.36.3", "1.36.3"), ("v1.30.2+k3s1", "1.30.2")]
        {
            assert_eq!(kubernetes(reported), Version::parse(version).ok(), "{reported}");
        }
        assert_eq!(kubernetes("unknown"), None);
    }
}
