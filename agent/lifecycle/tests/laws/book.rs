//! The laws, and what has to be remembered of a story to judge them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::bundle::hook::Hook;
use lifecycle::health::Verdict;
use lifecycle::{
    Action, AssignmentKey, DeletionIntent, Direction, ManagedAddOnStatus, Observation, OnUnsafe,
    OperationKind, Outcome, Phase, Reason, Release, ReleaseId, RetryFrom, Rollback, Rollout, State,
    Step, step,
};

use super::graph;
use crate::scene::words::{described, history};
use crate::scene::{Look, Scene};

/// What one look at health may vouch for at most.
const VOUCHED: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Book {
    pub arrows: BTreeSet<(Phase, Phase)>,
    pub actions: BTreeSet<String>,
    reads_back: bool,
    asked: Option<AssignmentKey>,
    /// How often something else was asked, or asked again.
    asks: u64,
    last: Option<Action>,
    was_available: BTreeSet<Release>,
    /// Or found retained.
    staged: BTreeSet<ReleaseId>,
    checked: Option<(u64, Release)>,
    /// Releases that failed after their first write, and the ask they failed for.
    failed: BTreeMap<ReleaseId, u64>,
    rolled_back: BTreeSet<(Option<ReleaseId>, u64)>,
    /// Releases of which objects may be in the cluster.
    applied: BTreeSet<Release>,
    healthy: Option<Duration>,
}

impl Book {
    /// Also compares each step with the one that an agent makes which was started anew.
    pub fn that_reads_back() -> Self {
        Book { reads_back: true, ..Book::default() }
    }

    pub fn enter(&mut self, scene: &Scene) {
        for look in &scene.looks {
            self.hear(look);
            let judged = std::panic::AssertUnwindSafe(|| {
                self.judge(look);
                if self.reads_back {
                    survives_a_restart(scene, look);
                }
            });
            if let Err(broken) = std::panic::catch_unwind(judged) {
                eprintln!("law broken at {}", told(look));
                std::panic::resume_unwind(broken);
            }
            self.remember(look);
        }
    }

    /// For another `ManagedAddOn`; where stories have been is kept.
    pub fn closed(self) -> Self {
        let Book { arrows, actions, reads_back, .. } = self;
        Book { arrows, actions, reads_back, ..Book::default() }
    }

    fn judge(&self, look: &Look) {
        let Look { before, seen, after, now } = look;
        assert!(graph::leads(before.phase(), after.rollout.phase()), "no such arrow");
        looking_again_changes_nothing(look);
        something_comes_next(after);
        operations_are_counted_and_kept(before, &after.rollout);
        current_changes_only_by_success(before, &after.rollout);
        while_blocked_nothing_starts(before, seen, &after.rollout);
        outside_every_window_nothing_new_starts(look, *now);
        nothing_new_starts_beside_what_does_not_fit(before, seen, &after.rollout);
        what_is_unsafe_is_held(before, seen, &after.rollout);
        self.nothing_is_repeated_at_once(look);
        if let Some(action) = &after.action {
            self.action_is_lawful(action, look);
        }
        self.touched_covers_what_was_applied(&after.rollout);
        self.failures_come_once(before, &after.rollout);
        let begins_to_prune = before.phase() == Phase::Verifying && is(after, Phase::Pruning);
        assert!(
            !begins_to_prune || self.healthy >= Some(seen.policy().soak),
            "pruned before the soak"
        );
        assert!(
            seen.deletion_intent != DeletionIntent::Ordered || is(after, Phase::Removing),
            "deletion is not heard"
        );
        let crashes = after.rollout.retry_state.is_crash_loop() && after.action.is_some();
        assert!(!crashes || is(after, Phase::Removing), "what ends agents is done again");
    }

    fn action_is_lawful(&self, action: &Action, look: &Look) {
        let rollout = &look.after.rollout;
        let going_back = rollout.phase() == Phase::RollingBack;
        let sequence = rollout.sequence;
        match action {
            Action::Apply { release, direction: Direction::Rollback, .. } => {
                assert!(going_back && Some(release) == rollout.current.as_ref());
                assert!(self.was_available.contains(release), "back to what never was available");
            }
            Action::Apply { release, direction: Direction::Forward { .. }, .. } => {
                assert_eq!(rollout.phase(), Phase::Applying);
                assert_eq!(self.checked, Some((sequence, release.clone())), "applied unchecked");
                assert_ne!(self.failed.get(&release.id), Some(&self.asks), "applied again");
            }
            Action::RunHooks { release, hook: Hook::PreUpgrade, .. } => {
                assert_eq!(rollout.phase(), Phase::Checking);
                assert_eq!(self.checked, Some((sequence, release.clone())), "hooks unchecked");
                assert_eq!(kind(rollout), Some(OperationKind::Upgrade), "prepares no upgrade");
            }
            Action::RunHooks { hook: Hook::Verify, .. } => {
                assert_eq!(rollout.phase(), Phase::Verifying);
                assert_ne!(kind(rollout), Some(OperationKind::Rollback), "a rollback re-runs none");
            }
            Action::Check { release, .. } => {
                assert!(self.staged.contains(&release.id), "checked unstaged");
            }
            Action::Prune { keep, only_extensions, .. } => {
                assert!(keep.is_some() || rollout.current.is_none(), "prunes what runs");
                assert!(going_back || !only_extensions);
                let kept = if going_back { rollout.current.as_ref() } else { target(rollout) };
                assert_eq!(keep.as_ref(), kept);
            }
            Action::Remove { releases: of } => {
                assert!(
                    look.seen.deletion_intent == DeletionIntent::Ordered
                        && rollout.current.iter().all(|it| of.contains(it))
                );
                assert!(self.applied.iter().all(|it| of.contains(it)), "something is left behind");
            }
            Action::RemoveFinalizer => {
                assert!(look.seen.deletion_intent == DeletionIntent::Ordered)
            }
            Action::Retain { states: keep } => {
                let kept = |release: &Release| keep.iter().any(|(id, _)| *id == release.id);
                assert!(rollout.current.iter().chain(&rollout.touched).all(kept));
                assert!(rollout.phase().is_settled());
            }
            Action::Recreate => assert_eq!(look.seen.deletion_intent, DeletionIntent::Evicted),
            Action::AddFinalizer => {
                assert!(!look.seen.has_finalizer && is(&look.after, Phase::Pending))
            }
            Action::SaveEvidence { failure } => {
                let unwritten = failure.cause.reason == Reason::HookFailed;
                let ended = matches!(rollout.phase(), Phase::RollingBack | Phase::Failed);
                assert!(ended || unwritten && rollout.phase() == Phase::Rejected);
                assert!(rollout.history.iter().all(|entry| {
                    entry.sequence != failure.sequence || entry.evidence.is_none()
                }));
            }
            Action::Pull | Action::Stage => {}
        }
    }

    fn nothing_is_repeated_at_once(&self, look: &Look) {
        let same_place = look.before.phase() == look.after.rollout.phase()
            && look.before.sequence == look.after.rollout.sequence;
        let repeated = look.after.action.is_some() && look.after.action == self.last;
        assert!(
            look.seen.outcome.is_none() || !same_place || !repeated,
            "done again without a rest"
        );
    }

    fn touched_covers_what_was_applied(&self, rollout: &Rollout) {
        let rolling = matches!(
            rollout.state,
            State::Applying { .. } | State::Verifying { .. } | State::Pruning { .. }
        );
        if rolling {
            assert!(target(rollout).is_some_and(|target| rollout.touched.contains(target)));
        }
        if rollout.phase() == Phase::Available || rollout.phase() == Phase::RolledBack {
            assert_eq!(rollout.touched, [], "left over");
            return;
        }
        let covered = |release| {
            rollout.touched.contains(release) || rollout.current.as_ref() == Some(release)
        };
        let cleared = rollout.phase() == Phase::Failed && rollout.current.is_none();
        assert!(cleared || self.applied.iter().all(covered), "touched is forgotten");
    }

    fn failures_come_once(&self, before: &Rollout, after: &Rollout) {
        if rolls_back_unasked(before, after) {
            let failure = (target(before).map(|target| target.id.clone()), self.asks);
            assert!(!self.rolled_back.contains(&failure), "rolled back twice for one assignment");
        }
    }

    /// What this look tells.
    fn hear(&mut self, look: &Look) {
        let asked = look.seen.assignment_key();
        let news = self.asked.as_ref().is_none_or(|before| !before.is_same_request(&asked));
        self.asks += u64::from(news);
        self.asked = Some(asked);
        self.staged.extend(look.seen.retained.iter().map(|kept| kept.release.id.clone()));
        match (&self.last, &look.seen.outcome) {
            (Some(Action::Stage), Some(Outcome::Staged)) => {
                self.staged.extend(target(&look.before).map(|target| target.id.clone()));
            }
            (Some(Action::Check { release, .. }), Some(Outcome::Checked(_))) => {
                self.checked = Some((look.before.sequence, release.clone()));
            }
            _ => {}
        }
        self.healthy = match (&look.seen.verdict, look.before.phase()) {
            (Some(Verdict::Healthy | Verdict::Tolerated(_)), Phase::Verifying) => {
                let more = |so_far: Duration| so_far.saturating_add(look.seen.elapsed.min(VOUCHED));
                Some(self.healthy.map_or(Duration::ZERO, more))
            }
            (None | Some(Verdict::AwaitingHooks { .. }), Phase::Verifying) => self.healthy,
            _ => None,
        };
    }

    fn remember(&mut self, look: &Look) {
        let (before, after) = (&look.before, &look.after.rollout);
        if before.phase() != after.phase() {
            self.arrows.insert((before.phase(), after.phase()));
        }
        if let Some(action) = &look.after.action {
            let name = described(action);
            let name = name.split([' ', ':']).next().unwrap_or_default();
            self.actions.insert(name.to_owned());
        }
        let failed = after.phase() == Phase::Failed && before.phase() != Phase::RollingBack;
        if rolls_back_unasked(before, after) || failed && before.phase() != Phase::Failed {
            let release = target(before).map(|target| target.id.clone());
            self.failed.extend(release.clone().map(|release| (release, self.asks)));
            self.rolled_back.insert((release, self.asks));
        }
        if let Some(Action::Apply { release, .. }) = &look.after.action {
            self.applied.insert(release.clone());
        }
        if after.touched.is_empty() && before.phase() != after.phase() {
            self.applied.retain(|release| Some(release) == after.current.as_ref());
        }
        if matches!(after.phase(), Phase::Pulling | Phase::Staging) {
            self.checked = None;
        }
        self.was_available.extend(after.current.clone());
        self.last = look.after.action.clone();
    }
}

fn told(look: &Look) -> String {
    let Look { before, seen, after, .. } = look;
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

fn rolls_back_unasked(before: &Rollout, after: &Rollout) -> bool {
    before.phase() != Phase::RollingBack
        && matches!(after.state, State::RollingBack(Rollback { requested: false, .. }))
}

fn looking_again_changes_nothing(look: &Look) {
    let same_phase = look.before.phase() == look.after.rollout.phase();
    let wants_another_look = look.after.wake == Some(Duration::ZERO);
    if wants_another_look || look.after.action.is_some() && !same_phase {
        return;
    }
    let seen = Observation { outcome: None, elapsed: Duration::ZERO, ..look.seen.clone() };
    let again = step(look.after.rollout.clone(), &seen, look.now);
    assert_eq!(
        (again.rollout, again.action),
        (look.after.rollout.clone(), look.after.action.clone())
    );
}

/// Whatever is not at rest and not blocked by others either does something or knows when to look again.
fn something_comes_next(after: &Step) {
    let blocked = matches!(after.rollout.state, State::Waiting { .. });
    let tried_again = matches!(
        after.rollout.state,
        State::Rejected {
            retry_from: Some(
                RetryFrom::Start | RetryFrom::Pull | RetryFrom::Stage | RetryFrom::Check
            ),
            ..
        }
    );
    let goes_on = !blocked && !after.rollout.phase().is_settled() || tried_again;
    assert!(!goes_on || after.action.is_some() || after.wake.is_some(), "sleeps for ever");
}

fn operations_are_counted_and_kept(before: &Rollout, after: &Rollout) {
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
    // Beyond twenty, the less important ones go.
    let newest = if after.sequence <= 20 { 20 } else { 5 };
    let newest: BTreeSet<u64> = (1..=after.sequence).rev().take(newest).collect();
    assert!(newest.is_subset(&known), "an operation is lost: {:?}", history(after));
}

fn current_changes_only_by_success(before: &Rollout, after: &Rollout) {
    if before.current == after.current {
        return;
    }
    assert_eq!((before.phase(), after.phase()), (Phase::Pruning, Phase::Available));
    assert_eq!(after.current.as_ref(), target(before));
    assert_eq!(after.previous, before.current);
}

fn while_blocked_nothing_starts(before: &Rollout, seen: &Observation, after: &Rollout) {
    assert!(!starts(before, after) || !seen.is_paused && seen.has_slot, "started although blocked");
}

/// Something is begun, or written for the first time.
fn starts(before: &Rollout, after: &Rollout) -> bool {
    let begun = matches!(after.phase(), Phase::Pulling | Phase::Staging | Phase::Checking);
    let resting =
        before.phase().is_settled() || matches!(before.phase(), Phase::Pending | Phase::Waiting);
    let written = after.phase() == Phase::Applying && before.phase() == Phase::Checking;
    resting && begun || written && before.touched.is_empty()
}

/// But what runs already may be put back, and what was prepared in its window is gone on with.
fn outside_every_window_nothing_new_starts(look: &Look, now: Timestamp) {
    let (before, after) = (&look.before, &look.after.rollout);
    let waits = after.state == State::Waiting { reason: Reason::OutsideWindow };
    assert!(!waits || look.after.wake.is_some(), "nobody will see that a window opens");
    let closed = look.seen.policy().windows.closed(now).is_some() && !look.seen.ignores_windows;
    let is_new = target(after).is_some() && target(after) != before.current.as_ref();
    let prepared = matches!(before.state, State::PreUpgrade { .. });
    if closed && is_new && !prepared {
        assert!(!starts(before, after), "started outside every window");
    }
}

fn nothing_new_starts_beside_what_does_not_fit(
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

/// Nothing is written that could not be taken back, unless somebody said so.
fn what_is_unsafe_is_held(before: &Rollout, seen: &Observation, after: &Rollout) {
    let first_write = before.phase() == Phase::Checking
        && after.phase() == Phase::Applying
        && before.touched.iter().all(|touched| Some(touched) == before.current.as_ref());
    let Some(operation) = after.operation.as_ref().filter(|_| first_write) else { return };
    let blockers = operation.rollback_safety.iter().flat_map(|safety| &safety.blockers);
    let refused = blockers.filter(|it| !operation.accepted_blockers.contains(it)).count();
    assert!(refused == 0 || seen.policy().on_unsafe == OnUnsafe::Proceed, "started unsafe");
}

/// What is shown and what comes next are the same when the ledger was read back.
fn survives_a_restart(scene: &Scene, look: &Look) {
    let saved = scene.report(&look.before);
    let text = serde_json::to_string(&saved).expect("a status");
    let read: ManagedAddOnStatus = serde_json::from_str(&text).expect("a status");
    let loaded = Rollout::load(&read).expect("a ledger").expect("a ledger");
    assert_eq!(loaded, look.before);
    assert_eq!(scene.report(&loaded), saved);
    assert_eq!(step(loaded, &look.seen, look.now), look.after);
}
