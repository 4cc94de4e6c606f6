//! How actions end, what health is, and how time passes.

use std::time::Duration;

use lifecycle::health::{HookStatus, Verdict};
use lifecycle::{Action, Direction, Fault, Outcome, Phase, Reason, RollbackSafety};

use super::words::{blocker, kept, leftover, refused, unknown};
use super::{MAX_STEPS, Scene};

/// How actions end.
impl Scene {
    /// The action succeeds.
    pub fn done(mut self) -> Self {
        let outcome = self.succeed();
        self.ends(outcome)
    }

    pub fn ends(mut self, outcome: Option<Outcome>) -> Self {
        self.seen.outcome = outcome;
        self.observe()
    }

    /// The action fails.
    pub fn fails(self, reason: Reason) -> Self {
        self.ends(Some(Outcome::Failed(Fault::new(reason, "refused"))))
    }

    /// The action fails in every attempt within the phase.
    pub fn fails_for_good(mut self, reason: Reason) -> Self {
        let phase = self.rollout.phase();
        for _ in 0..MAX_STEPS {
            self = self.fails(reason);
            if self.rollout.phase() != phase {
                return self;
            }
            let wake = self.wake.expect("another attempt");
            self = self.wait(wake);
        }
        panic!("{} is retried forever", self.describe());
    }

    pub fn fails_transiently(self, reason: Reason) -> Self {
        self.ends(Some(Outcome::Failed(Fault::transient(reason, "not at the moment"))))
    }

    /// Checks from here on find that claims of these names are resized, and that these images may have to be pulled.
    pub fn finds_risks(mut self, claims: &[&str], images: &[&str]) -> Self {
        let blockers = claims.iter().map(|name| blocker(name)).collect();
        let unknowns = images.iter().map(|image| unknown(image)).collect();
        self.check_report.rollback_safety = Some(RollbackSafety { blockers, unknowns });
        self
    }

    /// The rollback restores all of a wave except these definitions.
    pub fn keeps(mut self, definitions: &[&str]) -> Self {
        let Some(Action::Apply { wave, direction: Direction::Rollback, .. }) = self.action.take()
        else {
            panic!("{} does not roll back", self.describe())
        };
        let kept = definitions.iter().map(|name| kept(name)).collect();
        self.ends(Some(Outcome::Applied { wave, kept, refused: Vec::new() }))
    }

    /// The rollback writes all of a wave except these objects.
    pub fn refuses(mut self, objects: &[&str], transient: bool) -> Self {
        let Some(Action::Apply { wave, direction: Direction::Rollback, .. }) = self.action.take()
        else {
            panic!("{} does not roll back", self.describe())
        };
        let refused = objects.iter().map(|object| refused(object, transient));
        let refused = refused.filter(|refused| refused.object.wave() == wave).collect();
        self.ends(Some(Outcome::Applied { wave, kept: Vec::new(), refused }))
    }

    /// Everything succeeds for so many seconds, except that the rollback cannot write these objects.
    pub fn goes_well_without(mut self, objects: &[&str], transient: bool, seconds: u64) -> Self {
        let end = self.now.saturating_add(Duration::from_secs(seconds)).expect("a duration");
        while self.now < end {
            self = match self.action {
                Some(Action::Apply { direction: Direction::Rollback, .. }) => {
                    self.refuses(objects, transient)
                }
                _ => self.goes_well(),
            };
            if self.is_at_rest() {
                break;
            }
        }
        self
    }

    pub fn reports_hooks(self, status: HookStatus) -> Self {
        self.ends(Some(Outcome::HooksRan(status)))
    }

    /// Releases from here on have `pre-upgrade` hooks.
    pub fn with_hooks(mut self) -> Self {
        self.check_report.has_pre_upgrade_hooks = true;
        self
    }

    pub fn missing(self) -> Self {
        self.ends(Some(Outcome::Missing))
    }

    /// The removal leaves this object.
    pub fn leaves(self, object: &str) -> Self {
        let leftovers = vec![leftover(object)];
        let outcome = match self.action {
            Some(Action::Remove { .. }) => Outcome::Removed { leftovers },
            _ => Outcome::Pruned { leftovers },
        };
        self.ends(Some(outcome))
    }

    /// Every attempt within the phase leaves this object.
    pub fn never_removes(mut self, object: &str) -> Self {
        let phase = self.rollout.phase();
        while self.rollout.phase() == phase {
            self = if self.action.is_some() { self.leaves(object) } else { self.waits(30) };
        }
        self
    }
}

/// What health is, and how time passes.
impl Scene {
    pub fn healthy(self, seconds: u64) -> Self {
        self.assessed_as(Verdict::Healthy, seconds)
    }

    pub fn unready(self, seconds: u64) -> Self {
        self.assessed_as(Verdict::InProgress("3 of 5 pods".to_owned()), seconds)
    }

    /// An object is `Failed` for the whole grace period.
    pub fn failing(self) -> Self {
        self.assessed_as(Verdict::Failed("crash loop".to_owned()), 10)
    }

    /// Health is assessed once a second, for so many seconds.
    pub fn assessed_as(mut self, verdict: Verdict, seconds: u64) -> Self {
        for _ in 0..seconds {
            self.seen.verdict = Some(verdict.clone());
            self = self.wait(Duration::from_secs(1));
        }
        self
    }

    pub fn wait(mut self, time: Duration) -> Self {
        self.seen.elapsed = time;
        self.now = self.now.saturating_add(time).expect("a duration");
        self.observe()
    }

    pub fn waits(self, seconds: u64) -> Self {
        self.wait(Duration::from_secs(seconds))
    }

    /// Everything succeeds until this phase is reached.
    pub fn until(mut self, phase: Phase) -> Self {
        for _ in 0..MAX_STEPS {
            if self.rollout.phase() == phase {
                return self;
            }
            self = self.goes_well();
        }
        panic!("{} did not become {}", self.describe(), phase.name());
    }

    /// Everything succeeds until there is nothing to do.
    pub fn settled(mut self) -> Self {
        for _ in 0..MAX_STEPS {
            if self.is_at_rest() {
                return self;
            }
            self = self.goes_well();
        }
        panic!("{} did not settle", self.describe());
    }

    pub fn is_at_rest(&self) -> bool {
        let wakes_soon = self.wake.is_some_and(|wake| wake < Duration::from_secs(60));
        let is_settled = self.rollout.phase().is_settled();
        self.gone || (is_settled && self.action.is_none() && !wakes_soon)
    }

    pub fn goes_well(mut self) -> Self {
        if self.action.is_some() {
            return self.done();
        }
        self.seen.verdict = Some(Verdict::Healthy);
        let wake = self.wake.unwrap_or(Duration::from_secs(1));
        self.wait(wake)
    }
}
