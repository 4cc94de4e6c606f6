//! Blockers and unknowns, as kinds and keys. Messages are made only where they are shown, so that a person's consent to
//! a blocker outlives a reworded message.

use std::fmt::{Display, Formatter, Result};

use serde::{Deserialize, Serialize};

use crate::object::ObjectKey;

/// A known reason why a rollback would not work.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Blocker {
    /// The running release is no longer retained, so there is nothing to roll back to.
    ReleaseNotRetained,
    /// The target stores objects of a CustomResourceDefinition in a version that the running release cannot read.
    StorageVersion {
        /// Name of the CustomResourceDefinition.
        definition: String,
        /// The version in which the target stores objects.
        stored_as: String,
    },
    /// The target requests another size of a PersistentVolumeClaim. A claim that has grown cannot shrink.
    ClaimResized {
        /// The PersistentVolumeClaim.
        object: ObjectKey,
    },
    /// The API server no longer serves the version in which the running release writes an object.
    ApiVersionNotServed {
        /// The object that could not be restored.
        object: ObjectKey,
        /// Its `apiVersion`.
        api_version: String,
    },
}

/// Something that may keep a rollback from working and cannot be determined before the first write. Stops nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Unknown {
    /// A CustomResourceDefinition would be kept if objects of it need what only the target has.
    Definition {
        /// Name of the CustomResourceDefinition.
        definition: String,
        /// The first difference that would narrow it, for a person.
        change: String,
    },
    /// The same as [`Blocker::StorageVersion`], for a CustomResourceDefinition whose objects the agent may not list.
    StorageVersion {
        /// Name of the CustomResourceDefinition.
        definition: String,
        /// The version in which the target stores objects.
        stored_as: String,
    },
    /// A `pre-upgrade` hook may write what a rollback cannot undo.
    Hook {
        /// The hook's Job.
        object: ObjectKey,
    },
    /// The target adopts an existing object whose fields nobody recorded.
    Adoption {
        /// The adopted object.
        object: ObjectKey,
    },
    /// Images of the running release may have to be pulled again.
    Images {
        /// The first of them.
        image: String,
        /// How many others there are.
        others: usize,
    },
}

impl Display for Blocker {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Blocker::ReleaseNotRetained => f.write_str(
                "the running release is no longer retained, so there is nothing to roll back to",
            ),
            Blocker::StorageVersion { definition, stored_as } => {
                write_storage_version(f, definition, stored_as)
            }
            Blocker::ClaimResized { object } => write!(
                f,
                "{object} requests another size, and a claim that has grown cannot shrink"
            ),
            Blocker::ApiVersionNotServed { object, api_version } => write!(
                f,
                "{object} is written as {api_version}, which is no longer served here, so it could not be restored"
            ),
        }
    }
}

impl Display for Unknown {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Unknown::Definition { definition, change } => write!(
                f,
                "CustomResourceDefinition {definition} would stay as it is if its objects need what only the new \
                 version has ({change})"
            ),
            Unknown::StorageVersion { definition, stored_as } => {
                write_storage_version(f, definition, stored_as)
            }
            Unknown::Hook { object } => write!(
                f,
                "{object} runs before the upgrade and may write what a rollback cannot undo"
            ),
            Unknown::Adoption { object } => write!(
                f,
                "{object} existed before and is adopted: a rollback leaves it as the new version wrote it"
            ),
            Unknown::Images { image, others } => {
                write!(f, "image {image}")?;
                if *others > 0 {
                    write!(f, " and {others} more")?;
                }
                f.write_str(" may have to be pulled again for a rollback")
            }
        }
    }
}

fn write_storage_version(f: &mut Formatter<'_>, definition: &str, stored_as: &str) -> Result {
    write!(
        f,
        "CustomResourceDefinition {definition} would store its objects as {stored_as}, which the running version \
         cannot read; it would stay as it is"
    )
}
