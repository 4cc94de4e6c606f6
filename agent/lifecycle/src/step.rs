//! The transition table: the saved rollout, one look at the world and the time make the new rollout and at most one
//! action. Total and pure; all waiting is counted in time spent.

mod apply;
mod at_rest;
mod begin;
mod rollback;
mod uninstall;

use std::time::Duration;

use jiff::Timestamp;

use crate::bundle::hook::Hook;
use crate::deletion::DeletionIntent;
use crate::health::Verdict;
use crate::ledger::left_behind::{Leftover, list_leftovers};
use crate::ledger::rollout::{RetryState, Rollout};
use crate::ledger::state::{RetryFrom, State};
use crate::observation::{Action, Direction, Observation, Outcome, Report};
use crate::plan::Wave;
use crate::reason::{ActionableBy, Fault, Reason, printable};
use crate::spec::duration::whole_seconds;

/// How often health is looked at while it decides.
const LOOK: Duration = Duration::from_secs(1);

/// Retries after a passing fault: 1 s, doubling, at most this.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// What was told to go goes within seconds, a namespace after five: it is looked for this often at first, and so many
/// times.
const GOING: Duration = Duration::from_secs(2);
const LOOKS_AT_GOING: u32 = 20;

/// How often a refusal that is the environment's to mend is looked at again, ± 25 %.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// What waits for a time looks at the clock this often at least: clocks are set, and machines sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60 * 60);

/// Tries in which removed objects may go for good, about a minute: a namespace takes some seconds.
const TRIES_TO_GO: u32 = 7;

/// Tries, some twenty seconds, in which a refusal to write what the check found allowed may pass.
const TRIES_TO_WRITE: u32 = 5;

/// Tries, a few seconds, in which a refusal that the environment could mend may pass before the first write.
const TRIES_TO_CHECK: u32 = 2;

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub rollout: Rollout,
    pub action: Option<Action>,
    /// When to look again if nothing happens before.
    pub wake: Option<Duration>,
}

pub fn step(rollout: Rollout, seen: &Observation, now: Timestamp) -> Step {
    let now = whole_seconds(now);
    let mut rollout = rollout;
    rollout.retry_state.backoff = rollout.retry_state.backoff.saturating_sub(seen.elapsed);
    if seen.outcome.is_some() || seen.verdict.is_some() {
        rollout.retry_state.crashes = 0;
    }
    let place = |rollout: &Rollout| (rollout.state.but_for_time(), rollout.failure.is_some());
    let before = place(&rollout);
    let rollout = advance(rollout, seen, now);
    let mut rollout = match &seen.assignment {
        Ok(assignment) => rollout.remember_needs(assignment),
        Err(_) => rollout,
    };
    let moved = place(&rollout) != before;
    let due = due(&rollout, seen);
    // What led nowhere is not done again at once, whoever asks for it.
    let nowhere = seen.outcome.is_some() && !moved && due.is_some();
    if nowhere && rollout.retry_state.backoff.is_zero() {
        rollout.retry_state = rollout.retry_state.longer(seen.jitter);
    }
    let action = due.filter(|_| rollout.retry_state.backoff.is_zero());
    let wake = if action.is_some() { None } else { wake(&rollout, seen, now, moved) };
    Step { rollout, action, wake }
}

/// The new state.
fn advance(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    match seen.deletion_intent {
        DeletionIntent::Ordered => return uninstall::advance(rollout, seen, now),
        // Until it is known to be an order it changes nothing.
        DeletionIntent::None | DeletionIntent::Unconfirmed | DeletionIntent::Evicted => {}
    }
    if rollout.failure.is_some() {
        return evidence(rollout, seen, now);
    }
    match rollout.state.clone() {
        State::Pending | State::Waiting { .. } => begin::advance(rollout, seen, now),
        State::Pulling => apply::prepare(rollout, seen, now, RetryFrom::Pull),
        State::Staging => apply::prepare(rollout, seen, now, RetryFrom::Stage),
        State::Checking { .. } => apply::prepare(rollout, seen, now, RetryFrom::Check),
        State::PreUpgrade { spent } => {
            apply::pre_upgrade(rollout, seen, now, spent.saturating_add(seen.elapsed))
        }
        State::Applying { stage, spent } => {
            apply::apply(rollout, seen, now, stage, spent.saturating_add(seen.elapsed))
        }
        State::Verifying { spent, healthy, failing } => {
            let spent = spent.saturating_add(apply::vouched(seen));
            apply::verify(rollout, seen, now, spent, healthy, failing)
        }
        State::Pruning { spent, but } => {
            apply::prune(rollout, seen, now, (spent.saturating_add(seen.elapsed), but))
        }
        State::Rejected { reason, again } => at_rest::rejected(rollout, seen, now, reason, again),
        State::Available => at_rest::available(rollout, seen, now),
        State::RolledBack { .. } | State::Failed { .. } => at_rest::ended(rollout, seen, now),
        State::RollingBack { back, cause, asked, spent } => {
            let more = if back.judged().is_some() { apply::vouched(seen) } else { seen.elapsed };
            let spent = spent.saturating_add(more);
            rollback::advance(rollout, seen, now, rollback::Going { back, cause, asked, spent })
        }
        State::Removing { done } => uninstall::made_anew(rollout, done),
    }
}

/// What was seen of a failure is kept before the way back destroys it. Where that ends the agent, or comes to nothing, the
/// way back goes on without.
fn evidence(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    let rollout = match &seen.outcome {
        Some(Outcome::Evidence(name)) => rollout.record_evidence(Some(name)),
        Some(_) => rollout.record_evidence(None),
        None if rollout.retry_state.is_crash_loop() => rollout.record_evidence(None),
        None => return rollout,
    };
    advance(rollout, &Observation { outcome: None, ..seen.clone() }, now)
}

/// What the state asks to be done.
fn due(rollout: &Rollout, seen: &Observation) -> Option<Action> {
    if seen.deletion_intent == DeletionIntent::Evicted {
        return Some(Action::Recreate);
    }
    if let Some(failure) =
        rollout.failure.clone().filter(|_| seen.deletion_intent != DeletionIntent::Ordered)
    {
        return Some(Action::Evidence { failure });
    }
    let target = || rollout.target().cloned();
    let from = rollout.current.clone();
    match &rollout.state {
        State::Pending | State::Waiting { .. } => begin::due(rollout, seen),
        State::Pulling => Some(Action::Pull),
        State::Staging => Some(Action::Stage),
        State::Checking { .. } => Some(Action::Check { release: target()?, from }),
        State::PreUpgrade { .. } => hooks(rollout, seen, Hook::PreUpgrade),
        State::Applying { stage, .. } => {
            let stage = Wave::numbered(*stage)?;
            let direction = Direction::Forward { adopt: seen.policy().adopt };
            Some(Action::Apply { release: target()?, stage, direction })
        }
        State::Pruning { .. } => {
            let of = rollout.touched.iter().cloned().chain(from).collect();
            let in_order = rollout.prunes_in_order();
            Some(Action::Prune { keep: target(), of, only_extensions: false, in_order })
        }
        State::RollingBack { back, .. } => rollback::due(rollout, back),
        State::Rejected { again, .. } => match again {
            None => at_rest::due(rollout, seen),
            Some(RetryFrom::Begin) => None,
            Some(RetryFrom::Pull) => Some(Action::Pull),
            Some(RetryFrom::Stage) => Some(Action::Stage),
            Some(RetryFrom::Check) => Some(Action::Check { release: target()?, from }),
        },
        State::Verifying { .. } => match seen.verdict {
            Some(Verdict::AwaitingHooks { started: false, .. })
                if rollout.verify_run().is_some() =>
            {
                hooks(rollout, seen, Hook::Verify)
            }
            _ => None,
        },
        State::Available | State::RolledBack { .. } | State::Failed { .. } => {
            at_rest::due(rollout, seen)
        }
        State::Removing { done } => Some(uninstall::due(rollout, seen, *done)),
    }
}

fn hooks(rollout: &Rollout, seen: &Observation, hook: Hook) -> Option<Action> {
    let operation = rollout.operation.as_ref()?;
    let (release, run) = (operation.target.clone()?, operation.hook_run());
    Some(Action::Hook { release, hook, run, within: seen.policy().timeout })
}

fn wake(rollout: &Rollout, seen: &Observation, now: Timestamp, moved: bool) -> Option<Duration> {
    if !rollout.retry_state.backoff.is_zero() {
        return Some(rollout.retry_state.backoff);
    }
    // Another state may want something else of the same world.
    if moved {
        return Some(Duration::ZERO);
    }
    if rollout.state == (State::Waiting { reason: Reason::OutsideWindow }) {
        let opens = begin::closed(rollout, seen, now).and_then(|closed| closed.wait(now));
        return Some(opens.map_or(LONGEST_SLEEP, |wait| wait.min(LONGEST_SLEEP)));
    }
    rollout.release_under_verification().map(|_| LOOK)
}

impl Rollout {
    /// Goes to a state; in another one patience starts anew.
    fn to(self, state: State) -> Self {
        let retry_state =
            if self.state == state { self.retry_state } else { RetryState::default() };
        Self { state, retry_state, ..self }
    }

    /// Waits, before the first write.
    fn hold_up(self, why: Fault) -> Self {
        let Fault { reason, message, .. } = why;
        self.say(message).to(State::Waiting { reason })
    }

    /// Tries the same again in a while: a passing fault changes nothing but the message.
    fn retry(mut self, fault: &Fault, jitter: f64) -> Self {
        self.retry_state = self.retry_state.longer(jitter);
        self.say(fault.message.clone())
    }

    /// Ends what is going on, if anything is: it came to nothing.
    fn close(self, why: Fault, now: Timestamp) -> Self {
        if self.is_open() { self.finish(crate::OperationResult::Failed, why, now) } else { self }
    }

    fn is_open(&self) -> bool {
        self.operation.as_ref().is_some_and(|operation| operation.completed.is_none())
    }

    /// Waits for what was removed to be gone, for a while.
    fn await_end_of(self, leftovers: &[Leftover], jitter: f64) -> Self {
        let waiting = format!("waiting for {} to be gone", list_leftovers(leftovers));
        self.retry(&Fault::transient(Reason::Progressing, waiting), jitter)
    }

    /// Looks again soon: what was told to go needs its time, and nothing failed.
    fn await_going(mut self, waiting: String, jitter: f64) -> Self {
        let longer = self.retry_state.longer(jitter);
        let soon = longer.attempts <= LOOKS_AT_GOING;
        self.retry_state = if soon { longer.at_most(GOING, jitter) } else { longer };
        self.say(waiting)
    }

    /// What was removed is not gone yet, and may be soon.
    fn is_going(&self, leftovers: &[Leftover]) -> bool {
        !leftovers.is_empty() && self.retry_state.attempts < TRIES_TO_GO
    }

    /// The last try goes through everything: what waits for a finalizer that nobody takes off must not keep the rest.
    fn prunes_in_order(&self) -> bool {
        self.retry_state.attempts < TRIES_TO_GO
    }

    /// A refusal to remove something may pass too, as rights that were taken come back; what is given up stays for good.
    fn may_pass(&self, fault: &Fault) -> bool {
        fault.transient || self.retry_state.attempts < TRIES_TO_GO
    }

    /// Why it is not gone on with: agents ended here again and again before anything came of it.
    fn crash_loop(&self) -> Option<Fault> {
        let doing = self.phase().name();
        self.retry_state.is_crash_loop().then(|| {
            let times = self.retry_state.crashes;
            let message = format!("the agent ended {times} times in a row while {doing}");
            Fault::new(Reason::CrashLoop, message)
        })
    }

    /// A refusal that the environment can mend, a right or a kind that is not there, may be a moment's.
    fn may_be_mended(&self, fault: &Fault, tries: u32) -> bool {
        match fault.reason.actionable_by() {
            ActionableBy::Environment => self.retry_state.attempts < tries,
            ActionableBy::Assignment | ActionableBy::Nobody => false,
        }
    }

    /// Keeps what the check had to say. From a first install there is nothing to go back to.
    fn judged(mut self, report: &Report) -> Self {
        let safety = report.rollback_safety.clone().filter(|_| self.current.is_some());
        if let Some(operation) = &mut self.operation {
            operation.rollback_safety = safety;
            operation.warnings = report.warnings.clone();
        }
        self
    }

    /// What the check warned of is said while the version is written.
    fn say_warnings(self) -> Self {
        let warnings = self.operation.as_ref().map_or(&[][..], |operation| &operation.warnings);
        let said = match warnings {
            [] => String::new(),
            some => format!("the check warns: {}", some.join("; ")),
        };
        self.say(said)
    }

    /// What a person should read now.
    fn say(mut self, message: impl Into<String>) -> Self {
        if let Some(operation) = &mut self.operation {
            operation.message = printable(&message.into());
        }
        self
    }

    /// Refuses the assignment before the first write.
    fn reject(self, fault: Fault, again: RetryFrom, seen: &Observation, now: Timestamp) -> Self {
        // A version that was to take another's place in mid-rollout: what is half there cannot stay.
        if again != RetryFrom::Begin && !self.untouched() {
            return self.fail(fault, seen, now);
        }
        let again = match fault.reason.actionable_by() {
            ActionableBy::Environment => Some(again),
            ActionableBy::Assignment | ActionableBy::Nobody => None,
        };
        let reason = fault.reason;
        let mut rollout = self.finish(crate::OperationResult::Failed, fault, now);
        if let Some(operation) = &mut rollout.operation {
            operation.asked = seen.asked();
        }
        let mut rollout = rollout.to(State::Rejected { reason, again });
        if again.is_some() {
            rollout.retry_state.backoff = LOOK_AGAIN.mul_f64(0.75 + seen.jitter / 2.0);
        }
        rollout
    }

    /// Nothing of any release but the current one is in the cluster.
    pub(crate) fn untouched(&self) -> bool {
        self.touched.iter().all(|touched| Some(touched) == self.current.as_ref())
    }

    /// Gives up what is being rolled out, after the first write.
    fn fail(self, fault: Fault, seen: &Observation, now: Timestamp) -> Self {
        let rollout = self.heard(seen);
        let nowhere_to_go =
            rollout.target().is_some() && rollout.target() == rollout.current.as_ref();
        if nowhere_to_go || seen.policy().on_failure == crate::OnFailure::Hold {
            let rollout = rollout.request_evidence(&fault);
            let rollout = rollout.finish(crate::OperationResult::Failed, fault.clone(), now);
            return rollout.to(State::Failed { cause: fault });
        }
        rollback::begin(rollout.request_evidence(&fault), fault, false, seen, now)
    }

    /// A retry that was asked for before there was a failure asks for nothing after it.
    fn heard(mut self, seen: &Observation) -> Self {
        if let Some(operation) = &mut self.operation
            && operation.target.as_ref() == seen.wanted()
        {
            operation.asked = seen.asked();
        }
        self
    }

    /// What is being gone to.
    fn target(&self) -> Option<&crate::Release> {
        self.operation.as_ref()?.target.as_ref()
    }
}

impl RetryState {
    /// One more try failed: rests 1 s, doubling.
    fn longer(&self, jitter: f64) -> Self {
        let attempts = self.attempts.saturating_add(1);
        let longest = Duration::from_secs(1 << (attempts - 1).min(6)).min(LONGEST_REST);
        Self { attempts, backoff: longest.mul_f64(0.5 + jitter / 2.0), ..self.clone() }
    }

    fn at_most(self, longest: Duration, jitter: f64) -> Self {
        Self { backoff: self.backoff.min(longest.mul_f64(0.5 + jitter / 2.0)), ..self }
    }
}

fn timed_out(message: impl Into<String>) -> Fault {
    Fault::new(Reason::TimedOut, message)
}
