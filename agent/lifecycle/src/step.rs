//! The transition table: the saved rollout, one look at the world and the time make the new rollout and at most one
//! action. Total and pure; all waiting is counted in time spent.

mod back;
mod begin;
mod forward;
mod removal;
mod settled;

use std::time::Duration;

use jiff::Timestamp;

use crate::observation::{Action, Observation, Outcome};
use crate::plan::Stage;
use crate::reason::{Fault, Owner, Reason};
use crate::rollout::{Again, Back, Patience, Rollout, State};

/// How often health is looked at while it decides.
const LOOK: Duration = Duration::from_secs(1);

/// Retries after a passing fault: 1 s, doubling, at most this.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// How often a refusal that is the environment's to mend is looked at again, ± 25 %.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub rollout: Rollout,
    pub action: Option<Action>,
    /// When to look again if nothing happens before.
    pub wake: Option<Duration>,
}

pub fn step(rollout: Rollout, seen: &Observation, now: Timestamp) -> Step {
    let mut rollout = rollout;
    rollout.patience.rest = rollout.patience.rest.saturating_sub(seen.elapsed);
    let before = rollout.state.clone();
    let rollout = advance(rollout, seen, now);
    let moved = rollout.state != before;
    let action = due(&rollout, seen).filter(|_| rollout.patience.rest.is_zero());
    let wake = if action.is_some() { None } else { wake(&rollout, moved) };
    Step { rollout, action, wake }
}

/// The new state.
fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    if seen.deleting {
        return removal::advance(rollout, seen, now);
    }
    match rollout.state.clone() {
        State::Pending | State::Waiting { .. } => begin::advance(rollout, seen, now),
        State::Pulling => forward::prepare(rollout, seen, now, Again::Pull),
        State::Staging => forward::prepare(rollout, seen, now, Again::Stage),
        State::Checking { .. } => forward::prepare(rollout, seen, now, Again::Check),
        State::Applying { stage, spent } => {
            forward::apply(rollout, seen, now, stage, spent + seen.elapsed)
        }
        State::Verifying { spent, healthy, failing } => {
            forward::verify(rollout, seen, now, [spent + seen.elapsed, healthy, failing])
        }
        State::Pruning { spent } => forward::prune(rollout, seen, now, spent + seen.elapsed),
        State::Rejected { reason, again } => settled::rejected(rollout, seen, now, reason, again),
        State::Available => settled::available(rollout, seen, now),
        State::RolledBack { .. } | State::Failed { .. } => settled::ended(rollout, seen, now),
        State::RollingBack { back, cause, asked, spent } => back::advance(
            rollout,
            seen,
            now,
            back::Going { back, cause, asked, spent: spent + seen.elapsed },
        ),
        // The deletionTimestamp never goes away: this is a ManagedAddOn made anew under the same name.
        State::Removing { .. } => Rollout { state: State::Pending, ..rollout },
    }
}

/// What the state asks to be done.
fn due(rollout: &Rollout, seen: &Observation) -> Option<Action> {
    let target = || rollout.operation.as_ref().and_then(|operation| operation.target.clone());
    let from = rollout.current.clone();
    match &rollout.state {
        State::Pending | State::Waiting { .. } => begin::due(rollout, seen),
        State::Pulling => Some(Action::Pull),
        State::Staging => Some(Action::Stage),
        State::Checking { .. } => Some(Action::Check { release: target()?, from }),
        State::Applying { stage, .. } => {
            let stage = Stage::numbered(*stage)?;
            Some(Action::Apply { release: target()?, stage, back: false })
        }
        State::Pruning { .. } => {
            let of = rollout.touched.iter().cloned().chain(from).collect();
            Some(Action::Prune { keep: target(), of, only_extensions: false })
        }
        State::RollingBack { back, .. } => back::due(rollout, back),
        State::Rejected { again, .. } => match again {
            None => settled::due(rollout, seen),
            Some(Again::Begin) => None,
            Some(Again::Pull) => Some(Action::Pull),
            Some(Again::Stage) => Some(Action::Stage),
            Some(Again::Check) => Some(Action::Check { release: target()?, from }),
        },
        State::Verifying { .. } => None,
        State::Available | State::RolledBack { .. } | State::Failed { .. } => {
            settled::due(rollout, seen)
        }
        State::Removing { done } => Some(removal::due(rollout, seen, *done)),
    }
}

fn wake(rollout: &Rollout, moved: bool) -> Option<Duration> {
    if !rollout.patience.rest.is_zero() {
        return Some(rollout.patience.rest);
    }
    match &rollout.state {
        State::Verifying { .. } | State::RollingBack { back: Back::Verify { .. }, .. } => {
            Some(if moved { Duration::ZERO } else { LOOK })
        }
        State::Pending
        | State::Waiting { .. }
        | State::Pulling
        | State::Staging
        | State::Checking { .. }
        | State::Applying { .. }
        | State::Pruning { .. }
        | State::Available
        | State::Rejected { .. }
        | State::RollingBack { .. }
        | State::RolledBack { .. }
        | State::Failed { .. }
        | State::Removing { .. } => None,
    }
}

impl Rollout {
    /// Goes to a state; patience starts anew.
    fn to(self, state: State) -> Self {
        Self { state, patience: Patience::default(), ..self }
    }

    /// Tries the same again in a while: a passing fault changes nothing but the message.
    fn retry(mut self, fault: &Fault, jitter: f64) -> Self {
        let tries = self.patience.tries.saturating_add(1);
        let longest = Duration::from_secs(1 << (tries - 1).min(6)).min(LONGEST_REST);
        self.patience = Patience { tries, rest: longest.mul_f64(0.5 + jitter / 2.0) };
        self.say(fault.message.clone())
    }

    /// What a person should read now.
    fn say(mut self, message: impl Into<String>) -> Self {
        if let Some(operation) = &mut self.operation {
            operation.message = message.into();
        }
        self
    }

    /// Refuses the assignment before the first write.
    fn reject(self, fault: Fault, again: Again, seen: &Observation, now: Timestamp) -> Self {
        // A version that was to take another's place in mid-rollout: what is half there cannot stay.
        if again != Again::Begin && !self.untouched() {
            return self.fail(fault, seen, now);
        }
        let again = match fault.reason.owner() {
            Owner::Environment => Some(again),
            Owner::Assignment | Owner::Nobody => None,
        };
        let reason = fault.reason;
        let mut rollout = self.finish(crate::OperationResult::Failed, fault, now);
        if let Some(operation) = &mut rollout.operation {
            operation.asked = seen.asked();
        }
        let mut rollout = rollout.to(State::Rejected { reason, again });
        if again.is_some() {
            rollout.patience.rest = LOOK_AGAIN.mul_f64(0.75 + seen.jitter / 2.0);
        }
        rollout
    }

    /// Nothing of any release but the current one is in the cluster.
    fn untouched(&self) -> bool {
        self.touched.iter().all(|touched| Some(touched) == self.current.as_ref())
    }

    /// Gives up what is being rolled out, after the first write.
    fn fail(self, fault: Fault, seen: &Observation, now: Timestamp) -> Self {
        let target = self.operation.as_ref().and_then(|operation| operation.target.as_ref());
        let nowhere_to_go = target.is_some() && target == self.current.as_ref();
        if nowhere_to_go || seen.policy().on_failure == crate::OnFailure::Hold {
            let rollout = self.finish(crate::OperationResult::Failed, fault.clone(), now);
            return rollout.to(State::Failed { cause: fault });
        }
        back::begin(self, fault, false, seen, now)
    }
}

/// What an outcome says, if it is the one awaited.
fn outcome(seen: &Observation) -> Option<&Outcome> {
    seen.outcome.as_ref()
}

fn timed_out(message: impl Into<String>) -> Fault {
    Fault::new(Reason::TimedOut, message)
}
