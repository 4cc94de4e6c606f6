//! The decisions of an add-on's life: pure types and functions, no I/O, no clock, no async.
//!
//! ```text
//!                    ┌──────────────────── another release is assigned ────────────────────┐
//!                    ▼                                                                     │
//!  Pending ◄─► Waiting ─► Pulling ─► Staging ─► Checking ─► Applying ─► Verifying ─► Pruning ─► Available
//!     │                      └──────────┴──────────┤           └────────────┴───────────┘        │ ▲
//!     └──────────► Rejected ◄──────────────────────┘                        │ fails, or          │ │
//!                  (nothing was written)                                    ▼ goes back          │ │
//!                                              Failed ◄────────────── RollingBack ───────────────┼─┘ asked for
//!                                       (held, or nothing           │                            │
//!                                        to go back to)             └─► RolledBack               │
//!                                                                                                │
//!  from everywhere, when the ManagedAddOn is deleted: Removing ◄─────────────────────────────────┘
//! ```
//!
//! [`step`] takes the saved [`Rollout`], one [`Observation`] and the time, and returns the new rollout and at most one
//! [`Action`]. The shell saves, acts, and looks again. The laws it keeps are in `tests/laws.rs`, each arrow in
//! `tests/table/`, whole stories in `tests/stories/`.

pub mod adoption;
pub mod api;
pub mod around;
pub mod artifact;
mod assignment;
pub mod bundle;
pub mod definition;
pub mod duration;
pub mod evidence;
pub mod health;
mod history;
pub mod hook;
mod leaving;
pub mod names;
mod object;
mod observation;
mod operation;
pub mod plan;
mod reason;
mod release;
mod retained;
mod rollout;
pub mod running;
pub mod safety;
pub mod shared_fields;
mod state;
mod status;
mod step;
pub mod versions;
pub mod windows;
pub mod yaml;

pub use api::*;
pub use around::{Around, Need, Neighbour, Neighbours};
pub use assignment::{Assignment, LARGEST_BUNDLE, Policy, Pull};
pub use leaving::{EVICTED, Leaving, ORDERED, is_the_klusterlets, records};
pub use object::{Object, ObjectKey};
pub use observation::{Action, Observation, Outcome, Report};
pub use operation::{Asked, Operation};
pub use reason::{Fault, Owner, Reason};
pub use release::{Release, ReleaseId, ServiceAccount, Shape, digest, hex};
pub use retained::{Retained, RetainedState};
pub use rollout::{FORMAT, Patience, Rollout};
pub use safety::Safety;
pub use state::{Again, Back, State};
pub use status::{Beside, printable, reason, status};
pub use step::{Step, step};
