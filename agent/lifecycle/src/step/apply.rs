//! From begun to Available.

use std::time::Duration;

use jiff::Timestamp;

use super::{TRIES_TO_CHECK, TRIES_TO_WRITE, begin, rollback, timed_out};
use crate::api::{OperationKind, OperationResult};
use crate::health::{HookStatus, Verdict};
use crate::ledger::left_behind::{Leftover, describe_leftovers};
use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::observation::{Observation, Outcome, Report};
use crate::plan::Wave;
use crate::reason::{Fault, Reason};

/// How long a check that the API server cannot finish is tried before it counts as refused.
const UNSURE: Duration = Duration::from_secs(30);

/// An object may say that it failed because of what ran before; after this long it means this version.
const FAILED_GRACE: Duration = Duration::from_secs(10);

/// What one look at health can vouch for: what happened between two looks far apart, nobody saw.
const VOUCHED: Duration = Duration::from_secs(5);

/// A pull or a staging that fails in passing is tried so often, about three minutes in all; then it counts as refused.
const TRIES: u32 = 10;

/// How long removing leftovers is tried. The version is healthy by then, so leftovers are told, not rolled back for.
const PRUNE_PATIENCE: Duration = Duration::from_secs(120);

/// Pulling, Staging, Checking: nothing is written yet, so a new assignment simply takes the place.
pub(super) fn prepare(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    again: RetryFrom,
) -> Rollout {
    if let Some(ended) = ended(&rollout, seen, now, again) {
        return ended;
    }
    let rollout = unsure_longer(rollout, seen);
    let Some(outcome) = seen.outcome.as_ref() else { return rollout };
    let rollout = remember(rollout, outcome);
    match (outcome, again) {
        (Outcome::Pulled, RetryFrom::Pull) => rollout.say("").to(State::Staging),
        (Outcome::Staged, RetryFrom::Stage) => {
            begin::verified(rollout).say("").to(State::Checking { unsure: Duration::ZERO })
        }
        (Outcome::Checked(report), RetryFrom::Check) => {
            let rollout = rollout.judged(report);
            if !needs_hooks(&rollout, report) {
                return checked(rollout, seen, now);
            }
            held_up(&rollout, seen, now)
                .unwrap_or_else(|| rollout.say("").to(State::PreUpgrade { spent: Duration::ZERO }))
        }
        (Outcome::Missing, _) => pull_anew(rollout, seen),
        (Outcome::Failed(fault), RetryFrom::Check) if fault.transient => {
            unsure(rollout, fault, seen, now)
        }
        (Outcome::Failed(fault), RetryFrom::Check)
            if rollout.may_be_mended(fault, TRIES_TO_CHECK) =>
        {
            rollout.retry(fault, seen.jitter)
        }
        (Outcome::Failed(fault), _) if fault.transient && rollout.retry_state.attempts < TRIES => {
            rollout.retry(fault, seen.jitter)
        }
        (Outcome::Failed(fault), _) => rollout.reject(fault.clone(), again, seen, now),
        _ => rollout,
    }
}

/// How what runs stood before the first write; from then on it is not the running version's doing alone.
fn remember(mut rollout: Rollout, outcome: &Outcome) -> Rollout {
    if let Outcome::Checked(report) = outcome
        && rollout.untouched()
    {
        rollout.before = report.before.clone();
    }
    rollout
}

/// By another assignment, or because it ended the agent again and again.
fn ended(
    rollout: &Rollout,
    seen: &Observation,
    now: Timestamp,
    again: RetryFrom,
) -> Option<Rollout> {
    replaced(rollout, seen, now).or_else(|| {
        let fault = rollout.crash_loop()?;
        Some(rollout.clone().reject(fault, again, seen, now))
    })
}

/// By another assignment, while nothing of this one is written.
fn replaced(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Rollout> {
    if !rollout.untouched() {
        return redirected(rollout, seen, now);
    }
    if answers(rollout, seen) {
        return None;
    }
    let rollout = begin::supersede(rollout.clone(), now);
    Some(begin::advance(rollout.to(State::Pending), seen, now))
}

/// Going to an older version re-runs no hook, and before an install there is nothing to prepare.
fn needs_hooks(rollout: &Rollout, report: &Report) -> bool {
    let kind = rollout.operation.as_ref().map(|operation| operation.kind);
    report.pre_upgrade && kind == Some(OperationKind::Upgrade)
}

/// Hooks that run before the first write. Whatever keeps them from ending well refuses the upgrade.
pub(super) fn pre_upgrade(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    spent: Duration,
) -> Rollout {
    if let Some(ended) = ended(&rollout, seen, now, RetryFrom::Check) {
        return ended;
    }
    let rollout = Rollout { state: State::PreUpgrade { spent }, ..rollout };
    let late = spent >= seen.policy().timeout;
    let refuse = |rollout: Rollout, why: String| {
        let fault = Fault::new(Reason::HookFailed, why);
        rollout.request_evidence(&fault).reject(fault, RetryFrom::Check, seen, now)
    };
    match seen.outcome.as_ref() {
        Some(Outcome::Hooked(HookStatus::Succeeded)) => checked(rollout, seen, now),
        Some(Outcome::Hooked(HookStatus::Failed(what))) => {
            refuse(rollout, format!("a hook before the upgrade failed: {what}"))
        }
        Some(Outcome::Hooked(HookStatus::Running(what) | HookStatus::NotStarted(what))) if late => {
            let why = format!("a hook before the upgrade took too long: waiting for {what}");
            refuse(rollout, why)
        }
        Some(Outcome::Hooked(HookStatus::Running(what) | HookStatus::NotStarted(what))) => {
            let waiting = format!("waiting for {what}");
            rollout.retry(&Fault::transient(Reason::Progressing, waiting), seen.jitter)
        }
        Some(Outcome::Missing) => pull_anew(rollout, seen),
        Some(Outcome::Failed(fault)) if fault.transient && !late => {
            rollout.retry(fault, seen.jitter)
        }
        Some(Outcome::Failed(fault)) if fault.transient => rollout.reject(
            Fault::new(Reason::CheckFailed, fault.message.clone()),
            RetryFrom::Check,
            seen,
            now,
        ),
        Some(Outcome::Failed(fault)) => rollout.reject(fault.clone(), RetryFrom::Check, seen, now),
        _ => rollout,
    }
}

/// Nothing new is written while somebody holds it up. What is half there already is not left so.
fn held_up(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Rollout> {
    if !rollout.untouched() {
        return None;
    }
    if let Some(fault) = begin::conflict(rollout, seen) {
        return Some(rollout.clone().reject(fault, RetryFrom::Begin, seen, now));
    }
    let why = begin::blocked(rollout, seen, now).or_else(|| begin::objection(rollout, seen))?;
    Some(rollout.clone().hold_up(why))
}

/// What was pulled is not at hand any more. A store that keeps losing it is not asked without a pause.
fn pull_anew(rollout: Rollout, seen: &Observation) -> Rollout {
    // Something else is asked by now: then nothing is pulled.
    if rollout.untouched() && !answers(&rollout, seen) {
        return rollout.to(State::Pulling);
    }
    let lost = Fault::transient(Reason::RetainFailed, "the bundle is not at hand any more");
    rollout.to(State::Pulling).retry(&lost, seen.jitter)
}

/// Whether what is going on is still what is asked. A changed policy or a retry asks for nothing else.
fn answers(rollout: &Rollout, seen: &Observation) -> bool {
    rollout.target().is_some() && rollout.target() == seen.wanted()
}

/// The last moment before the first write.
fn checked(rollout: Rollout, seen: &Observation, now: Timestamp) -> Rollout {
    if let Some(waiting) = held_up(&rollout, seen, now) {
        return waiting;
    }
    let mut rollout = rollout;
    if let Some(target) = rollout.target().cloned()
        && !rollout.touched.contains(&target)
    {
        rollout.touched.push(target);
    }
    rollout.say_warnings().to(State::Applying { stage: 0, spent: Duration::ZERO })
}

fn unsure(rollout: Rollout, fault: &Fault, seen: &Observation, now: Timestamp) -> Rollout {
    let State::Checking { unsure } = rollout.state else { return rollout };
    if unsure >= UNSURE {
        let fault = Fault::new(Reason::CheckFailed, fault.message.clone());
        return rollout.reject(fault, RetryFrom::Check, seen, now);
    }
    rollout.retry(fault, seen.jitter)
}

/// From the first fruitless try on, the rests between the tries count as well.
fn unsure_longer(rollout: Rollout, seen: &Observation) -> Rollout {
    let failed = matches!(&seen.outcome, Some(Outcome::Failed(fault)) if fault.transient);
    let mut rollout = rollout;
    if let State::Checking { unsure } = &mut rollout.state
        && (failed || rollout.retry_state.attempts > 0)
    {
        *unsure = unsure.saturating_add(seen.elapsed);
    }
    rollout
}

/// From the first write on, a new assignment that can be followed changes the target in place. While nothing
/// new may start, what is under way is finished first, unless it is to go back.
fn redirected(rollout: &Rollout, seen: &Observation, now: Timestamp) -> Option<Rollout> {
    if answers(rollout, seen) {
        return None;
    }
    let assignment = seen.assignment.as_deref().ok()?;
    if rollout.current.as_ref() == Some(&assignment.release) {
        let why = begin::returning(assignment);
        return Some(rollback::begin(rollout.clone(), why, true, seen, now));
    }
    let assignment = begin::refusal(rollout, seen).ok()?;
    if begin::held(rollout, seen, now).is_some() {
        return None;
    }
    Some(begin::start(begin::open(rollout.clone(), seen, now), assignment, seen))
}

pub(super) fn apply(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    stage: u32,
    spent: Duration,
) -> Rollout {
    if let Some(redirected) = redirected(&rollout, seen, now) {
        return redirected;
    }
    if let Some(fault) = rollout.crash_loop() {
        return rollout.fail(fault, seen, now);
    }
    let late = spent >= seen.policy().timeout;
    let rollout = Rollout { state: State::Applying { stage, spent }, ..rollout };
    match seen.outcome.as_ref() {
        Some(Outcome::Applied { wave, .. }) if Some(*wave) == Wave::numbered(stage) => {
            let state = match Wave::numbered(stage + 1) {
                Some(_) => State::Applying { stage: stage + 1, spent },
                None => State::Verifying { spent, healthy: None, failing: Duration::ZERO },
            };
            rollout.say_warnings().to(state)
        }
        Some(Outcome::Missing) => pull_anew(rollout, seen),
        Some(Outcome::Failed(fault)) if rollout.may_be_mended(fault, TRIES_TO_WRITE) && !late => {
            rollout.retry(fault, seen.jitter)
        }
        Some(Outcome::Failed(fault)) if !fault.transient => rollout.fail(fault.clone(), seen, now),
        Some(Outcome::Failed(fault)) if late => {
            let message = format!("not everything could be applied: {}", fault.message);
            rollout.fail(timed_out(message), seen, now)
        }
        Some(Outcome::Failed(fault)) => rollout.retry(fault, seen.jitter),
        _ => rollout,
    }
}

pub(super) fn verify(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    spent: Duration,
    healthy: Option<Duration>,
    failing: Duration,
) -> Rollout {
    if let Some(redirected) = redirected(&rollout, seen, now) {
        return redirected;
    }
    if let Some(fault) = rollout.crash_loop() {
        return rollout.fail(fault, seen, now);
    }
    // A hook that could not be begun.
    if let Some(Outcome::Failed(fault)) = seen.outcome.as_ref()
        && !fault.transient
    {
        return rollout.fail(fault.clone(), seen, now);
    }
    let policy = seen.policy();
    let to = |healthy, failing| State::Verifying { spent, healthy, failing };
    let longer = |so_far: Duration| so_far.saturating_add(vouched(seen));
    let soaked = soaked(healthy, seen);
    match &seen.verdict {
        None if spent >= policy.timeout => {
            rollout.fail(timed_out("its health could not be told in time"), seen, now)
        }
        None => Rollout { state: to(healthy, failing), ..rollout },
        Some(verdict @ (Verdict::Healthy | Verdict::Tolerated(_))) if soaked >= policy.soak => {
            let but = verdict.healthy_message().unwrap_or_default().to_owned();
            rollout.say("").to(State::Pruning { spent: Duration::ZERO, but })
        }
        Some(verdict @ (Verdict::Healthy | Verdict::Tolerated(_))) => {
            let state = to(Some(soaked), Duration::ZERO);
            let but = noted(verdict.healthy_message().unwrap_or_default());
            let message = format!("healthy; watching whether it stays so{but}");
            Rollout { state, ..rollout }.say(message)
        }
        Some(Verdict::Failed(what)) if longer(failing) >= FAILED_GRACE => {
            rollout.fail(Fault::new(Reason::Unhealthy, what.clone()), seen, now)
        }
        Some(Verdict::AwaitingHooks { awaited, .. }) if spent >= policy.timeout => {
            rollout.fail(timed_out(format!("not verified in time: {awaited}")), seen, now)
        }
        // The soak comes after: it also sees what the verification left behind.
        Some(Verdict::AwaitingHooks { awaited, .. }) => {
            let state = to(healthy, Duration::ZERO);
            Rollout { state, ..rollout }.say(format!("healthy; verifying: waiting for {awaited}"))
        }
        Some(Verdict::Failed(what) | Verdict::InProgress(what)) if spent >= policy.timeout => {
            rollout.fail(timed_out(format!("not healthy in time: {what}")), seen, now)
        }
        Some(Verdict::Failed(what)) => {
            let state = to(None, longer(failing));
            Rollout { state, ..rollout }.say(what.clone())
        }
        Some(Verdict::InProgress(what)) => {
            let state = to(None, Duration::ZERO);
            Rollout { state, ..rollout }.say(format!("waiting for {what}"))
        }
    }
}

/// How long health has been seen without a break, if it is seen now. The first look that sees it speaks for no time before.
pub(super) fn soaked(healthy: Option<Duration>, seen: &Observation) -> Duration {
    healthy.map_or(Duration::ZERO, |so_far| so_far.saturating_add(vouched(seen)))
}

/// How much of the time since the last look this look speaks for.
pub(super) fn vouched(seen: &Observation) -> Duration {
    seen.elapsed.min(VOUCHED)
}

pub(super) fn prune(
    rollout: Rollout,
    seen: &Observation,
    now: Timestamp,
    (spent, but): (Duration, String),
) -> Rollout {
    if let Some(redirected) = redirected(&rollout, seen, now) {
        return redirected;
    }
    if let Some(fault) = rollout.crash_loop() {
        return commit(rollout, &[Leftover::GivenUp { cause: fault }], &but, now);
    }
    let state = State::Pruning { spent, but: but.clone() };
    let rollout = Rollout { state, ..rollout };
    match seen.outcome.as_ref() {
        Some(Outcome::Pruned { leftovers }) if rollout.is_going(leftovers) => {
            rollout.await_end_of(leftovers, seen.jitter)
        }
        Some(Outcome::Pruned { leftovers }) => commit(rollout, leftovers, &but, now),
        Some(Outcome::Failed(fault)) if rollout.may_pass(fault) && spent < PRUNE_PATIENCE => {
            rollout.retry(fault, seen.jitter)
        }
        Some(Outcome::Failed(fault)) => {
            commit(rollout, &[Leftover::GivenUp { cause: fault.clone() }], &but, now)
        }
        Some(Outcome::Missing) if is_at_hand(&rollout, seen) => {
            commit(rollout, &[Leftover::LostBaseline], &but, now)
        }
        Some(Outcome::Missing) => pull_anew(rollout, seen),
        _ => rollout,
    }
}

fn is_at_hand(rollout: &Rollout, seen: &Observation) -> bool {
    rollout.target().is_some_and(|target| seen.is_retained(&target.id))
}

/// Said of what is not whole and was not before.
fn noted(but: &str) -> String {
    if but.is_empty() { String::new() } else { format!("; but {but}") }
}

/// The version runs.
fn commit(rollout: Rollout, leftovers: &[Leftover], but: &str, now: Timestamp) -> Rollout {
    let mut rollout = rollout.record_leftovers(leftovers);
    let Some(operation) = rollout.operation.clone() else { return rollout };
    let Some(target) = operation.target else { return rollout };
    let version = target.version.clone();
    if rollout.current.as_ref() != Some(&target) {
        rollout.previous = rollout.current.replace(target);
        rollout.requires = operation.requires;
        rollout.transitions = rollout.transitions.saturating_add(1);
    }
    rollout.touched.clear();
    rollout.before.clear();
    let reason = match operation.kind {
        OperationKind::Install => Reason::InstallSucceeded,
        OperationKind::Upgrade => Reason::UpgradeSucceeded,
        OperationKind::Rollback | OperationKind::Uninstall => Reason::RollbackSucceeded,
    };
    let message = format!("{version} is available{}{}", noted(but), describe_leftovers(leftovers));
    let done = Fault::new(reason, message);
    rollout.finish(OperationResult::Succeeded, done, now).to(State::Available)
}
