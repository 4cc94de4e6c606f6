//! The action that each state asks for.

use super::rewrite;
use super::view::View;
use crate::bundle::hook::Hook;
use crate::deletion::DeletionIntent;
use crate::health::Verdict;
use crate::ledger::retained::Retained;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, RollbackStep, State};
use crate::observation::{Action, Direction};
use crate::plan::waves::Wave;

/// Returns the action that is due, whether or not its backoff is over.
pub(super) fn due(rollout: &Rollout, view: View) -> Option<Action> {
    if view.seen.deletion_intent == DeletionIntent::Evicted {
        return Some(Action::Recreate);
    }
    let is_ordered = view.seen.deletion_intent == DeletionIntent::Ordered;
    if let Some(failure) = rollout.failure.clone().filter(|_| !is_ordered) {
        return Some(Action::SaveEvidence { failure });
    }
    match &rollout.state {
        State::Rejected { retry_from: Some(_), .. } if !view.seen.has_slot => None,
        State::Pending => (!view.seen.has_finalizer).then_some(Action::AddFinalizer),
        State::Waiting { .. } | State::Rejected { retry_from: Some(RetryFrom::Start), .. } => None,
        State::Pulling | State::Rejected { retry_from: Some(RetryFrom::Pull), .. } => {
            Some(Action::Pull)
        }
        State::Staging | State::Rejected { retry_from: Some(RetryFrom::Stage), .. } => {
            Some(Action::Stage)
        }
        State::Checking { .. } | State::Rejected { retry_from: Some(RetryFrom::Check), .. } => {
            let release = rollout.target().cloned()?;
            Some(Action::Check { release, from: rollout.current.clone() })
        }
        State::PreUpgrade { .. } => run_hooks(rollout, view, Hook::PreUpgrade),
        State::Applying { wave, .. } => write(rollout, view, *wave),
        State::Verifying(_) => verify(rollout, view),
        State::Pruning { .. } => Some(prune(rollout)),
        State::RollingBack(rollback) => roll_back(rollout, &rollback.step, view),
        State::Available
        | State::Rejected { retry_from: None, .. }
        | State::RolledBack { .. }
        | State::Failed { .. } => tidy_up(rollout, view),
        State::Removing { done: true } => Some(Action::RemoveFinalizer),
        State::Removing { done: false } => Some(remove(rollout, view)),
    }
}

fn write(rollout: &Rollout, view: View, wave: Wave) -> Option<Action> {
    let direction = Direction::Forward { adopt: view.seen.policy().adopt };
    Some(Action::Apply { release: rollout.target().cloned()?, wave, direction })
}

fn verify(rollout: &Rollout, view: View) -> Option<Action> {
    match view.verdict()? {
        Verdict::Missing { .. } => write(rollout, view, rewrite::next_wave(rollout, view)?),
        Verdict::AwaitingHooks { started: false, .. } if rollout.verify_run().is_some() => {
            run_hooks(rollout, view, Hook::Verify)
        }
        Verdict::AwaitingHooks { .. }
        | Verdict::Healthy
        | Verdict::Tolerated(_)
        | Verdict::InProgress(_)
        | Verdict::Failed(_) => None,
    }
}

fn run_hooks(rollout: &Rollout, view: View, hook: Hook) -> Option<Action> {
    let operation = rollout.operation.as_ref()?;
    let (release, run) = (operation.target.clone()?, operation.hook_run());
    Some(Action::RunHooks { release, hook, run, timeout: view.seen.policy().timeout })
}

/// Removes what the target dropped, of all releases of which objects may exist.
fn prune(rollout: &Rollout) -> Action {
    Action::Prune {
        keep: rollout.target().cloned(),
        releases: rollout
            .touched
            .iter()
            .chain(&rollout.current)
            .chain(&rollout.unpruned)
            .cloned()
            .collect(),
        only_extensions: false,
        in_order: rollout.prunes_in_order(),
    }
}

fn roll_back(rollout: &Rollout, step: &RollbackStep, view: View) -> Option<Action> {
    let prune = |only_extensions| Action::Prune {
        keep: rollout.current.clone(),
        releases: rollout.touched.iter().chain(&rollout.unpruned).cloned().collect(),
        only_extensions,
        in_order: !only_extensions && rollout.prunes_in_order(),
    };
    let restore = |wave| {
        let direction = Direction::Rollback;
        Some(Action::Apply { release: rollout.current.clone()?, wave, direction })
    };
    match step {
        RollbackStep::Withdraw => Some(prune(true)),
        RollbackStep::Apply { wave } => restore(*wave),
        RollbackStep::Verify { .. } => restore(rewrite::next_wave(rollout, view)?),
        RollbackStep::Prune => Some(prune(false)),
    }
}

/// At rest the removal of what another one left is tried again, unless another release may be half written.
fn remove_leftovers(rollout: &Rollout) -> Option<Action> {
    let keep = rollout.current.clone();
    let releases = rollout.removable(keep.as_ref());
    let is_due = !rollout.unpruned.is_empty() && rollout.is_untouched();
    is_due.then_some(Action::Prune { keep, releases, only_extensions: false, in_order: false })
}

/// At rest a finalizer that somebody removed is added again, as what is installed would be lost with the `ManagedAddOn`; and
/// only the releases that matter stay retained.
fn tidy_up(rollout: &Rollout, view: View) -> Option<Action> {
    let may_have_objects = !rollout.removable(None).is_empty();
    if !view.seen.has_finalizer && may_have_objects {
        return Some(Action::AddFinalizer);
    }
    let states = rollout.retained_states();
    let is_tidy = |Retained { release, state }: &Retained| {
        states.iter().any(|(id, wanted)| *id == release.id && wanted == state)
    };
    match view.seen.retained.iter().all(is_tidy) {
        true => remove_leftovers(rollout),
        false => Some(Action::Retain { states }),
    }
}

/// Removes all releases of which objects may exist, and all that are retained.
fn remove(rollout: &Rollout, view: View) -> Action {
    let mut releases = rollout.removable(None);
    for Retained { release, .. } in &view.seen.retained {
        if !releases.contains(release) {
            releases.push(release.clone());
        }
    }
    Action::Remove { releases, past_refused: rollout.uninstalls_past_refused() }
}
