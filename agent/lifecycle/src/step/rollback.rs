//! Going back to the last release that was Available; for a first install, to nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::{apply, begin};
use crate::api::{OperationKind, OperationResult};
use crate::health::Verdict;
use crate::ledger::left_behind::{Leftover, describe_leftovers};
use crate::ledger::operation::Operation;
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RollbackStep, State};
use crate::observation::{Action, Direction, Observation, Outcome, Report};
use crate::plan::Wave;
use crate::reason::{Fault, Reason};

/// A rollback under way, taken out of its state.
pub(super) struct Going {
    pub back: RollbackStep,
    pub cause: Fault,
    pub asked: bool,
    pub spent: Duration,
}

/// A short time-out is for a new version that is waited for; the way back gets at least this long.
const SHORTEST: Duration = Duration::from_secs(5 * 60);

fn patience(seen: &Observation) -> Duration {
    seen.policy().timeout.max(SHORTEST)
}

/// Ends what was tried and begins to go back. A failed first install stays one operation: there is nothing to go to.
pub(super) fn begin(
    rollout: Rollout,
    cause: Fault,
    asked: bool,
    seen: &Observation,
    now: Timestamp,
) -> Rollout {
    let state =
        |back| State::RollingBack { back, cause: cause.clone(), asked, spent: Duration::ZERO };
    let Some(current) = rollout.current.clone() else {
        let message = format!("removing what was installed: {}", cause.message);
        return rollout.say(message).to(state(RollbackStep::Prune));
    };
    let answered = rollout.operation.as_ref().map(|operation| operation.asked.clone());
    let safety = rollout.operation.as_ref().and_then(|operation| operation.rollback_safety.clone());
    let rollout = rollout.close(cause.clone(), now);
    // A rollback that nobody asked for still answers the assignment that failed.
    let asked = answered.filter(|_| !asked).unwrap_or_else(|| seen.asked());
    let rollout = rollout.open(OperationKind::Rollback, Some(current), cause.reason, asked, now);
    // What was said of this way back before stays said.
    let rollout = rollout.judged(&Report { rollback_safety: safety, ..Report::default() });
    begin::verified(rollout).say(cause.message.clone()).to(state(RollbackStep::Withdraw))
}

pub(super) fn due(rollout: &Rollout, back: &RollbackStep) -> Option<Action> {
    let prune = |only_extensions| Action::Prune {
        keep: rollout.current.clone(),
        of: rollout.touched.clone(),
        only_extensions,
        in_order: !only_extensions && rollout.prunes_in_order(),
    };
    match back {
        RollbackStep::Withdraw => Some(prune(true)),
        RollbackStep::Apply { stage } => Some(Action::Apply {
            release: rollout.current.clone()?,
            stage: Wave::numbered(*stage)?,
            direction: Direction::Rollback,
        }),
        RollbackStep::Verify { .. } => None,
        RollbackStep::Prune => Some(prune(false)),
    }
}

pub(super) fn advance(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    going: Going,
) -> Rollout {
    let late = going.spent >= patience(seen);
    let stay = |rollout: Rollout, back| Rollout { state: going.state(back), ..rollout };
    if let Some(fault) = rollout.crash_loop() {
        return match going.back {
            RollbackStep::Prune => {
                finish(rollout, going, &[Leftover::GivenUp { cause: fault }], now)
            }
            RollbackStep::Withdraw | RollbackStep::Apply { .. } | RollbackStep::Verify { .. } => {
                give_up(rollout, &fault.message, now)
            }
        };
    }
    match (going.back.clone(), seen.outcome.as_ref()) {
        (RollbackStep::Withdraw, Some(Outcome::Pruned { .. })) => {
            going.on(rollout, RollbackStep::Apply { stage: 0 })
        }
        (RollbackStep::Apply { stage }, Some(Outcome::Applied { wave, kept }))
            if Some(*wave) == Wave::numbered(stage) =>
        {
            going.on(rollout.record_kept_objects(kept), after(stage))
        }
        (RollbackStep::Verify { healthy }, _) => verify(rollout, seen, now, going, healthy),
        (back @ RollbackStep::Prune, Some(Outcome::Pruned { leftovers }))
            if rollout.is_going(leftovers) =>
        {
            stay(rollout, back).await_end_of(leftovers, seen.jitter)
        }
        (RollbackStep::Prune, Some(Outcome::Pruned { leftovers })) => {
            finish(rollout, going, leftovers, now)
        }
        (RollbackStep::Prune, Some(Outcome::Failed(fault))) if late || !rollout.may_pass(fault) => {
            finish(rollout, going, &[Leftover::GivenUp { cause: fault.clone() }], now)
        }
        (RollbackStep::Prune, Some(Outcome::Missing)) => {
            finish(rollout, going, &[Leftover::LostBaseline], now)
        }
        (_, Some(Outcome::Missing)) => {
            let gone = "the retained release to go back to is gone";
            give_up(rollout, gone, now)
        }
        (_, Some(Outcome::Failed(fault))) if late => give_up(rollout, &fault.message, now),
        // Going back is tried until its time is over, whatever the fault: there is nothing better to do.
        (back, Some(Outcome::Failed(fault))) => stay(rollout, back).retry(fault, seen.jitter),
        (back, _) => stay(rollout, back),
    }
}

fn after(stage: u32) -> RollbackStep {
    match Wave::numbered(stage + 1) {
        Some(_) => RollbackStep::Apply { stage: stage + 1 },
        None => RollbackStep::Verify { healthy: None },
    }
}

impl Going {
    /// A step further, and what stood in its way is no news any more.
    fn on(&self, rollout: Rollout, back: RollbackStep) -> Rollout {
        rollout.say(self.cause.message.clone()).to(self.state(back))
    }

    fn state(&self, back: RollbackStep) -> State {
        State::RollingBack { back, cause: self.cause.clone(), asked: self.asked, spent: self.spent }
    }
}

fn verify(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    going: Going,
    healthy: Option<Duration>,
) -> Rollout {
    let policy = seen.policy();
    let soaked = apply::soaked(healthy, seen);
    let late = going.spent >= patience(seen);
    let stay = |rollout, healthy| Rollout {
        state: going.state(RollbackStep::Verify { healthy }),
        ..rollout
    };
    match &seen.verdict {
        None if late => give_up(rollout, "its health could not be told in time", now),
        None => stay(rollout, healthy),
        Some(Verdict::Healthy | Verdict::Tolerated(_)) if soaked >= policy.soak => {
            going.on(rollout, RollbackStep::Prune)
        }
        Some(Verdict::Healthy | Verdict::Tolerated(_)) => {
            stay(rollout, Some(soaked)).say(going.cause.message.clone())
        }
        Some(
            Verdict::InProgress(what)
            | Verdict::Failed(what)
            | Verdict::AwaitingHooks { awaited: what, .. },
        ) if late => give_up(rollout, &format!("not healthy in time: {what}"), now),
        // What the failed version left behind may look like failure for a while.
        Some(
            Verdict::InProgress(what)
            | Verdict::Failed(what)
            | Verdict::AwaitingHooks { awaited: what, .. },
        ) => {
            let message = format!("{}; waiting for {what}", going.cause.message);
            stay(rollout, None).say(message)
        }
    }
}

fn finish(rollout: Rollout, going: Going, leftovers: &[Leftover], now: Timestamp) -> Rollout {
    let mut rollout = rollout.record_leftovers(leftovers);
    rollout.touched.clear();
    rollout.before.clear();
    let Going { cause, asked, .. } = going;
    let Some(current) = rollout.current.clone() else {
        let message = format!("{}{}", cause.message, describe_leftovers(leftovers));
        let cause = Fault::new(cause.reason, message);
        let rollout = rollout.finish(OperationResult::Failed, cause.clone(), now);
        return rollout.to(State::Failed { cause });
    };
    let kept = rollout.operation.as_ref().and_then(Operation::list_kept_objects);
    let message =
        format!("back at {}: {}{}", current.version, cause.message, describe_leftovers(leftovers));
    let (done, cause) = match kept {
        None => (Fault::new(Reason::RollbackSucceeded, message), cause),
        Some(kept) => {
            let message = format!("{message}; left as they are: {kept}");
            let done = Fault::new(Reason::RollbackIncomplete, message);
            (done.clone(), done)
        }
    };
    let rollout = rollout.finish(OperationResult::Succeeded, done, now);
    rollout.to(if asked { State::Available } else { State::RolledBack { cause } })
}

fn give_up(rollout: Rollout, why: &str, now: Timestamp) -> Rollout {
    let cause = Fault::new(Reason::RollbackFailed, why);
    let rollout = rollout.request_evidence(&cause);
    let rollout = rollout.finish(OperationResult::Failed, cause.clone(), now);
    rollout.to(State::Failed { cause })
}
