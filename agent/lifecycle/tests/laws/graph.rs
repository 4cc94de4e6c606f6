//! The phase diagram: which phase one look may lead to. What is begun and blocked in one look passes through `Pending`
//! unseen. Every phase may also stay, and every phase leads to `Removing`.

use lifecycle::Phase::{self, *};

pub const ARROWS: &[(Phase, &[Phase])] = &[
    (Pending, &[Waiting, Pulling, Checking, Rejected, Available, Removing]),
    (Waiting, &[Pending, Pulling, Checking, Rejected, Available, RollingBack, Removing]),
    // Before the first write a new assignment begins anew; a version that was to replace one in mid-rollout fails.
    (Pulling, &[Staging, Waiting, Checking, Rejected, Available, RollingBack, Failed, Removing]),
    (Staging, &[Checking, Pulling, Waiting, Rejected, Available, RollingBack, Failed, Removing]),
    (Checking, &[Applying, Pulling, Waiting, Rejected, Available, RollingBack, Failed, Removing]),
    // From the first write on: forward, to another target in place, or back.
    (Applying, &[Verifying, Pulling, Checking, RollingBack, Failed, Removing]),
    (Verifying, &[Pruning, Pulling, Checking, RollingBack, Failed, Removing]),
    (Pruning, &[Available, Pulling, Checking, RollingBack, Removing]),
    (RollingBack, &[RolledBack, Available, Failed, Removing]),
    // At rest: only a new assignment, a retry, or the look again at a refusal.
    (Available, &[Waiting, Pulling, Checking, Rejected, Removing]),
    (Rejected, &[Pending, Waiting, Pulling, Checking, Available, RollingBack, Removing]),
    (RolledBack, &[Waiting, Pulling, Checking, Rejected, Available, Removing]),
    (Failed, &[Waiting, Pulling, Checking, Rejected, RollingBack, Removing]),
    (Removing, &[]),
];

pub fn leads(from: Phase, to: Phase) -> bool {
    from == to || ARROWS.iter().any(|(phase, next)| *phase == from && next.contains(&to))
}
