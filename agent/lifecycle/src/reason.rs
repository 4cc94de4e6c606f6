//! The closed list of reasons, and whose each one is to mend.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// Messages are for a person, and every report carries them.
const MAX_MESSAGE_BYTES: usize = 1024;

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionableBy {
    /// Nobody needs to: it is how things should be, or will be by themselves.
    Nobody,
    /// Whoever wrote the assignment or the bundle: looked at again when the assignment changes.
    Assignment,
    /// Whoever runs the cluster, network or registry: looked at again by itself.
    Environment,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $owner:ident,)*) => {
        /// Why a `ManagedAddOn` is as it is. `docs/reasons.md` says what to do about each.
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

            pub fn actionable_by(self) -> ActionableBy {
                match self { $(Reason::$name => ActionableBy::$owner,)* }
            }
        }
    };
}

reasons! {
    /// The assignment is new.
    Assigned => Nobody,
    /// A rollout is going on.
    Progressing => Nobody,
    InstallSucceeded => Nobody,
    UpgradeSucceeded => Nobody,
    RollbackSucceeded => Nobody,
    /// A newer assignment took this one's place.
    Superseded => Nobody,
    /// The assignment went back to the version it came from.
    ReturnRequested => Nobody,
    /// The status was lost; what runs here is known from the retained releases.
    LedgerRebuilt => Nobody,
    /// The annotation `paused` is set.
    Paused => Nobody,
    /// As many rollouts as are allowed at once are going on.
    Queued => Nobody,
    /// No maintenance window of `policy.windows` is open.
    OutsideWindow => Nobody,
    /// Another add-on that this version needs does not run here in a version that would do.
    RequirementNotMet => Environment,
    /// Add-ons wait for each other.
    RequirementCycle => Environment,
    /// Another add-on that runs here does not work with this version.
    RequiredByOthers => Environment,
    /// Going back would not be safe, and `policy.onUnsafe` holds.
    RollbackUnsafe => Nobody,
    /// Removal is going on.
    Removing => Nobody,
    /// The version is not semver 2.0.0.
    InvalidVersion => Assignment,
    /// Another field of the assignment cannot be read.
    // What `source.oci` was refused with before it was supported: such a ledger is read, and the assignment tried.
    #[serde(alias = "NotYetSupported")]
    InvalidAssignment => Assignment,
    /// The hub names an `AddOnTemplate` that does not exist.
    UnknownTemplate => Environment,
    /// The step is larger than `policy.upgrades` allows.
    UpgradeNotAllowed => Assignment,
    /// `policy.downgrades` does not allow going to this version.
    DowngradeNotAllowed => Assignment,
    /// `upgradeFrom` does not hold the version that runs.
    UpgradePathNotSupported => Assignment,
    /// The API server's version is not in `kubernetes`.
    KubernetesNotSupported => Environment,
    /// A version that is known here has come with another digest.
    DigestChanged => Assignment,
    /// The bundle's bytes are not those the assignment names.
    DigestMismatch => Assignment,
    /// The bundle could not be fetched.
    PullFailed => Environment,
    /// The bundle is over a limit.
    BundleTooLarge => Assignment,
    /// The bundle is not the YAML of Kubernetes objects.
    InvalidBundle => Assignment,
    /// An object of the bundle has no usable identity.
    InvalidObject => Assignment,
    /// The bundle holds the same object twice.
    DuplicateObject => Assignment,
    /// The bundle is empty.
    EmptyBundle => Assignment,
    /// The bundle lost more than half of its objects, at least ten.
    BundleShrunk => Assignment,
    /// The API server does not know a kind of the bundle.
    UnknownKind => Environment,
    /// A namespace that the bundle does not bring is missing.
    NamespaceMissing => Environment,
    /// An existing object is not this add-on's.
    NotOurs => Environment,
    /// The service account may not do what the bundle needs.
    Forbidden => Environment,
    /// A quota of the cluster leaves no room for an object.
    QuotaExceeded => Environment,
    /// A field that cannot be changed on a living object.
    ImmutableField => Assignment,
    /// Living objects would lose fields, or could not be written any more, by what a definition says of them now.
    DefinitionNarrowed => Assignment,
    /// The API server refuses an object.
    ObjectRefused => Assignment,
    /// The check could not be finished.
    CheckFailed => Environment,
    /// A hook failed or did not end in time, before anything else was written.
    HookFailed => Assignment,
    /// A retained release could not be saved or read.
    RetainFailed => Environment,
    /// A write could not be made yet; it is tried again until the time-out.
    ApplyFailed => Environment,
    /// The agent ended again and again at the same place of this rollout.
    CrashLoop => Assignment,
    /// An object says that it failed.
    Unhealthy => Assignment,
    /// Not everything became healthy within `policy.timeout`.
    TimedOut => Assignment,
    /// The last good version could not be put back.
    RollbackFailed => Environment,
    /// The last good version is back, but for objects that had to stay as they were.
    RollbackIncomplete => Environment,
    /// The version that runs became unhealthy after it was Available.
    RunningUnhealthy => Environment,
    /// The ledger was written by an agent that knows more than this one.
    UnknownLedger => Environment,
}

impl Reason {
    /// Refusals whose cause is what other add-ons are and ask for.
    pub fn is_of_others(self) -> bool {
        matches!(self, Reason::RequirementCycle | Reason::RequiredByOthers)
    }

    /// Reasons that are only given once something was written.
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

/// Something that went wrong, in words for a person.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    pub reason: Reason,
    /// One line of bounded length: it is saved with the ledger, whoever said it.
    pub message: String,
    /// Likely gone when tried again in a moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

impl Fault {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: printable(&message.into()), transient: false }
    }

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
