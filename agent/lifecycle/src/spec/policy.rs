//! The policy of an assignment: how a rollout behaves.

use std::time::Duration;

use crate::api::{Deletion, Downgrades, OnFailure, OnUnsafe, PolicySpec, Upgrades};
use crate::reason::{Fault, Reason};
use crate::spec::duration;
use crate::spec::maintenance_window::Windows;

/// `spec.policy` with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Action taken when a rollout fails after its first write.
    pub on_failure: OnFailure,
    /// Action taken when a rollback would not be safe.
    pub on_unsafe: OnUnsafe,
    /// Largest step of an upgrade.
    pub upgrades: Upgrades,
    /// Versions that a requested rollback may return to.
    pub downgrades: Downgrades,
    /// Time from the first write until everything is healthy. Default 15 minutes: three times what a slow image pull usually
    /// takes at the edge.
    pub timeout: Duration,
    /// Time for which everything must stay healthy. Default 30 seconds: three probe periods of Kubernetes' own default.
    pub soak: Duration,
    /// When a rollout may start. Default: always.
    pub windows: Windows,
    /// Action taken on the objects when the `ManagedAddOn` is deleted.
    pub deletion: Deletion,
    /// Whether existing objects that belong to no add-on are adopted. Default: false.
    pub adopt: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_failure: OnFailure::default(),
            on_unsafe: OnUnsafe::default(),
            upgrades: Upgrades::default(),
            downgrades: Downgrades::default(),
            timeout: Duration::from_secs(15 * 60),
            soak: Duration::from_secs(30),
            windows: Windows::default(),
            deletion: Deletion::default(),
            adopt: false,
        }
    }
}

impl Policy {
    /// Parses `spec.policy`. Absent fields get their defaults.
    ///
    /// # Errors
    /// `InvalidAssignment` for a duration or a window that cannot be parsed.
    pub fn parse(spec: Option<&PolicySpec>) -> Result<Self, Fault> {
        let default = Self::default();
        let Some(spec) = spec else { return Ok(default) };
        let time = |name: &str, text: &Option<String>, default| match text {
            None => Ok(default),
            Some(text) => duration::parse(text).map_err(|e| invalid(format!("policy.{name}: {e}"))),
        };
        Ok(Self {
            on_failure: spec.on_failure.unwrap_or_default(),
            on_unsafe: spec.on_unsafe.unwrap_or_default(),
            upgrades: spec.upgrades.unwrap_or_default(),
            downgrades: spec.downgrades.unwrap_or_default(),
            timeout: time("timeout", &spec.timeout, default.timeout)?,
            soak: time("soak", &spec.soak, default.soak)?,
            windows: Windows::parse(spec.windows.as_deref().unwrap_or_default())
                .map_err(|e| invalid(format!("policy.windows: {e}")))?,
            deletion: spec.deletion.unwrap_or_default(),
            adopt: spec.adopt.unwrap_or_default(),
        })
    }
}

fn invalid(message: String) -> Fault {
    Fault::new(Reason::InvalidAssignment, message)
}
