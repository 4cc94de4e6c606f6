//! What can go wrong with one request, or with one event of a watch.

use anyhow::{Context, Error};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The client is killed.
    Kill(Moment),
    /// The real server never hears of it, and the client hears this.
    Refuse(Refusal),
    /// The connection fails.
    Break(Break),
    /// A watch's event does not arrive as it was sent.
    Event(Twist),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The server never hears of the request.
    Before,
    /// The server has done it; the client cannot know.
    Unanswered,
    /// With the answer in its hands.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    ServerError,
    Unavailable,
    /// With `Retry-After`.
    Busy,
    Conflict,
    Unauthenticated,
    Forbidden,
    NotFound,
    /// 200 with something else than what was asked.
    Garbage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// It ends before the server hears of the request.
    Reset,
    /// The server has done it; it ends without an answer.
    LostAnswer,
    /// No answer until the client gives up.
    Hang,
    /// Half of the answer's body, then the end.
    CutBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Twist {
    /// An expired resourceVersion in its place, and the end of the watch.
    Gone,
    /// From this event on the watch is silent.
    Stall,
    Drop,
    Duplicate,
    /// The event before it comes once more after it, as from a replica that lags behind.
    Stale,
}

impl Fault {
    /// With their names.
    pub const ALL: [(Self, &str); 20] = [
        (Self::Kill(Moment::Before), "kill-before"),
        (Self::Kill(Moment::Unanswered), "kill-unanswered"),
        (Self::Kill(Moment::After), "kill-after"),
        (Self::Refuse(Refusal::ServerError), "500"),
        (Self::Refuse(Refusal::Unavailable), "503"),
        (Self::Refuse(Refusal::Busy), "429"),
        (Self::Refuse(Refusal::Conflict), "409"),
        (Self::Refuse(Refusal::Unauthenticated), "401"),
        (Self::Refuse(Refusal::Forbidden), "403"),
        (Self::Refuse(Refusal::NotFound), "404"),
        (Self::Refuse(Refusal::Garbage), "garbage"),
        (Self::Break(Break::Reset), "reset"),
        (Self::Break(Break::LostAnswer), "lost-answer"),
        (Self::Break(Break::Hang), "hang"),
        (Self::Break(Break::CutBody), "cut-body"),
        (Self::Event(Twist::Gone), "watch-410"),
        (Self::Event(Twist::Stall), "watch-stall"),
        (Self::Event(Twist::Drop), "watch-drop"),
        (Self::Event(Twist::Duplicate), "watch-duplicate"),
        (Self::Event(Twist::Stale), "watch-stale"),
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(fault, _)| fault)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(fault, _)| *fault == self).map_or("unnamed", |(_, name)| name)
    }

    /// Whether it happens to an event of a watch rather than to a request.
    pub fn is_of_events(self) -> bool {
        matches!(self, Self::Event(_))
    }

    pub fn kills(self) -> bool {
        matches!(self, Self::Kill(_))
    }
}

impl std::str::FromStr for Fault {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == name);
        known.map(|(fault, _)| fault).with_context(|| format!("no fault is called {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_fault() {
        for (fault, name) in Fault::ALL {
            assert_eq!(name.parse::<Fault>().unwrap(), fault);
        }
    }
}
