//! Ranges of versions, as `upgradeFrom`, `kubernetes` and `requires` name them.

use semver::{Version, VersionReq};

/// Reads a range: comma-separated comparisons such as `>=1.3.0, <1.5.0`. `1.4` alone means `>=1.4.0, <2.0.0`.
///
/// # Errors
/// The parser's own error, for text that is not a range.
pub fn parse(text: &str) -> Result<VersionReq, semver::Error> {
    VersionReq::parse(text)
}

/// Returns whether a version is in a range. A pre-release is in when its release is, unlike in Cargo.
pub fn contains(range: &VersionReq, version: &Version) -> bool {
    let release = Version { pre: semver::Prerelease::EMPTY, ..version.clone() };
    range.matches(version) || range.matches(&release)
}

/// Returns whether `one` precedes `other` by SemVer's precedence, which ignores build metadata.
pub fn is_older(one: &Version, other: &Version) -> bool {
    one.cmp_precedence(other).is_lt()
}

/// Reads the API server's `gitVersion` without what clouds and distributions add to it: `v1.31.4-eks-1` is 1.31.4.
pub fn parse_kubernetes(git_version: &str) -> Option<Version> {
    let digits = git_version.trim_start_matches('v');
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    Version::parse(digits.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prerelease_is_in_a_range_when_its_release_is() {
        let range = parse(">=1.3.0, <1.5.0").expect("a range");
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
            assert_eq!(parse_kubernetes(reported), Version::parse(version).ok(), "{reported}");
        }
        assert_eq!(parse_kubernetes("unknown"), None);
    }
}
