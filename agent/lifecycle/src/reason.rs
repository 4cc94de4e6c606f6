//! The closed list of reasons: why a rollout is where it is, and who can act on it.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// Longest message: every report carries it.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Who can act on a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionableBy {
    /// Nobody has to: it is intended, or passes by itself.
    Nobody,
    /// The author of the assignment or the bundle. It is tried again when the assignment changes.
    Assignment,
    /// The operator of the cluster, network or registry. It is tried again by itself.
    Environment,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $owner:ident,)*) => {
        /// Why a rollout is where it is. `docs/reasons.md` says what to do about each reason.
        #[derive(
            Serialize, Deserialize, IntoStaticStr, VariantArray,
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
        )]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of this list.
            pub const ALL: &'static [Self] = Self::VARIANTS;

            /// The reason as status, conditions and metrics show it.
            pub fn name(self) -> &'static str {
                self.into()
            }

            /// Who can act on it.
            pub fn actionable_by(self) -> ActionableBy {
                match self { $(Reason::$name => ActionableBy::$owner,)* }
            }
        }
    };
}

reasons! {
    /// The assignment is new, and nothing is decided.
    Assigned => Nobody,
    /// A rollout is in progress.
    Progressing => Nobody,
    /// The first version is available.
    InstallSucceeded => Nobody,
    /// Another version, or another release of the same version, is available.
    UpgradeSucceeded => Nobody,
    /// An older version, or the last one that was available, runs again.
    RollbackSucceeded => Nobody,
    /// A newer assignment replaced this one.
    Superseded => Nobody,
    /// The assignment returned to the version that was running.
    ReturnRequested => Nobody,
    /// The status was lost, and the ledger was rebuilt from the retained releases.
    LedgerRebuilt => Nobody,
    /// The annotation `paused` is set.
    Paused => Nobody,
    /// The number of concurrent rollouts is at its limit.
    Queued => Nobody,
    /// No maintenance window of `policy.windows` is open.
    OutsideWindow => Nobody,
    /// A required add-on does not run here in a suitable version.
    RequirementNotMet => Environment,
    /// Add-ons require each other in a cycle.
    RequirementCycle => Environment,
    /// An add-on that runs here does not work with this version.
    RequiredByOthers => Environment,
    /// A rollback would not work, and `policy.onUnsafe` is `Hold`.
    RollbackUnsafe => Nobody,
    /// An uninstall is in progress.
    Removing => Nobody,
    /// The version is not a semantic version 2.0.0.
    InvalidVersion => Assignment,
    /// Another field of the assignment cannot be read.
    InvalidAssignment => Assignment,
    /// The hub names an `AddOnTemplate` that does not exist.
    UnknownTemplate => Environment,
    /// The upgrade is larger than `policy.upgrades` allows.
    UpgradeNotAllowed => Assignment,
    /// `policy.downgrades` does not allow a rollback to this version.
    DowngradeNotAllowed => Assignment,
    /// `upgradeFrom` does not contain the running version.
    UpgradePathNotSupported => Assignment,
    /// `kubernetes` does not contain the API server's version.
    KubernetesNotSupported => Environment,
    /// A version that is known here is assigned with another digest.
    DigestChanged => Assignment,
    /// The bundle has another digest than the assigned one.
    DigestMismatch => Assignment,
    /// The bundle could not be downloaded.
    PullFailed => Environment,
    /// The bundle exceeds a limit.
    BundleTooLarge => Assignment,
    /// The bundle is not YAML of Kubernetes objects.
    InvalidBundle => Assignment,
    /// An object of the bundle is invalid.
    InvalidObject => Assignment,
    /// The bundle has the same object twice.
    DuplicateObject => Assignment,
    /// The bundle is empty.
    EmptyBundle => Assignment,
    /// The bundle lost more than half of its objects, and at least ten.
    BundleShrunk => Assignment,
    /// The API server does not know a kind of the bundle.
    UnknownKind => Environment,
    /// A namespace that is not in the bundle does not exist.
    NamespaceMissing => Environment,
    /// An existing object is not this add-on's.
    NotOurs => Environment,
    /// The service account lacks a right that the bundle needs.
    Forbidden => Environment,
    /// A quota of the cluster leaves no room for an object.
    QuotaExceeded => Environment,
    /// A field of an existing object cannot be changed.
    ImmutableField => Assignment,
    /// Existing objects would lose fields, or could not be written again, by a changed CustomResourceDefinition.
    DefinitionNarrowed => Assignment,
    /// The API server refuses an object.
    ObjectRefused => Assignment,
    /// The check could not be finished.
    CheckFailed => Environment,
    /// A `pre-upgrade` hook failed or did not end in time.
    HookFailed => Assignment,
    /// A release could not be retained, or a retained one not be read.
    RetainFailed => Environment,
    /// A write is not possible yet. It is tried again until the timeout.
    ApplyFailed => Environment,
    /// The agent crashed again and again at the same place of this rollout.
    CrashLoop => Assignment,
    /// An object is `Failed`.
    Unhealthy => Assignment,
    /// Not everything became healthy within `policy.timeout`.
    TimedOut => Assignment,
    /// The last version that was available could not be restored.
    RollbackFailed => Environment,
    /// The last version that was available runs again, but some objects were left as they were.
    RollbackIncomplete => Environment,
    /// The release at rest became unhealthy.
    RunningUnhealthy => Environment,
    /// The ledger has a format that this agent does not know.
    UnknownLedger => Environment,
}

impl Reason {
    /// Returns whether the cause is the state or the requirements of other add-ons.
    pub fn is_about_dependencies(self) -> bool {
        matches!(self, Reason::RequirementCycle | Reason::RequiredByOthers)
    }

    /// Returns whether the reason is given only after the first write.
    pub fn is_after_first_write(self) -> bool {
        matches!(
            self,
            Reason::ApplyFailed
                | Reason::Unhealthy
                | Reason::TimedOut
                | Reason::RollbackFailed
                | Reason::RollbackIncomplete
        )
    }
}

/// Something that went wrong.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The kind of fault.
    pub reason: Reason,
    /// The same for a person, as one line of at most 1024 bytes: it is saved with the ledger.
    pub message: String,
    /// Likely gone at the next attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

impl Fault {
    /// A fault that lasts. The message becomes one line of at most 1024 bytes.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: printable(&message.into()), transient: false }
    }

    /// A fault that is likely gone at the next attempt.
    pub fn transient(reason: Reason, message: impl Into<String>) -> Self {
        Self { transient: true, ..Self::new(reason, message) }
    }
}

/// Returns a text as one line without control characters, cut to 1024 bytes.
pub fn printable(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() > MAX_MESSAGE_BYTES {
        let mut end = MAX_MESSAGE_BYTES - '…'.len_utf8();
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_printable_line_of_bounded_length() {
        assert_eq!(printable("a\nb\u{1b}[31mc"), "a b [31mc");
        let long = printable(&"ä".repeat(2000));
        assert!(long.len() <= MAX_MESSAGE_BYTES && long.ends_with('…'));
    }

    #[test]
    fn no_message_fills_the_ledger() {
        let fault = Fault::new(Reason::Unhealthy, "a\nb".repeat(500_000));
        assert!(fault.message.len() <= 1024 && !fault.message.contains('\n'));
    }
}
