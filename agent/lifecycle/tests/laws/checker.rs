//! The laws, and what has to be recorded of a story to check them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::bundle::hook::Hook;
use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{
    Action, AssignmentKey, DeletionIntent, Direction, ManagedAddOnStatus, Observation, OnUnsafe,
    OperationKind, Outcome, Phase, Reason, Release, ReleaseId, RetryFrom, Rollback, Rollout, State,
    Step, step,
};

use super::graph;
use crate::scene::words::{action_name, describe_history};
use crate::scene::{Scene, StepRecord};

/// The time for which one observation of health can speak.
const MAX_OBSERVED_TIME: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Checker {
    pub arrows: BTreeSet<(Phase, Phase)>,
    pub actions: BTreeSet<&'static str>,
    reloads: bool,
    assignment: Option<AssignmentKey>,
    /// How many requests there were: other assignments and retries.
    requests: u64,
    last_action: Option<Action>,
    was_available: BTreeSet<Release>,
    /// Releases that were staged, or found retained.
    staged: BTreeSet<ReleaseId>,
    checked: Option<(u64, Release)>,
    /// Releases that failed after their first write, and the request for which they failed.
    failed: BTreeMap<ReleaseId, u64>,
    rolled_back: BTreeSet<(Option<ReleaseId>, u64)>,
    /// Releases of which objects may exist.
    applied: BTreeSet<Release>,
    healthy_for: Option<Duration>,
    /// Releases of which a removal left something.
    unremoved: BTreeSet<Release>,
    /// The waves that a rollback wrote so far, and its sequence.
    restored: (u64, BTreeSet<Wave>),
}

impl Checker {
    /// Also compares each step with that of a restarted agent.
    pub fn that_reloads() -> Self {
        Checker { reloads: true, ..Checker::default() }
    }

    /// Checks the steps of a scene.
    pub fn check_steps(&mut self, scene: &Scene) {
        for record in &scene.steps {
            self.observe(record);
            let checked = std::panic::AssertUnwindSafe(|| {
                self.check_step(record);
                if self.reloads {
                    a_saved_ledger_decides_the_same(scene, record);
                }
            });
            if let Err(broken) = std::panic::catch_unwind(checked) {
                eprintln!("law broken at {}", describe(record));
                std::panic::resume_unwind(broken);
            }
            self.record(record);
        }
    }

    /// Starts again for another `ManagedAddOn`, and keeps where stories have been.
    pub fn restarted(self) -> Self {
        let Checker { arrows, actions, reloads, .. } = self;
        Checker { arrows, actions, reloads, ..Checker::default() }
    }

    fn check_step(&self, record: &StepRecord) {
        let StepRecord { before, seen, after, now } = record;
        assert!(graph::leads(before.phase(), after.rollout.phase()), "no such arrow");
        the_same_observation_changes_nothing(record);
        something_comes_next(after);
        operations_are_counted_and_recorded(before, &after.rollout);
        current_changes_only_by_success(before, &after.rollout);
        nothing_starts_while_it_is_delayed(before, seen, &after.rollout);
        outside_every_window_nothing_new_starts(record, *now);
        nothing_new_starts_without_its_requirements(before, seen, &after.rollout);
        an_unsafe_version_is_held(before, seen, &after.rollout);
        self.no_action_is_repeated_at_once(record);
        if let Some(action) = &after.action {
            self.check_action(action, record);
        }
        self.touched_covers_applied_releases(&after.rollout);
        self.no_leftover_is_forgotten(&after.rollout);
        self.one_failure_causes_one_rollback(before, &after.rollout);
        let starts_to_prune = before.phase() == Phase::Verifying && is(after, Phase::Pruning);
        assert!(
            !starts_to_prune || self.healthy_for >= Some(seen.policy().soak),
            "pruned before the soak"
        );
        assert!(
            seen.deletion_intent != DeletionIntent::Ordered || is(after, Phase::Removing),
            "an ordered deletion is ignored"
        );
        let crashes = after.rollout.retry_state.is_agent_crash_loop() && after.action.is_some();
        assert!(!crashes || is(after, Phase::Removing), "an action that crashes is repeated");
    }

    fn check_action(&self, action: &Action, record: &StepRecord) {
        let rollout = &record.after.rollout;
        let is_rolling_back = matches!(rollout.state, State::RollingBack(_));
        let sequence = rollout.sequence;
        match action {
            Action::Apply { release, direction: Direction::Rollback, .. } => {
                assert!(is_rolling_back && Some(release) == rollout.current.as_ref());
                assert!(
                    self.was_available.contains(release),
                    "restored a release that never was available"
                );
            }
            Action::Apply { release, direction: Direction::Forward { .. }, .. } => {
                assert!(matches!(rollout.phase(), Phase::Applying | Phase::Verifying));
                assert_eq!(
                    self.checked,
                    Some((sequence, release.clone())),
                    "applied without a check"
                );
                assert_ne!(
                    self.failed.get(&release.id),
                    Some(&self.requests),
                    "applied again after a failure"
                );
            }
            Action::RunHooks { release, hook: Hook::PreUpgrade, .. } => {
                assert_eq!(rollout.phase(), Phase::Checking);
                assert_eq!(
                    self.checked,
                    Some((sequence, release.clone())),
                    "hooks ran without a check"
                );
                assert_eq!(
                    kind(rollout),
                    Some(OperationKind::Upgrade),
                    "pre-upgrade hooks without an upgrade"
                );
            }
            Action::RunHooks { hook: Hook::Verify, .. } => {
                assert_eq!(rollout.phase(), Phase::Verifying);
                assert_ne!(
                    kind(rollout),
                    Some(OperationKind::Rollback),
                    "a rollback ran verify hooks"
                );
            }
            Action::Check { release, .. } => {
                assert!(self.staged.contains(&release.id), "checked without staging");
            }
            Action::Prune { keep, only_extensions, .. } => {
                assert!(keep.is_some() || rollout.current.is_none(), "pruned the running release");
                assert!(is_rolling_back || !only_extensions);
                let keeps_current = is_rolling_back || rollout.phase().is_settled();
                let kept = if keeps_current { rollout.current.as_ref() } else { target(rollout) };
                assert_eq!(keep.as_ref(), kept);
                let (restored_by, waves) = &self.restored;
                let is_whole = *restored_by == sequence && waves.len() == Wave::ALL.len();
                let is_restored = !is_rolling_back || *only_extensions || keep.is_none();
                assert!(is_restored || is_whole, "a refused object kept others from being written");
            }
            Action::Remove { releases, .. } => {
                assert!(
                    record.seen.deletion_intent == DeletionIntent::Ordered
                        && rollout.current.iter().all(|it| releases.contains(it))
                );
                assert!(
                    self.applied.iter().all(|it| releases.contains(it)),
                    "an applied release is left"
                );
            }
            Action::RemoveFinalizer => {
                assert!(record.seen.deletion_intent == DeletionIntent::Ordered)
            }
            Action::Retain { states } => {
                let is_retained =
                    |release: &Release| states.iter().any(|(id, _)| *id == release.id);
                assert!(rollout.current.iter().chain(&rollout.touched).all(is_retained));
                assert!(rollout.phase().is_settled());
            }
            Action::Recreate => assert_eq!(record.seen.deletion_intent, DeletionIntent::Evicted),
            Action::AddFinalizer => {
                assert!(!record.seen.has_finalizer && is(&record.after, Phase::Pending))
            }
            Action::SaveEvidence { failure } => {
                let is_unwritten = failure.cause.reason == Reason::HookFailed;
                let has_ended = matches!(rollout.phase(), Phase::RollingBack | Phase::Failed);
                assert!(has_ended || is_unwritten && rollout.phase() == Phase::Rejected);
                assert!(rollout.history.iter().all(|entry| {
                    entry.sequence != failure.sequence || entry.evidence.is_none()
                }));
            }
            Action::Pull | Action::Stage => {}
        }
    }

    fn no_action_is_repeated_at_once(&self, record: &StepRecord) {
        let same_place = record.before.phase() == record.after.rollout.phase()
            && record.before.sequence == record.after.rollout.sequence;
        let repeated = record.after.action.is_some() && record.after.action == self.last_action;
        assert!(
            record.seen.outcome.is_none() || !same_place || !repeated,
            "repeated without a backoff"
        );
    }

    fn touched_covers_applied_releases(&self, rollout: &Rollout) {
        let rolling = matches!(
            rollout.state,
            State::Applying { .. } | State::Verifying { .. } | State::Pruning { .. }
        );
        if rolling {
            assert!(target(rollout).is_some_and(|target| rollout.touched.contains(target)));
        }
        if rollout.phase() == Phase::Available || rollout.phase() == Phase::RolledBack {
            assert_eq!(rollout.touched, [], "touched releases are left");
            return;
        }
        let covered = |release| {
            rollout.touched.contains(release) || rollout.current.as_ref() == Some(release)
        };
        let cleared = rollout.phase() == Phase::Failed && rollout.current.is_none();
        assert!(cleared || self.applied.iter().all(covered), "an applied release is not touched");
    }

    fn no_leftover_is_forgotten(&self, rollout: &Rollout) {
        let known: Vec<&Release> =
            rollout.current.iter().chain(&rollout.touched).chain(&rollout.unpruned).collect();
        let is_known = |release| known.contains(&release);
        assert!(self.unremoved.iter().all(is_known), "a leftover is forgotten");
    }

    /// Takes in how a removal ended. Without its retained release an object cannot be found.
    fn observe_removal(&mut self, record: &StepRecord) {
        if let (Some(Action::Prune { keep, releases, only_extensions: false, .. }), Some(outcome)) =
            (&self.last_action, &record.seen.outcome)
        {
            let removed = releases.iter().filter(|release| Some(*release) != keep.as_ref());
            if matches!(outcome, Outcome::Pruned { leftovers } if leftovers.is_empty()) {
                removed.for_each(|release| _ = self.unremoved.remove(release));
            } else {
                self.unremoved.extend(removed.cloned());
            }
        }
        self.unremoved.retain(|release| record.seen.is_retained(&release.id));
        if record.before.phase() == Phase::Removing
            || record.after.rollout.phase() == Phase::Removing
        {
            self.unremoved.clear();
        }
    }

    fn one_failure_causes_one_rollback(&self, before: &Rollout, after: &Rollout) {
        if rolls_back_unrequested(before, after) {
            let failure = (target(before).map(|target| target.id.clone()), self.requests);
            assert!(!self.rolled_back.contains(&failure), "rolled back twice for one request");
        }
    }

    /// Takes in what the step observed.
    fn observe(&mut self, record: &StepRecord) {
        let key = record.seen.assignment_key();
        let is_new = self.assignment.as_ref().is_none_or(|last| !last.is_same_request(&key));
        self.requests += u64::from(is_new);
        self.assignment = Some(key);
        self.observe_removal(record);
        self.staged.extend(record.seen.retained.iter().map(|kept| kept.release.id.clone()));
        match (&self.last_action, &record.seen.outcome) {
            (Some(Action::Stage), Some(Outcome::Staged)) => {
                self.staged.extend(target(&record.before).map(|target| target.id.clone()));
            }
            (Some(Action::Check { release, .. }), Some(Outcome::Checked(_))) => {
                self.checked = Some((record.before.sequence, release.clone()));
            }
            _ => {}
        }
        self.healthy_for = match (&record.seen.verdict, record.before.phase()) {
            (Some(Verdict::Healthy | Verdict::Tolerated(_)), Phase::Verifying) => {
                let more = |so_far: Duration| {
                    so_far.saturating_add(record.seen.elapsed.min(MAX_OBSERVED_TIME))
                };
                Some(self.healthy_for.map_or(Duration::ZERO, more))
            }
            (None | Some(Verdict::AwaitingHooks { .. }), Phase::Verifying) => self.healthy_for,
            _ => None,
        };
    }

    /// Records what the step decided.
    fn record(&mut self, record: &StepRecord) {
        let (before, after) = (&record.before, &record.after.rollout);
        if before.phase() != after.phase() {
            self.arrows.insert((before.phase(), after.phase()));
        }
        if let Some(action) = &record.after.action {
            self.actions.insert(action_name(action));
        }
        let failed = after.phase() == Phase::Failed && before.phase() != Phase::RollingBack;
        if rolls_back_unrequested(before, after) || failed && before.phase() != Phase::Failed {
            let release = target(before).map(|target| target.id.clone());
            self.failed.extend(release.clone().map(|release| (release, self.requests)));
            self.rolled_back.insert((release, self.requests));
        }
        if let Some(Action::Apply { release, wave, .. }) = &record.after.action {
            self.applied.insert(release.clone());
            if self.restored.0 != after.sequence {
                self.restored = (after.sequence, BTreeSet::new());
            }
            self.restored.1.insert(*wave);
        }
        if after.touched.is_empty() && before.phase() != after.phase() {
            self.applied.retain(|release| Some(release) == after.current.as_ref());
        }
        if matches!(after.phase(), Phase::Pulling | Phase::Staging) {
            self.checked = None;
        }
        self.was_available.extend(after.current.clone());
        self.last_action = record.after.action.clone();
    }
}

fn describe(record: &StepRecord) -> String {
    let StepRecord { before, seen, after, .. } = record;
    format!(
        "\n before {:?}\n touched {:?} current {:?} operation {:?}\n wanted {:?} outcome {:?} verdict {:?} elapsed {:?} paused {} slot {}\n after {:?} {:?}\n touched {:?} {:?} {:?}",
        before.state,
        before.touched,
        before.current,
        before.operation,
        seen.assignment_key(),
        seen.outcome,
        seen.verdict,
        seen.elapsed,
        seen.is_paused,
        seen.has_slot,
        after.rollout.state,
        after.rollout.retry_state,
        after.rollout.touched,
        after.action,
        after.wake,
    )
}

fn is(step: &Step, phase: Phase) -> bool {
    step.rollout.phase() == phase
}

fn target(rollout: &Rollout) -> Option<&Release> {
    rollout.operation.as_ref()?.target.as_ref()
}

fn kind(rollout: &Rollout) -> Option<OperationKind> {
    Some(rollout.operation.as_ref()?.kind)
}

fn rolls_back_unrequested(before: &Rollout, after: &Rollout) -> bool {
    before.phase() != Phase::RollingBack
        && after.phase() == Phase::RollingBack
        && matches!(after.state, State::RollingBack(Rollback { requested: false, .. }))
}

fn the_same_observation_changes_nothing(record: &StepRecord) {
    let same_phase = record.before.phase() == record.after.rollout.phase();
    let wants_another_look = record.after.wake == Some(Duration::ZERO);
    if wants_another_look || record.after.action.is_some() && !same_phase {
        return;
    }
    let seen = Observation { outcome: None, elapsed: Duration::ZERO, ..record.seen.clone() };
    let again = step(record.after.rollout.clone(), &seen, record.now);
    assert_eq!(
        (again.rollout, again.action),
        (record.after.rollout.clone(), record.after.action.clone())
    );
}

/// A rollout that neither rests nor is delayed by others has an action, or a time at which it observes again.
fn something_comes_next(after: &Step) {
    let blocked = matches!(after.rollout.state, State::Waiting { .. });
    let is_retried = matches!(
        after.rollout.state,
        State::Rejected {
            retry_from: Some(
                RetryFrom::Start | RetryFrom::Pull | RetryFrom::Stage | RetryFrom::Check
            ),
            ..
        }
    );
    let must_continue = !blocked && !after.rollout.phase().is_settled() || is_retried;
    assert!(!must_continue || after.action.is_some() || after.wake.is_some(), "sleeps forever");
}

fn operations_are_counted_and_recorded(before: &Rollout, after: &Rollout) {
    assert!(after.sequence >= before.sequence);
    let numbers: Vec<u64> = after.history.iter().map(|entry| entry.sequence).collect();
    assert!(numbers.is_sorted_by(|a, b| a > b), "history is out of order");
    assert!(numbers.len() <= 20);
    for entry in &after.history {
        assert!(entry.completion_time.as_ref().is_some_and(|end| end.0 >= entry.started_time.0));
    }
    let Some(operation) = &after.operation else { return };
    assert_eq!(operation.sequence, after.sequence);
    let open = operation.completed.is_none().then_some(operation.sequence);
    let known: BTreeSet<u64> = numbers.into_iter().chain(open).collect();
    // Beyond twenty, the less important ones are removed.
    let newest = if after.sequence <= 20 { 20 } else { 5 };
    let newest: BTreeSet<u64> = (1..=after.sequence).rev().take(newest).collect();
    assert!(newest.is_subset(&known), "an operation is lost: {:?}", describe_history(after));
}

fn current_changes_only_by_success(before: &Rollout, after: &Rollout) {
    if before.current == after.current {
        return;
    }
    assert_eq!((before.phase(), after.phase()), (Phase::Pruning, Phase::Available));
    assert_eq!(after.current.as_ref(), target(before));
    assert_eq!(after.previous, before.current);
}

fn nothing_starts_while_it_is_delayed(before: &Rollout, seen: &Observation, after: &Rollout) {
    assert!(!starts(before, after) || !seen.is_paused && seen.has_slot, "started although delayed");
}

/// Returns whether a rollout starts, or writes for the first time.
fn starts(before: &Rollout, after: &Rollout) -> bool {
    let is_started = matches!(after.phase(), Phase::Pulling | Phase::Staging | Phase::Checking);
    let was_resting =
        before.phase().is_settled() || matches!(before.phase(), Phase::Pending | Phase::Waiting);
    let is_first_write = after.phase() == Phase::Applying && before.phase() == Phase::Checking;
    was_resting && is_started || is_first_write && before.touched.is_empty()
}

/// Exceptions: the running release may be restored, and a rollout that ran its hooks in a window continues.
fn outside_every_window_nothing_new_starts(record: &StepRecord, now: Timestamp) {
    let (before, after) = (&record.before, &record.after.rollout);
    let waits = after.state == State::Waiting { reason: Reason::OutsideWindow };
    assert!(!waits || record.after.wake.is_some(), "a window opens unseen");
    let closed = record.seen.policy().windows.closed(now).is_some() && !record.seen.ignores_windows;
    let is_new = target(after).is_some() && target(after) != before.current.as_ref();
    let prepared = matches!(before.state, State::PreUpgrade { .. });
    if closed && is_new && !prepared {
        assert!(!starts(before, after), "started outside every window");
    }
}

fn nothing_new_starts_without_its_requirements(
    before: &Rollout,
    seen: &Observation,
    after: &Rollout,
) {
    let is_new = target(after).is_some() && target(after) != before.current.as_ref();
    let Some(assignment) = seen.assignment.as_ref().ok().filter(|_| is_new) else { return };
    if !starts(before, after) {
        return;
    }
    assert_eq!(seen.dependencies.find_unmet(&assignment.requires), None);
    let from = before.current.as_ref().map(|current| &current.version);
    let broken =
        from.and_then(|from| seen.dependencies.find_broken(from, &assignment.release.version));
    assert_eq!(broken, None);
}

/// Nothing is written whose rollback would not work, unless somebody accepted that.
fn an_unsafe_version_is_held(before: &Rollout, seen: &Observation, after: &Rollout) {
    let first_write = before.phase() == Phase::Checking
        && after.phase() == Phase::Applying
        && before.touched.iter().all(|touched| Some(touched) == before.current.as_ref());
    let Some(operation) = after.operation.as_ref().filter(|_| first_write) else { return };
    let blockers = operation.rollback_safety.iter().flat_map(|safety| &safety.blockers);
    let refused = blockers.filter(|it| !operation.accepted_blockers.contains(it)).count();
    assert!(
        refused == 0 || seen.policy().on_unsafe == OnUnsafe::Proceed,
        "started with an unaccepted blocker"
    );
}

/// Status and next step are the same after the ledger was saved and loaded.
fn a_saved_ledger_decides_the_same(scene: &Scene, record: &StepRecord) {
    let saved = scene.status_of(&record.before);
    let text = serde_json::to_string(&saved).expect("a status");
    let read: ManagedAddOnStatus = serde_json::from_str(&text).expect("a status");
    let loaded = Rollout::load(&read).expect("a ledger").expect("a ledger");
    assert_eq!(loaded, record.before);
    assert_eq!(scene.status_of(&loaded), saved);
    assert_eq!(step(loaded, &record.seen, record.now), record.after);
}
