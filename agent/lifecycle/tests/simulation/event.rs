//! What can happen in one turn.

/// How a turn of the agent goes, or what others do before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    NoFault,
    Crash(Moment),
    /// The ledger is not saved.
    SaveFails,
    /// The ledger is saved, and the agent does not learn that.
    SaveUnconfirmed,
    /// The action fails with a transient fault.
    TransientFault,
    /// The action fails with a lasting fault.
    LastingFault,
    /// The action is executed, and the agent does not learn that.
    OutcomeLost,
    Assign(usize),
    Retry,
    Pause(bool),
    Delete,
    /// The status is emptied while no agent runs.
    StatusLost,
    /// A retained release is deleted.
    ReleaseLost(usize),
    /// etcd is saved.
    Backup,
    /// etcd is restored to its last backup.
    Restore,
    /// The wall clock jumps by ten years: forwards, or backwards.
    ClockJump(bool),
    /// So many seconds pass before the next observation.
    TimePasses(u64),
}

/// When the agent crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    BeforeSaving,
    BeforeActing,
    InTheAction,
    AfterActing,
}

impl Event {
    /// The event of a number; the smaller, the simpler.
    pub fn of(number: u32) -> Self {
        let (kind, which) = (number % 100, (number / 100) as usize);
        let moments =
            [Moment::BeforeSaving, Moment::BeforeActing, Moment::InTheAction, Moment::AfterActing];
        match kind {
            0..60 => Event::NoFault,
            60..68 => Event::TimePasses([1, 5, 30, 90][which % 4]),
            68..75 => Event::Assign(which % 4),
            75..83 => Event::Crash(moments[which % 4]),
            83 => Event::SaveFails,
            84 => Event::SaveUnconfirmed,
            85..88 => Event::TransientFault,
            88 => Event::LastingFault,
            89 => Event::OutcomeLost,
            90 | 91 => Event::Retry,
            92 | 93 => Event::Pause(which % 3 == 0),
            94 => Event::Delete,
            95 => Event::StatusLost,
            96 => Event::ReleaseLost(which),
            97 => Event::Backup,
            98 => Event::Restore,
            _ => Event::ClockJump(which % 2 == 0),
        }
    }
}
