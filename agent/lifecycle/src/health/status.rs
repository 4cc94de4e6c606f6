//! The health of one object: a status as in kstatus, and a message.

use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

/// How far an object is from its spec, in kstatus' terms.
#[derive(
    Serialize, IntoStaticStr, VariantArray, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord,
)]
pub enum HealthStatus {
    /// The object matches its spec.
    Current,
    /// The object does not match its spec yet, and nothing says that it will not.
    InProgress,
    /// The object will not match its spec without a change.
    Failed,
    /// The object is being deleted.
    Terminating,
    /// The object was applied and does not exist.
    NotFound,
    /// The object could not be read.
    Unknown,
}

impl HealthStatus {
    /// Every status, in the order of its documentation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The name, as kstatus spells it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns whether the status is `InProgress` or `Failed`: the object exists, and its pods may explain why it is
    /// not `Current`.
    pub fn is_in_progress_or_failed(self) -> bool {
        match self {
            Self::InProgress | Self::Failed => true,
            Self::Current | Self::Terminating | Self::NotFound | Self::Unknown => false,
        }
    }
}

/// The health of one object.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The status that decides.
    pub status: HealthStatus,
    /// The reason of the status, for a person. A lowercase fragment that follows the object's name; may be empty if the
    /// status is `Current`.
    pub message: String,
}

impl Health {
    /// `Current` without a message.
    pub fn current() -> Self {
        Self::current_with("")
    }

    /// `Current` with a message, such as how many pods are still old.
    pub fn current_with(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Current, message: message.into() }
    }

    /// `InProgress`; the message says what is missing.
    pub fn in_progress(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::InProgress, message: message.into() }
    }

    /// `Failed`; the message says why.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Failed, message: message.into() }
    }

    /// `Terminating`.
    pub fn terminating() -> Self {
        Self { status: HealthStatus::Terminating, message: "is being deleted".to_owned() }
    }

    /// `NotFound`.
    pub fn not_found() -> Self {
        Self { status: HealthStatus::NotFound, message: "does not exist".to_owned() }
    }

    /// `Unknown`; the message says why the object could not be read.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Unknown, message: message.into() }
    }

    /// `Current` if `is_current`, otherwise `InProgress` with this message.
    pub(super) fn current_if(is_current: bool, otherwise: impl FnOnce() -> String) -> Self {
        if is_current { Self::current() } else { Self::in_progress(otherwise()) }
    }
}
