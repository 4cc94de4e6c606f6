//! What can happen in one turn.

/// How a turn of the agent goes, or what others do before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Well,
    /// The agent ends before it saves, before it acts, half-way through, or before it hears how it went.
    Dies(Moment),
    /// The ledger is not saved; or it is, and the agent is not told.
    NotSaved,
    SavedUnheard,
    /// What is done is refused, for now or for good; or it is done, and the agent is not told.
    Busy,
    Refused,
    DoneUnheard,
    Assign(usize),
    Retry,
    Pause(bool),
    Delete,
    /// The status is emptied while no agent runs.
    LosesStatus,
    /// A retained release is deleted.
    LosesRelease(usize),
    /// An object of the add-on is changed to what another release says.
    Backup,
    Restore,
    /// The wall clock jumps by ten years.
    Clock(bool),
    /// So many seconds pass before the next look.
    Waits(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    BeforeSaving,
    BeforeActing,
    HalfWay,
    Unheard,
}

impl Event {
    /// The smaller, the plainer.
    pub fn of(number: u32) -> Self {
        let (kind, which) = (number % 100, (number / 100) as usize);
        let moments =
            [Moment::BeforeSaving, Moment::BeforeActing, Moment::HalfWay, Moment::Unheard];
        match kind {
            0..60 => Event::Well,
            60..68 => Event::Waits([1, 5, 30, 90][which % 4]),
            68..75 => Event::Assign(which % 4),
            75..83 => Event::Dies(moments[which % 4]),
            83 => Event::NotSaved,
            84 => Event::SavedUnheard,
            85..88 => Event::Busy,
            88 => Event::Refused,
            89 => Event::DoneUnheard,
            90 | 91 => Event::Retry,
            92 | 93 => Event::Pause(which % 3 == 0),
            94 => Event::Delete,
            95 => Event::LosesStatus,
            96 => Event::LosesRelease(which),
            97 => Event::Backup,
            98 => Event::Restore,
            _ => Event::Clock(which % 2 == 0),
        }
    }
}
