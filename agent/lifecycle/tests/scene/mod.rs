//! A shell in words: it looks, lets `step` decide, saves, does what it is told in memory, and looks again.
#![allow(dead_code, reason = "each test binary uses some of the words")]

pub mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::health::HookStatus;
use lifecycle::health::Verdict;
use lifecycle::spec::maintenance_window::Windows;
use lifecycle::{
    Action, Assignment, CheckReport, Deletion, DeletionIntent, Dependencies, Direction, Fault,
    ManagedAddOn, ManagedAddOnStatus, Observation, Outcome, PeerState, PeerStates, Phase, Policy,
    Reason, Release, Retained, RetainedState, RollbackSafety, Rollout, StatusContext, Step, status,
    step,
};
use words::{assignment, described, release};

/// More looks than any story here needs.
const MANY: usize = 1000;

#[derive(Clone)]
pub struct Scene {
    pub rollout: Rollout,
    pub seen: Observation,
    pub now: Timestamp,
    pub action: Option<Action>,
    pub wake: Option<Duration>,
    /// As everyone sees it.
    pub saved: ManagedAddOnStatus,
    /// As it was last written: time that is spent alone is not worth a write.
    kept: ManagedAddOnStatus,
    /// The `ManagedAddOn` is let go.
    pub gone: bool,
    pub looks: Vec<Look>,
    /// What each look came to: phase, action, message.
    pub answers: Vec<String>,
    /// What every check from here on says.
    pub report: CheckReport,
    /// What was found of the release at rest.
    pub beside: StatusContext,
    /// Every assignment from here on is like this one, but for its release.
    spec: Assignment,
}

/// One call of `step`: what went in and what came out.
#[derive(Clone, Debug)]
pub struct Look {
    pub before: Rollout,
    pub seen: Observation,
    pub now: Timestamp,
    pub after: Step,
}

/// Where a story begins.
impl Scene {
    /// Nothing is installed; the finalizer is on.
    pub fn new() -> Self {
        let spec = assignment("1.0.0");
        Scene {
            rollout: Rollout::default(),
            seen: Observation {
                assignment: Ok(Arc::new(spec.clone())),
                spec_version: "1.0.0".to_owned(),
                generation: 0,
                retry: None,
                is_paused: false,
                ignores_windows: false,
                dependencies: Dependencies::default(),
                deletion_intent: DeletionIntent::None,
                deletion: Deletion::Uninstall,
                has_finalizer: true,
                has_slot: true,
                kubernetes: semver::Version::parse("1.31.4").ok(),
                retained: Vec::new(),
                outcome: None,
                verdict: None,
                elapsed: Duration::ZERO,
                jitter: 1.0,
            },
            now: "2026-03-01T12:00:00Z".parse().expect("a time"),
            action: None,
            wake: None,
            saved: ManagedAddOnStatus::default(),
            kept: ManagedAddOnStatus::default(),
            gone: false,
            looks: Vec::new(),
            answers: Vec::new(),
            report: CheckReport::default(),
            beside: StatusContext::default(),
            spec,
        }
    }

    pub fn available(version: &str) -> Self {
        Scene::new().assign(version).until(Phase::Available).settled()
    }

    /// 1.4.0 is available and 1.5.0 has come as far as this.
    pub fn upgrading(phase: Phase) -> Self {
        Scene::available("1.4.0").assign("1.5.0").until(phase)
    }

    /// 1.4.0 is available and 1.5.0 was rolled back.
    pub fn rolled_back() -> Self {
        Scene::upgrading(Phase::Verifying).broken().until(Phase::RolledBack).settled()
    }

    /// 1.4.0 is available and 1.5.0 failed and was left where it is.
    pub fn held() -> Self {
        let scene = Scene::available("1.4.0").policy(hold).assign("1.5.0");
        scene.until(Phase::Verifying).broken().is(Phase::Failed).done()
    }
}

/// What others do.
impl Scene {
    pub fn assign(mut self, what: &str) -> Self {
        self.spec.release = release(what);
        self.respecified()
    }

    /// Something in it has no meaning, and this stands in its `spec.version`.
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
        self.look()
    }

    /// Changes the policy of what is assigned; nothing else.
    pub fn policy(mut self, change: impl Fn(&mut Policy)) -> Self {
        change(&mut self.spec.policy);
        if self.seen.generation == 0 { self } else { self.respecified() }
    }

    /// Assignments from here on follow only these versions.
    pub fn upgrade_from(mut self, range: &str) -> Self {
        self.spec.upgrade_from = lifecycle::spec::version_range::parse(range).ok();
        self
    }

    /// Assignments from here on need such an API server.
    pub fn needs_kubernetes(mut self, range: &str) -> Self {
        self.spec.kubernetes = lifecycle::spec::version_range::parse(range).ok();
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

    /// Assignments from here on start in such windows only: schedule, duration, time zone.
    pub fn windows(self, windows: &[[&str; 3]]) -> Self {
        let window = |[schedule, duration, zone]: &[&str; 3]| lifecycle::Window {
            schedule: (*schedule).to_owned(),
            duration: (*duration).to_owned(),
            time_zone: Some((*zone).to_owned()),
        };
        let windows: Vec<_> = windows.iter().map(window).collect();
        let windows = Windows::parse(&windows).expect("windows");
        self.policy(|policy| policy.windows = windows.clone())
    }

    /// Assignments from here on need such another add-on: `base >=2`.
    pub fn requires(mut self, needs: &[&str]) -> Self {
        self.spec.requires = needs.iter().map(|text| words::need(text)).collect();
        if self.seen.generation == 0 { self } else { self.respecified() }
    }

    /// These are the other add-ons from here on.
    pub fn among(self, others: &[(&str, PeerState)]) -> Self {
        let all = others.iter().map(|(name, it)| ((*name).to_owned(), Arc::new(it.clone())));
        let all: PeerStates = all.collect();
        let needs = self.spec.requires.clone();
        self.with(|seen| seen.dependencies = Dependencies::new("shop", &needs, &all))
    }

    /// Looks again when the clock shows this.
    pub fn at(mut self, time: &str) -> Self {
        let time: Timestamp = time.parse().expect("a time");
        self.seen.elapsed = time.duration_since(self.now).unsigned_abs();
        self.now = time;
        self.look()
    }

    pub fn retry(self, value: &str) -> Self {
        self.with(|seen| seen.retry = Some(value.to_owned()))
    }

    pub fn delete(self, deletion: Deletion) -> Self {
        self.with(|seen| {
            (seen.deletion_intent, seen.deletion) = (DeletionIntent::Ordered, deletion)
        })
    }

    pub fn slot(self, free: bool) -> Self {
        self.with(|seen| seen.has_slot = free)
    }

    /// Changes the world and looks.
    pub fn with(mut self, change: impl Fn(&mut Observation)) -> Self {
        change(&mut self.seen);
        self.look()
    }

    /// As the other add-ons see it.
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
        self.look()
    }
}

/// How what was to be done ends, and what else is seen.
impl Scene {
    /// As it should.
    pub fn done(mut self) -> Self {
        let outcome = self.succeed();
        self.ends(outcome)
    }

    pub fn ends(mut self, outcome: Option<Outcome>) -> Self {
        self.seen.outcome = outcome;
        self.look()
    }

    pub fn refused(self, reason: Reason) -> Self {
        self.ends(Some(Outcome::Failed(Fault::new(reason, "refused"))))
    }

    /// However often it is tried within the phase.
    pub fn refused_for_good(mut self, reason: Reason) -> Self {
        let phase = self.rollout.phase();
        for _ in 0..MANY {
            self = self.refused(reason);
            if self.rollout.phase() != phase {
                return self;
            }
            let wake = self.wake.expect("another try");
            self = self.wait(wake);
        }
        panic!("{} is tried for ever", self.told());
    }

    pub fn transient(self, reason: Reason) -> Self {
        self.ends(Some(Outcome::Failed(Fault::transient(reason, "not at the moment"))))
    }

    /// Checks from here on find that claims of these names are resized, and that these images may have to be pulled.
    pub fn judged(mut self, claims: &[&str], images: &[&str]) -> Self {
        let blockers = claims.iter().map(|name| words::blocker(name)).collect();
        let unknowns = images.iter().map(|image| words::unknown(image)).collect();
        self.report.rollback_safety = Some(RollbackSafety { blockers, unknowns });
        self
    }

    /// The rollback restores all of a wave except these definitions.
    pub fn keeps(mut self, definitions: &[&str]) -> Self {
        let Some(Action::Apply { wave, direction: Direction::Rollback, .. }) = self.action.take()
        else {
            panic!("{} does not go back", self.told())
        };
        let kept = definitions.iter().map(|name| words::kept(name)).collect();
        self.ends(Some(Outcome::Applied { wave, kept }))
    }

    /// What was to be run before the upgrade, or to verify it, ended so.
    pub fn hooked(self, status: HookStatus) -> Self {
        self.ends(Some(Outcome::HooksRan(status)))
    }

    pub fn with_hooks(mut self) -> Self {
        self.report.has_pre_upgrade_hooks = true;
        self
    }

    pub fn missing(self) -> Self {
        self.ends(Some(Outcome::Missing))
    }

    pub fn left(self, what: &str) -> Self {
        let leftovers = vec![words::leftover(what)];
        let outcome = match self.action {
            Some(Action::Remove { .. }) => Outcome::Removed { leftovers },
            _ => Outcome::Pruned { leftovers },
        };
        self.ends(Some(outcome))
    }

    /// However often it is looked at, it is still there.
    pub fn never_gone(mut self, what: &str) -> Self {
        let phase = self.rollout.phase();
        while self.rollout.phase() == phase {
            self = if self.action.is_some() { self.left(what) } else { self.rests(30) };
        }
        self
    }

    pub fn healthy(self, seconds: u64) -> Self {
        self.shows(Verdict::Healthy, seconds)
    }

    pub fn awaited(self, seconds: u64) -> Self {
        self.shows(Verdict::InProgress("3 of 5 pods".to_owned()), seconds)
    }

    /// An object says for long enough that it failed.
    pub fn broken(self) -> Self {
        self.shows(Verdict::Failed("crash loop".to_owned()), 10)
    }

    /// So many looks at health, one a second.
    pub fn shows(mut self, verdict: Verdict, seconds: u64) -> Self {
        for _ in 0..seconds {
            self.seen.verdict = Some(verdict.clone());
            self = self.wait(Duration::from_secs(1));
        }
        self
    }

    pub fn wait(mut self, time: Duration) -> Self {
        self.seen.elapsed = time;
        self.now = self.now.saturating_add(time).expect("a duration");
        self.look()
    }

    pub fn rests(self, seconds: u64) -> Self {
        self.wait(Duration::from_secs(seconds))
    }

    /// The agent ends and another one begins: an outcome that was under way is never told.
    pub fn restart(mut self) -> Self {
        self.rollout = Rollout::load(&self.kept).expect("a ledger").unwrap_or_default();
        if self.rollout.is_under_way() {
            self.rollout = self.rollout.count_crash();
            self.kept = self.report(&self.rollout);
        }
        self.look()
    }

    /// Nobody remembers how it came to this.
    pub fn unlooked(mut self) -> Self {
        self.looks.clear();
        self.answers.clear();
        self
    }

    /// The status is lost.
    pub fn forget(mut self) -> Self {
        self.rollout = Rollout::rebuild(&self.seen.retained);
        self.look()
    }

    /// All goes well until this is reached.
    pub fn until(mut self, phase: Phase) -> Self {
        for _ in 0..MANY {
            if self.rollout.phase() == phase {
                return self;
            }
            self = self.goes_well();
        }
        panic!("{} did not become {}", self.told(), phase.name());
    }

    /// All goes well until nothing is left to do.
    pub fn settled(mut self) -> Self {
        for _ in 0..MANY {
            if self.is_at_rest() {
                return self;
            }
            self = self.goes_well();
        }
        panic!("{} did not settle", self.told());
    }

    pub fn is_at_rest(&self) -> bool {
        self.gone || (self.rollout.phase().is_settled() && self.action.is_none() && !self.is_due())
    }

    fn is_due(&self) -> bool {
        self.wake.is_some_and(|wake| wake < Duration::from_secs(60))
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

/// The shell itself.
impl Scene {
    pub fn look(mut self) -> Self {
        let before = std::mem::take(&mut self.rollout);
        let after = step(before.clone(), &self.seen, self.now);
        self.saved = self.report(&after.rollout);
        if !after.rollout.equals_except_time(&before) {
            self.kept = self.saved.clone();
        }
        self.rollout = after.rollout.clone();
        self.action = after.action.clone();
        self.wake = after.wake;
        let phase = self.rollout.phase().name();
        self.answers.push(format!("{phase} | {} | {}", self.described(), self.message()));
        self.looks.push(Look { before, seen: self.seen.clone(), now: self.now, after });
        (self.seen.outcome, self.seen.verdict) = (None, None);
        self.seen.elapsed = Duration::ZERO;
        self
    }

    pub fn report(&self, rollout: &Rollout) -> ManagedAddOnStatus {
        let beside = StatusContext {
            generation: Some(self.seen.generation),
            desired_version: self.seen.assigned_release().map(|wanted| wanted.version.to_string()),
            is_deletion_unconfirmed: self.seen.deletion_intent == DeletionIntent::Unconfirmed,
            ..self.beside.clone()
        };
        status(rollout, &beside, &self.saved.conditions, self.now)
    }

    /// Does what is to be done, in memory.
    pub fn succeed(&mut self) -> Option<Outcome> {
        Some(match self.action.take()? {
            Action::AddFinalizer => {
                self.seen.has_finalizer = true;
                Outcome::FinalizerAdded
            }
            Action::Pull => Outcome::Pulled,
            Action::Stage => {
                let staged = self.rollout.operation.as_ref().and_then(|o| o.target.clone());
                self.retain(staged.expect("a target"));
                Outcome::Staged
            }
            Action::Check { .. } => Outcome::Checked(self.report.clone()),
            Action::RunHooks { .. } => Outcome::HooksRan(HookStatus::Succeeded),
            Action::Apply { wave, .. } => Outcome::Applied { wave, kept: Vec::new() },
            Action::SaveEvidence { failure } => Outcome::EvidenceSaved(
                lifecycle::evidence::config_map_name("add-on", failure.sequence),
            ),
            Action::Prune { .. } => Outcome::Pruned { leftovers: Vec::new() },
            Action::Retain { states } => {
                self.tidy(&states);
                Outcome::Retained
            }
            Action::Remove { .. } => Outcome::Removed { leftovers: Vec::new() },
            Action::RemoveFinalizer | Action::Recreate => {
                self.seen.retained.clear();
                self.gone = true;
                Outcome::FinalizerRemoved
            }
        })
    }

    fn retain(&mut self, release: Release) {
        if !self.seen.is_retained(&release.id) {
            self.seen.retained.push(Retained { release, state: RetainedState::Candidate });
        }
    }

    fn tidy(&mut self, keep: &[(lifecycle::ReleaseId, RetainedState)]) {
        let state =
            |release: &Release| keep.iter().find(|(id, _)| id == &release.id).map(|kept| kept.1);
        self.seen.retained.retain(|kept| state(&kept.release).is_some());
        for kept in &mut self.seen.retained {
            kept.state = state(&kept.release).unwrap_or(kept.state);
        }
    }
}

/// What should be so by now.
impl Scene {
    #[track_caller]
    pub fn is(self, phase: Phase) -> Self {
        assert_eq!(self.rollout.phase(), phase, "{}", self.told());
        self
    }

    #[track_caller]
    pub fn does(self, action: &str) -> Self {
        assert_eq!(self.described(), action, "{}", self.told());
        self
    }

    #[track_caller]
    pub fn because(self, reason: Reason) -> Self {
        assert_eq!(lifecycle::reason(&self.rollout), reason, "{}", self.told());
        self
    }

    /// Versions as the status shows them, `-` for none: current, previous.
    #[track_caller]
    pub fn runs(self, current: &str, previous: &str) -> Self {
        let shown = |version: &Option<String>| version.clone().unwrap_or("-".to_owned());
        let (c, p) = (shown(&self.saved.current_version), shown(&self.saved.previous_version));
        assert_eq!((c.as_str(), p.as_str()), (current, previous), "{}", self.told());
        self
    }

    /// Operation and result as the status shows them.
    #[track_caller]
    pub fn shows_operation(self, operation: &str) -> Self {
        assert_eq!(self.operation(), operation, "{}", self.told());
        self
    }

    /// Newest first: `<sequence> <operation> <version> <result> <reason>`.
    #[track_caller]
    pub fn remembers(self, entries: &[&str]) -> Self {
        assert_eq!(words::history(&self.rollout), entries, "{}", self.told());
        self
    }

    /// Conditions that are True.
    #[track_caller]
    pub fn conditions(self, true_ones: &str) -> Self {
        let is_true = self.saved.conditions.iter().filter(|condition| condition.status == "True");
        let shown: Vec<_> = is_true.map(|condition| condition.type_.as_str()).collect();
        assert_eq!(shown.join(" "), true_ones, "{}", self.told());
        self
    }

    /// `<status> <reason>: <message>` of a condition.
    #[track_caller]
    pub fn says(self, condition: &str, words: &str) -> Self {
        let found = self.saved.conditions.iter().find(|found| found.type_ == condition);
        let shown = found.map_or("absent".to_owned(), |found| {
            format!("{} {}: {}", found.status, found.reason, found.message)
        });
        assert_eq!(shown, words, "{}", self.told());
        self
    }

    pub fn described(&self) -> String {
        self.action.as_ref().map_or("-".to_owned(), described)
    }

    pub fn message(&self) -> &str {
        self.saved.message.as_deref().unwrap_or_default()
    }

    fn operation(&self) -> String {
        match (self.saved.operation, self.saved.result) {
            (Some(operation), Some(result)) => format!("{} {}", operation.name(), result.name()),
            _ => "-".to_owned(),
        }
    }

    fn told(&self) -> String {
        let looks = self.looks.iter().map(|look| {
            let action = look.after.action.as_ref().map_or("-".to_owned(), described);
            format!("{} {action}", look.after.rollout.phase().name())
        });
        let mut lines: Vec<String> = looks.collect();
        lines.dedup();
        format!("{} {:?}\n  {}", self.operation(), self.message(), lines.join("\n  "))
    }
}

pub fn hold(policy: &mut Policy) {
    policy.on_failure = lifecycle::OnFailure::Hold;
}
