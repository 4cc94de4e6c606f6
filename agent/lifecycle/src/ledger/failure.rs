//! A failure whose evidence is still to be saved.

use serde::{Deserialize, Serialize};

use crate::bundle::hook::Hook;
use crate::bundle::release::Release;
use crate::object::Object;
use crate::reason::{Fault, Reason};

/// A failed operation of which evidence is to be saved before the rollback destroys it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Number of the failed operation.
    pub sequence: u64,
    /// The release that failed.
    pub release: Release,
    /// Why it failed.
    pub cause: Fault,
}

impl Failure {
    /// Returns whether an object may have to do with the failure. Before the first write only `pre-upgrade` hooks can have
    /// failed.
    pub fn concerns(&self, object: &Object) -> bool {
        self.cause.reason != Reason::HookFailed || Hook::of(object) == Some(Hook::PreUpgrade)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::bundle::release::ReleaseId;
    use crate::names::annotation;

    #[test]
    fn before_the_first_write_a_failure_concerns_pre_upgrade_hooks_only() {
        let hook =
            |hook: &str| Object(json!({"metadata": {"annotations": {annotation::HOOK: hook}}}));
        let objects = [hook("pre-upgrade"), hook("verify"), Object(json!({"metadata": {}}))];
        let concerns = |reason| {
            let failure = failure(reason);
            objects.iter().map(|object| failure.concerns(object)).collect::<Vec<_>>()
        };
        assert_eq!(concerns(Reason::HookFailed), [true, false, false]);
        assert_eq!(concerns(Reason::TimedOut), [true, true, true]);
    }

    fn failure(reason: Reason) -> Failure {
        let release = Release {
            id: ReleaseId("a".to_owned()),
            version: semver::Version::new(1, 0, 0),
            digest: String::new(),
        };
        Failure { sequence: 1, release, cause: Fault::new(reason, "not healthy in time") }
    }
}
