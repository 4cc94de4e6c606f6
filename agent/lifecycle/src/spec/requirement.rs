//! Requirements: the other add-ons that a version needs on its cluster.

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::api::RequirementSpec;
use crate::reason::{Fault, Reason};
use crate::spec::version_range;

/// Another add-on that has to run on this cluster, in one of these versions.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The name of its `ManagedAddOn`.
    pub add_on: String,
    /// The versions that meet the requirement. A pre-release meets it when its release does.
    pub versions: VersionReq,
}

impl Requirement {
    /// Reads an entry of `spec.requires`.
    ///
    /// # Errors
    /// `InvalidAssignment` when `versions` is not a range.
    pub fn read(requirement: &RequirementSpec) -> Result<Self, Fault> {
        let RequirementSpec { add_on, versions } = requirement;
        let range = version_range::range(versions).map_err(|e| {
            Fault::new(Reason::InvalidAssignment, format!("requires {add_on} {versions:?}: {e}"))
        })?;
        Ok(Self { add_on: add_on.clone(), versions: range })
    }

    /// Returns whether this version of the other add-on meets the requirement.
    pub fn allows(&self, version: &Version) -> bool {
        version_range::contains(&self.versions, version)
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.add_on, self.versions)
    }
}
