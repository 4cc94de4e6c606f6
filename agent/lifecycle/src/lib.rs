//! The decisions of an add-on's life: pure types and functions, no I/O, no clock, no async.
//!
//! ```text
//!                    ┌──────────────────── another release is assigned ────────────────────┐
//!                    ▼                                                                     │
//!  Pending ◄─► Waiting ─► Pulling ─► Staging ─► Checking ─► Applying ─► Verifying ─► Pruning ─► Available
//!     │                      └──────────┴──────────┤           └────────────┴───────────┘        │ ▲
//!     └──────────► Rejected ◄──────────────────────┘                        │ fails, or is       │ │
//!                  (nothing was written)                                    ▼ rolled back        │ │
//!                                              Failed ◄────────────── RollingBack ───────────────┼─┘ requested
//!                                       (held, or nothing           │                            │
//!                                        to roll back to)           └─► RolledBack               │
//!                                                                                                │
//!  from everywhere, when the ManagedAddOn is deleted: Removing ◄─────────────────────────────────┘
//! ```
//!
//! [`step`] takes the saved [`Rollout`], which is the content of the ledger, one [`Observation`] and the time. It returns the
//! next rollout and at most one [`Action`]. The agent saves the rollout, executes the action and observes again. `tests/laws.rs` has the laws that hold
//! after every step, `tests/table/` a test for each arrow of the diagram, `tests/stories/` whole stories. The state
//! `PreUpgrade`, in which hooks run before the first write, is shown as phase `Checking`.

#![warn(missing_docs)]

pub mod api;
pub mod at_rest;
pub mod bundle;
pub mod crd_compat;
mod deletion;
pub mod dependencies;
pub mod evidence;
pub mod health;
mod kind;
mod ledger;
pub mod managed_fields;
pub mod names;
mod object;
mod observation;
mod obstacle;
pub mod ownership;
pub mod plan;
mod reason;
pub mod redaction;
pub mod rollback_safety;
pub mod spec;
mod status;
mod step;

pub use api::*;
pub use bundle::limits::MAX_BUNDLE_BYTES;
pub use bundle::release::{Release, ReleaseId, ServiceAccount, Shape, digest, hex};
pub use deletion::{DeletionIntent, EVICTED, ORDERED, applied_manifest_works, is_klusterlet_owned};
pub use dependencies::{Dependencies, PeerState, PeerStates};
pub use kind::KnownKind;
pub use ledger::failure::Failure;
pub use ledger::left_behind::{KeptObject, Leftover};
pub use ledger::operation::{AssignmentKey, Operation};
pub use ledger::retained::{Retained, RetainedState};
pub use ledger::retry::RetryState;
pub use ledger::rollout::{FORMAT, Rollout};
pub use ledger::state::{RetryFrom, Rollback, RollbackStep, State, Verification};
pub use object::{Object, ObjectKey};
pub use observation::{Action, CheckReport, Direction, Observation, Outcome};
pub use obstacle::Obstacle;
pub use reason::{ActionableBy, Fault, Reason, printable};
pub use rollback_safety::{Blocker, RollbackSafety, Unknown};
pub use spec::assignment::Assignment;
pub use spec::policy::Policy;
pub use spec::pull::Pull;
pub use spec::requirement::Requirement;
pub use status::{StatusContext, reason, status};
pub use step::{Step, step};
