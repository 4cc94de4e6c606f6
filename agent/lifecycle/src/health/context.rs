//! Facts about an object that the object itself does not have: times, grace periods, pods and nodes.

use std::time::Duration;

use jiff::Timestamp;

use crate::object::Object;

/// Grace periods before a problem that may pass by itself counts as a failure. Zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graces {
    /// For a custom resource without status, before it counts as one that never has any. Default: 30 s.
    pub no_status: Duration,
    /// For an unschedulable pod: about the time in which a cluster adds a node. Default: 2 min.
    pub unschedulable: Duration,
    /// For crash loops, missing images or configuration, and refused pods. Default: 2 min.
    pub pod_failure: Duration,
    /// For pods that are replaced only when somebody deletes them (`OnDelete`). An operator begins at once. Default:
    /// 2 min.
    pub on_delete: Duration,
}

impl Default for Graces {
    fn default() -> Self {
        let (short, long) = (Duration::from_secs(30), Duration::from_secs(120));
        Self { no_status: short, unschedulable: long, pod_failure: long, on_delete: long }
    }
}

/// Facts about an object that are needed to judge it. The default knows nothing: an object that was just applied.
#[derive(Clone, Copy, Debug, Default)]
pub struct HealthContext<'a> {
    /// Time spent since the object was applied.
    pub since_apply: Duration,
    /// The wall clock. With it, no problem counts as older than its own timestamps.
    pub now: Option<Timestamp>,
    /// Pods, those of the object among them. Empty if they may not be listed.
    pub pods: &'a [Object],
    /// All nodes. Empty if they may not be listed.
    pub nodes: &'a [Object],
    /// Grace periods.
    pub graces: Graces,
}

impl HealthContext<'_> {
    /// Returns for how long a problem has lasted: the shorter of its age and the time spent. So neither a jump of the
    /// clock nor a long rollout ends a grace period.
    pub(super) fn problem_age(&self, start: Option<Timestamp>) -> Duration {
        self.age(start).map_or(self.since_apply, |age| age.min(self.since_apply))
    }

    /// Returns whether this time is before the object was applied. False if the wall clock is not known.
    pub(super) fn predates_apply(&self, time: Option<Timestamp>) -> bool {
        self.age(time).is_some_and(|age| age > self.since_apply)
    }

    fn age(&self, start: Option<Timestamp>) -> Option<Duration> {
        let age = self.now?.duration_since(start?);
        Some(Duration::try_from(age).unwrap_or(Duration::ZERO))
    }
}
