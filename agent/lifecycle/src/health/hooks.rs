//! The health of hooks: how far the Jobs are that one operation runs.

use std::time::Duration;

use super::assess::assess;
use super::fields::has_true;
use super::status::HealthStatus;
use crate::bundle::hook::{HookRun, is_of_run};
use crate::object::Object;

/// How far the hooks of one operation are, all together. Each text names a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookStatus {
    /// Some were not started; the first of them.
    NotStarted(String),
    /// All were started and some still run; the first of them, as in "waiting for Job shop/migrate to end".
    Running(String),
    /// All are complete.
    Succeeded,
    /// One failed, and why.
    Failed(String),
}

/// Returns how far these hooks are, each given with its living Job. A failure decides, then a hook that was not started,
/// then one that still runs. A Job of another operation counts as not started.
pub fn assess_hooks<'a>(
    hooks: impl IntoIterator<Item = (&'a Object, Option<Object>)>,
    run: &HookRun,
) -> HookStatus {
    let (mut not_started, mut running) = (None, None);
    for (hook, living) in hooks {
        let key = hook.key();
        let Some(living) = living.filter(|living| is_of_run(living, run)) else {
            not_started.get_or_insert(key.to_string());
            continue;
        };
        let health = assess(&living, Duration::ZERO);
        if health.status == HealthStatus::Failed {
            return HookStatus::Failed(format!("{key}: {}", health.message));
        }
        if !has_true(&living, "Complete") {
            running.get_or_insert(format!("{key} to end"));
        }
    }
    match (not_started, running) {
        (Some(first), _) => HookStatus::NotStarted(first),
        (None, Some(first)) => HookStatus::Running(first),
        (None, None) => HookStatus::Succeeded,
    }
}
