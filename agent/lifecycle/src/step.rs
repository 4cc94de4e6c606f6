//! The state machine: ledger, observation and time make the next ledger and at most one action. Total and pure; all
//! waiting is counted in spent time.
//!
//! [`decide`] asks the phase that the state belongs to, and [`carry_out`] does what it decided. Phases know nothing of each
//! other: what several of them need is in `admission`, `reassignment` and the methods of the ledger.

mod action;
mod admission;
mod apply;
mod at_rest;
mod prepare;
mod prune;
mod reassignment;
mod rewrite;
mod rollback;
mod start;
mod transition;
mod uninstall;
mod verify;
mod view;

use std::time::Duration;

use jiff::Timestamp;

use self::transition::{Decision, Transition};
use self::view::View;
use crate::api::{OnFailure, OperationResult};
use crate::deletion::DeletionIntent;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, Rollback, State, Verification};
use crate::observation::{Action, Observation, Outcome};
use crate::reason::{ActionableBy, Fault, Reason};
use crate::spec::duration::whole_seconds;

/// Interval at which health is assessed while it decides.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

/// Interval at which a retry out of a rejection looks for a free slot.
const SLOT_INTERVAL: Duration = Duration::from_secs(30);

/// Longest sleep until a maintenance window opens: the clock may be set or the machine suspended meanwhile.
const MAX_SLEEP: Duration = Duration::from_secs(60 * 60);

/// The result of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The next ledger, to be saved before the action.
    pub rollout: Rollout,
    /// The action to execute now.
    pub action: Option<Action>,
    /// When to observe again if nothing happens before. `None`: only when something changes.
    pub wake: Option<Duration>,
}

/// Computes the next ledger and action from a saved ledger, an observation and the time.
pub fn step(rollout: Rollout, seen: &Observation, now: Timestamp) -> Step {
    let view = View { seen, now: whole_seconds(now) };
    let mut rollout = rollout.forget_refused(&seen.recovered);
    rollout.retry_state = rollout.retry_state.elapse(seen.elapsed);
    if seen.outcome.is_some() || seen.verdict.is_some() {
        rollout.retry_state.crashes = 0;
    }
    let place = |rollout: &Rollout| (rollout.state.without_times(), rollout.failure.is_some());
    let before = place(&rollout);
    let rollout = advance(rollout, view);
    let mut rollout = match &seen.assignment {
        Ok(assignment) => rollout.record_requirements(assignment),
        Err(_) => rollout,
    };
    let has_moved = place(&rollout) != before;
    let due = action::due(&rollout, view);
    // What a removal left is not tried again at once.
    let is_removal = rollout.phase().is_settled() && matches!(due, Some(Action::Prune { .. }));
    if is_removal && !rollout.state.is_given_up() && (has_moved || seen.outcome.is_some()) {
        rollout = rollout.pause(seen.jitter);
    }
    // An action that changed nothing is not repeated without a backoff.
    let is_repeated = seen.outcome.is_some()
        && !has_moved
        && due.as_ref().is_some_and(|due| !rewrite::continues_round(&rollout, view, due));
    if is_repeated && rollout.retry_state.backoff.is_zero() {
        rollout.retry_state = rollout.retry_state.after_failure(seen.jitter);
    }
    let action = due.filter(|_| rollout.retry_state.backoff.is_zero());
    let wake = if action.is_some() { None } else { wake(&rollout, view, has_moved) };
    Step { rollout, action, wake }
}

fn advance(rollout: Rollout, view: View) -> Rollout {
    let is_ordered = view.seen.deletion_intent == DeletionIntent::Ordered;
    if rollout.failure.is_some() && !is_ordered {
        return await_evidence(rollout, view);
    }
    let (rollout, transition) = decide(rollout, view);
    carry_out(rollout, transition, view)
}

/// Evidence of a failure is saved before a rollback destroys it. If that fails or crashes the agent, the rollout continues
/// without.
fn await_evidence(rollout: Rollout, view: View) -> Rollout {
    let rollout = match view.outcome() {
        Some(Outcome::EvidenceSaved(name)) => rollout.record_evidence(Some(name)),
        Some(_) => rollout.record_evidence(None),
        None if rollout.retry_state.is_agent_crash_loop() => rollout.record_evidence(None),
        None => return rollout,
    };
    let is_given_up = rollout.state.is_given_up();
    let rollout = if is_given_up { rollout.pause(view.seen.jitter) } else { rollout };
    let seen = Observation { outcome: None, ..view.seen.clone() };
    advance(rollout, View { seen: &seen, ..view })
}

/// The transition table.
fn decide(rollout: Rollout, view: View) -> Decision {
    match view.seen.deletion_intent {
        DeletionIntent::Ordered => return uninstall::uninstall(rollout, view),
        // Until it is confirmed as an order, a deletion changes nothing.
        DeletionIntent::None | DeletionIntent::Unconfirmed | DeletionIntent::Evicted => {}
    }
    let rollout = at_rest::record_removal(rollout, view);
    match rollout.state.clone() {
        State::Pending | State::Waiting { .. } => start::start(rollout, view),
        State::Pulling => prepare::pull(rollout, view),
        State::Staging => prepare::stage(rollout, view),
        State::Checking { inconclusive_for } => prepare::check(rollout, view, inconclusive_for),
        State::PreUpgrade { spent } => {
            prepare::run_pre_upgrade_hooks(rollout, view, view.spend(spent))
        }
        State::Applying { wave, spent } => apply::apply(rollout, view, wave, view.spend(spent)),
        State::Verifying(verification) => {
            let spent = view.spend_observed(verification.spent);
            verify::verify(rollout, view, Verification { spent, ..verification })
        }
        State::Pruning { spent, tolerated } => {
            prune::prune(rollout, view, view.spend(spent), tolerated)
        }
        State::Rejected { reason, retry_from } => {
            at_rest::stay_rejected(rollout, view, reason, retry_from)
        }
        State::Available => at_rest::stay_available(rollout, view),
        // A failed release is tried again only if that is requested.
        State::RolledBack { .. } | State::Failed { .. } if is_answered(&rollout, view) => {
            (rollout, Transition::Stay)
        }
        State::RolledBack { .. } | State::Failed { .. } => (rollout, Transition::Supersede),
        State::RollingBack(Rollback { given_up: Some(_), .. }) if !is_answered(&rollout, view) => {
            (rollout, Transition::Supersede)
        }
        State::RollingBack(rollback) => {
            let spent = match rollback.step.verified() {
                Some(_) => view.spend_observed(rollback.spent),
                None => view.spend(rollback.spent),
            };
            rollback::roll_back(rollout, view, Rollback { spent, ..rollback })
        }
        // A deletion is never revoked: this is another `ManagedAddOn` of the same name.
        State::Removing { done } => (rollout.for_new_add_on(done), Transition::Stay),
    }
}

fn carry_out(rollout: Rollout, transition: Transition, view: View) -> Rollout {
    match transition {
        Transition::Stay => rollout,
        Transition::Enter(state) => rollout.enter(state),
        Transition::Wait(Fault { reason, message, .. }) => {
            rollout.with_message(message).enter(State::Waiting { reason })
        }
        Transition::Supersede => advance(rollout.supersede(view.now).enter(State::Pending), view),
        Transition::Begin => begin(rollout, view),
        Transition::PullAgain => pull_again(rollout, view),
        Transition::Reject { fault, retry_from } => reject(rollout, fault, retry_from, view),
        Transition::Fail(fault) => fail(rollout, fault, view),
        Transition::RollBack { cause, requested } => {
            rollback::begin(rollout, cause, requested, view)
        }
    }
}

/// A retained release is not pulled.
fn begin(rollout: Rollout, view: View) -> Rollout {
    let key = view.seen.assignment_key();
    let rollout = rollout.answer(key, &view.seen.spec_version, view.now);
    match rollout.target() {
        Some(target) if view.seen.is_retained(&target.id) => {
            let checking = State::Checking { inconclusive_for: Duration::ZERO };
            rollout.mark_verified().enter(checking)
        }
        Some(_) | None => rollout.enter(State::Pulling),
    }
}

/// A store that keeps losing releases is not used without a backoff.
fn pull_again(rollout: Rollout, view: View) -> Rollout {
    let is_replaced = rollout.is_untouched() && !reassignment::is_target_assigned(&rollout, view);
    let rollout = rollout.enter(State::Pulling);
    if is_replaced {
        return rollout;
    }
    rollout.retry_later("the bundle is no longer at hand", view.seen.jitter)
}

/// Rejects the assignment before the first write. The same rejection keeps its time: nothing that did not change is
/// reported again.
fn reject(rollout: Rollout, fault: Fault, retry_from: RetryFrom, view: View) -> Rollout {
    // A version that was to replace another one in the middle of its rollout: what is half written cannot stay.
    if retry_from != RetryFrom::Start && !rollout.is_untouched() {
        return fail(rollout, fault, view);
    }
    let retry_from = match fault.reason.actionable_by() {
        ActionableBy::Environment => Some(retry_from),
        ActionableBy::Assignment | ActionableBy::Nobody => None,
    };
    let reason = fault.reason;
    let ended = rollout.operation.as_ref().filter(|operation| operation.reason == reason);
    let ended = ended.and_then(|operation| operation.completed).unwrap_or(view.now);
    let rollout = rollout.finish(OperationResult::Failed, fault, ended);
    let rollout = rollout.answer_to(view.seen.assignment_key());
    let mut rollout = rollout.enter(State::Rejected { reason, retry_from });
    if retry_from.is_some() {
        rollout = rollout.pause(view.seen.jitter);
    }
    rollout
}

/// Gives up what is rolled out, after the first write.
fn fail(rollout: Rollout, cause: Fault, view: View) -> Rollout {
    let rollout = rollout.refresh_assignment(view.seen.assignment_key()).request_evidence(&cause);
    let is_current = rollout.target().is_some() && rollout.target() == rollout.current.as_ref();
    match view.seen.policy().on_failure {
        OnFailure::Rollback if !is_current => rollback::begin(rollout, cause, false, view),
        OnFailure::Rollback | OnFailure::Hold => {
            let rollout = rollout.finish(OperationResult::Failed, cause.clone(), view.now);
            rollout.enter(State::Failed { cause })
        }
    }
}

fn wake(rollout: &Rollout, view: View, has_moved: bool) -> Option<Duration> {
    let backoff = Some(rollout.retry_state.backoff).filter(|backoff| !backoff.is_zero());
    let look = health_interval(rollout);
    let is_watched = rollout.release_under_verification().is_some() || !rollout.unpruned.is_empty();
    if backoff.is_some() && !(has_moved && is_watched) {
        return backoff.min(look.or(backoff));
    }
    // Another state may decide otherwise on the same observation.
    if has_moved {
        return Some(Duration::ZERO);
    }
    if rollout.state == (State::Waiting { reason: Reason::OutsideWindow }) {
        let closed = admission::closed_window(rollout, view);
        let wait = closed.and_then(|closed| closed.wait(view.now)).unwrap_or(MAX_SLEEP);
        return Some(wait.min(MAX_SLEEP));
    }
    // A retry out of a rejection takes a slot first.
    let awaits_slot = matches!(rollout.state, State::Rejected { retry_from: Some(_), .. });
    look.or(awaits_slot.then_some(SLOT_INTERVAL))
}

/// Health is watched while it decides; after a rollback was given up, only while the soak is counted.
fn health_interval(rollout: &Rollout) -> Option<Duration> {
    let verified = rollout.release_under_verification();
    let is_soaking = !rollout.state.is_given_up() || rollout.state.is_soaking();
    verified.filter(|_| is_soaking).map(|_| HEALTH_INTERVAL)
}

/// Returns whether the newest operation answers the assignment, and no retry was requested since.
fn is_answered(rollout: &Rollout, view: View) -> bool {
    let key = view.seen.assignment_key();
    let answered = rollout.operation.as_ref().map(|operation| &operation.assignment);
    answered.is_some_and(|answered| answered.is_same_request(&key))
}
