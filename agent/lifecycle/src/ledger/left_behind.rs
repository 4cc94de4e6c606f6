//! Objects that an action left in the cluster, as keys and kinds. Messages are made only where they are shown.

use std::fmt::{Display, Formatter, Result};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::object::ObjectKey;
use crate::reason::Fault;

/// Something that a removal did not remove.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Leftover {
    /// An object that was deleted and still exists.
    Object {
        /// Which one.
        object: ObjectKey,
        /// The finalizers that hold it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        finalizers: Vec<String>,
    },
    /// The objects that only one release has. It is no longer retained, so their names are unknown.
    LostRelease {
        /// Version of that release.
        version: Version,
    },
    /// The objects that only earlier releases have. The release to compare them with is no longer retained.
    LostBaseline,
    /// An object that could not be read or deleted.
    Refused {
        /// Which one.
        object: ObjectKey,
        /// Why not. The message names the object.
        cause: Fault,
    },
    /// Everything that was not yet removed when the removal was given up.
    GivenUp {
        /// Why it was given up.
        cause: Fault,
    },
}

/// An object that a rollback did not write: restoring it would lose data, or it was refused.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KeptObject {
    /// Which one.
    pub object: ObjectKey,
    /// Why it could not be restored. The message names the object.
    pub cause: Fault,
}

impl Display for Leftover {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Leftover::Object { object, finalizers } if finalizers.is_empty() => object.fmt(f),
            Leftover::Object { object, finalizers } => {
                write!(f, "{object} (held by finalizer {})", finalizers.join(", "))
            }
            Leftover::LostRelease { version } => write!(
                f,
                "objects that only {version} has (its retained release is gone; set policy.deletion: Orphan to leave them in place)"
            ),
            Leftover::LostBaseline => {
                f.write_str("objects of earlier releases, because a retained release is gone")
            }
            Leftover::Refused { object, cause } if cause.message.is_empty() => object.fmt(f),
            Leftover::Refused { cause, .. } | Leftover::GivenUp { cause } => {
                f.write_str(&cause.message)
            }
        }
    }
}

/// Returns the end of a message about a removal that left something: empty, or `; could not be removed: …`.
pub(crate) fn describe_leftovers(leftovers: &[Leftover]) -> String {
    match leftovers {
        [] => String::new(),
        [one] => format!("; could not be removed: {one}"),
        [one, more @ ..] => format!("; could not be removed: {one} (and {} more)", more.len()),
    }
}

/// Returns the end of a message about objects that a rollback did not write: empty, or `; left as they are: …`. Those
/// without a recorded cause are counted.
pub(crate) fn describe_kept(what: &str, objects: &[KeptObject]) -> String {
    if objects.is_empty() {
        return String::new();
    }
    let causes = objects.iter().map(|kept| kept.cause.message.as_str());
    let causes: Vec<&str> = causes.filter(|message| !message.is_empty()).collect();
    let more = match objects.len() - causes.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("; {what}: {}{more}", causes.join("; "))
}

/// Leftovers as a list for a message.
pub(crate) fn list_leftovers(leftovers: &[Leftover]) -> String {
    leftovers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    #[test]
    fn each_kind_of_leftover_has_a_message() {
        let object = ObjectKey {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: "shop".to_owned(),
        };
        let held = |finalizers: &[&str]| Leftover::Object {
            object: object.clone(),
            finalizers: finalizers.iter().map(ToString::to_string).collect(),
        };
        let cause = Fault::new(Reason::Forbidden, "Namespace shop: forbidden");
        for (leftover, expected) in [
            (held(&[]), "Namespace shop"),
            (held(&["a.io/x", "b.io/y"]), "Namespace shop (held by finalizer a.io/x, b.io/y)"),
            (
                Leftover::LostRelease { version: Version::new(1, 4, 0) },
                "objects that only 1.4.0 has (its retained release is gone; set policy.deletion: Orphan to leave them in \
                 place)",
            ),
            (
                Leftover::LostBaseline,
                "objects of earlier releases, because a retained release is gone",
            ),
            (
                Leftover::Refused { object: object.clone(), cause: cause.clone() },
                "Namespace shop: forbidden",
            ),
            (Leftover::GivenUp { cause }, "Namespace shop: forbidden"),
        ] {
            assert_eq!(leftover.to_string(), expected);
        }
    }

    #[test]
    fn a_message_names_the_first_leftover_and_counts_the_others() {
        let leftovers = [Leftover::LostBaseline, Leftover::LostBaseline, Leftover::LostBaseline];
        assert_eq!(describe_leftovers(&[]), "");
        let one = "; could not be removed: objects of earlier releases, because a retained release is gone";
        assert_eq!(describe_leftovers(&leftovers[..1]), one);
        assert_eq!(describe_leftovers(&leftovers), format!("{one} (and 2 more)"));
    }
}
