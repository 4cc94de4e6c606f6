//! What people and other programs do.

use std::sync::Arc;

use jiff::Timestamp;
use lifecycle::spec::maintenance_window::Windows;
use lifecycle::spec::version_range;
use lifecycle::{
    Deletion, DeletionIntent, Dependencies, Fault, ManagedAddOn, Observation, PeerState,
    PeerStates, Policy, Reason, Window,
};

use super::Scene;
use super::words::{release, requirement};

impl Scene {
    pub fn assign(mut self, text: &str) -> Self {
        self.spec.release = release(text);
        self.respecified()
    }

    /// The assignment cannot be read, and its `spec.version` is this text.
    pub fn unreadable_at(mut self, version: &str) -> Self {
        self.seen.spec_version = version.to_owned();
        self.unreadable()
    }

    pub fn unreadable(self) -> Self {
        self.unassignable(Reason::InvalidAssignment)
    }

    pub fn unassignable(mut self, reason: Reason) -> Self {
        self.seen.generation += 1;
        self.seen.assignment = Err(Fault::new(reason, "cannot be read"));
        self.observe()
    }

    /// Changes the policy of the assignment, and nothing else.
    pub fn policy(mut self, change: impl Fn(&mut Policy)) -> Self {
        change(&mut self.spec.policy);
        if self.seen.generation == 0 { self } else { self.respecified() }
    }

    /// Assignments from here on have this `upgradeFrom`.
    pub fn upgrade_from(mut self, range: &str) -> Self {
        self.spec.upgrade_from = version_range::parse(range).ok();
        self
    }

    /// Assignments from here on need such an API server.
    pub fn needs_kubernetes(mut self, range: &str) -> Self {
        self.spec.kubernetes = version_range::parse(range).ok();
        self
    }

    pub fn kubernetes(mut self, version: &str) -> Self {
        self.seen.kubernetes = semver::Version::parse(version).ok();
        self
    }

    pub fn pause(self) -> Self {
        self.with(|seen| seen.is_paused = true)
    }

    pub fn resume(self) -> Self {
        self.with(|seen| seen.is_paused = false)
    }

    /// Assignments from here on start in these windows only: schedule, duration, time zone.
    pub fn windows(self, windows: &[[&str; 3]]) -> Self {
        let window = |[schedule, duration, zone]: &[&str; 3]| Window {
            schedule: (*schedule).to_owned(),
            duration: (*duration).to_owned(),
            time_zone: Some((*zone).to_owned()),
        };
        let windows: Vec<_> = windows.iter().map(window).collect();
        let windows = Windows::parse(&windows).expect("windows");
        self.policy(|policy| policy.windows = windows.clone())
    }

    /// Assignments from here on require other add-ons: `base >=2`.
    pub fn requires(mut self, requirements: &[&str]) -> Self {
        self.spec.requires = requirements.iter().map(|text| requirement(text)).collect();
        if self.seen.generation == 0 { self } else { self.respecified() }
    }

    /// These are the other add-ons from here on.
    pub fn with_peers(self, peers: &[(&str, PeerState)]) -> Self {
        let peers = peers.iter().map(|(name, it)| ((*name).to_owned(), Arc::new(it.clone())));
        let peers: PeerStates = peers.collect();
        let requirements = self.spec.requires.clone();
        self.with(|seen| {
            seen.dependencies = Dependencies::new("shop", &requirements, &peers);
        })
    }

    /// Observes at this time.
    pub fn at(mut self, time: &str) -> Self {
        let time: Timestamp = time.parse().expect("a time");
        self.seen.elapsed = time.duration_since(self.now).unsigned_abs();
        self.now = time;
        self.observe()
    }

    pub fn retry(self, value: &str) -> Self {
        self.with(|seen| seen.retry = Some(value.to_owned()))
    }

    pub fn delete(self, deletion: Deletion) -> Self {
        self.with(|seen| {
            (seen.deletion_intent, seen.deletion) = (DeletionIntent::Ordered, deletion);
        })
    }

    pub fn slot(self, is_free: bool) -> Self {
        self.with(|seen| seen.has_slot = is_free)
    }

    /// Changes the observation, and observes.
    pub fn with(mut self, change: impl Fn(&mut Observation)) -> Self {
        change(&mut self.seen);
        self.observe()
    }

    /// The `ManagedAddOn` as other add-ons see it.
    pub fn managed_add_on(&self) -> ManagedAddOn {
        let object = serde_json::json!({
            "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn",
            "metadata": {"name": "shop"},
            "spec": {"version": "1.0.0", "source": {}},
            "status": self.saved,
        });
        serde_json::from_value(object).expect("a ManagedAddOn")
    }

    fn respecified(mut self) -> Self {
        self.seen.generation += 1;
        self.seen.spec_version = self.spec.release.version.to_string();
        self.seen.assignment = Ok(Arc::new(self.spec.clone()));
        self.observe()
    }
}
