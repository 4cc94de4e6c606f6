//! Requirements: other add-ons that an assignment needs on the same cluster.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::api::RequirementSpec;
use crate::reason::{Fault, Reason};
use crate::spec::version_range;

/// Another add-on that has to run on this cluster in one of these versions. Displayed as `base >=2`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The name of the other add-on.
    pub add_on: String,
    /// The versions of it that satisfy this requirement.
    pub versions: VersionReq,
}

impl Requirement {
    /// Parses one entry of `spec.requires`.
    ///
    /// # Errors
    /// [`Reason::InvalidAssignment`] if the range is not one of semantic versions.
    pub fn parse(requirement: &RequirementSpec) -> Result<Self, Fault> {
        let RequirementSpec { add_on, versions } = requirement;
        let range = version_range::parse(versions).map_err(|error| {
            let message = format!("requires {add_on} {versions:?}: {error}");
            Fault::new(Reason::InvalidAssignment, message)
        })?;
        Ok(Self { add_on: add_on.clone(), versions: range })
    }

    /// Returns whether this version of the other add-on satisfies the requirement. A pre-release does if its release does.
    pub fn allows(&self, version: &Version) -> bool {
        version_range::contains(&self.versions, version)
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.add_on, self.versions)
    }
}
