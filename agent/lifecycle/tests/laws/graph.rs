//! The phase diagram: to which phases one step may lead. What starts and waits in one step passes through `Pending`
//! unseen. Every phase may also stay, and every phase leads to `Removing`.

use lifecycle::Phase::{self, *};

pub const ARROWS: &[(Phase, &[Phase])] = &[
    (Pending, &[Waiting, Pulling, Checking, Rejected, Available, Removing]),
    (Waiting, &[Pending, Pulling, Checking, Rejected, Available, RollingBack, Removing]),
    // Before the first write another assignment starts afresh; a version that was to replace one in mid-rollout fails.
    (Pulling, &[Staging, Waiting, Checking, Rejected, Available, RollingBack, Failed, Removing]),
    (Staging, &[Checking, Pulling, Waiting, Rejected, Available, RollingBack, Failed, Removing]),
    (Checking, &[Applying, Pulling, Waiting, Rejected, Available, RollingBack, Failed, Removing]),
    // From the first write on: forward, to another target, or back.
    (Applying, &[Verifying, Pulling, Checking, RollingBack, Failed, Removing]),
    (Verifying, &[Pruning, Pulling, Checking, RollingBack, Failed, Removing]),
    (Pruning, &[Available, Pulling, Checking, RollingBack, Removing]),
    (RollingBack, &[RolledBack, Available, Failed, Removing]),
    // At rest: only another assignment, a retry, or the retry of a rejection by itself.
    (Available, &[Waiting, Pulling, Checking, Rejected, Removing]),
    (Rejected, &[Pending, Waiting, Pulling, Checking, Available, RollingBack, Removing]),
    (RolledBack, &[Waiting, Pulling, Checking, Rejected, Available, Removing]),
    // A rollback that was given up goes on at long intervals.
    (Failed, &[Waiting, Pulling, Checking, Rejected, RollingBack, RolledBack, Available, Removing]),
    (Removing, &[]),
];

pub fn leads(from: Phase, to: Phase) -> bool {
    from == to || ARROWS.iter().any(|(phase, next)| *phase == from && next.contains(&to))
}
