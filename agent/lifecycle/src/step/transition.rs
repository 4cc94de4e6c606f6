//! Transitions: the decisions of the phases. They are carried out in [`super`] only, so that no phase calls another.

use crate::ledger::rollout::Rollout;
use crate::ledger::state::{RetryFrom, State};
use crate::reason::Fault;

/// A rollout as a phase leaves it, and where it goes from there.
pub(super) type Decision = (Rollout, Transition);

/// Where a rollout goes.
pub(super) enum Transition {
    /// It stays in its state.
    Stay,
    /// It enters this state.
    Enter(State),
    /// It waits in `Waiting` until the cause is gone.
    Wait(Fault),
    /// The assignment is looked at afresh, from `Pending`. An operation in progress is superseded.
    Supersede,
    /// The operation that answers the assignment begins. Its release is checked if it is retained, and pulled otherwise.
    Begin,
    /// The bundle is no longer at hand, and has to be pulled again.
    PullAgain,
    /// The assignment is rejected before the first write. A retry resumes at the step that refused it.
    Reject { fault: Fault, retry_from: RetryFrom },
    /// The operation failed after the first write.
    Fail(Fault),
    /// The last release that was available is restored. `requested`: an assignment requested it; otherwise a failure is the
    /// cause.
    RollBack { cause: Fault, requested: bool },
}
