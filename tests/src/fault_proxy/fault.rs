//! What can go wrong with one request, or with one event of a watch.

use anyhow::{Context, Error};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The client is killed.
    Kill(Moment),
    /// The real server never hears of it, and the client hears this.
    Refuse(Refusal),
    /// The connection fails, or is slow.
    Break(Break),
    /// A watch's event does not arrive as it was sent.
    Event(Twist),
    /// From this request on, all of this server's, until it is healed.
    Outage(Outage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The server never hears of the request.
    Before,
    /// The server has done it; the client cannot know.
    Unanswered,
    /// With the answer in its hands.
    After,
    /// Asked to end (SIGTERM) while it waits for the answer, which it gets.
    Asked,
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
    /// 503 with `Retry-After`.
    Later,
    /// 302, to where nobody answers.
    Moved,
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
    /// The request is on its way for 600 ms.
    Delay,
    /// The answer's body takes two seconds.
    SlowBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outage {
    /// Connections end, and new ones too.
    Down,
    /// Connections stay, and new ones are accepted, but nothing more comes: a half-open link.
    Silent,
    /// 503 to everything; open watches go on.
    Unavailable,
    /// 429 with `Retry-After` to everything; open watches go on.
    Busy,
    /// Every request is on its way for 600 ms.
    Slow,
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
    pub const ALL: [(Self, &str); 30] = [
        (Self::Kill(Moment::Before), "kill-before"),
        (Self::Kill(Moment::Unanswered), "kill-unanswered"),
        (Self::Kill(Moment::After), "kill-after"),
        (Self::Kill(Moment::Asked), "term"),
        (Self::Refuse(Refusal::ServerError), "500"),
        (Self::Refuse(Refusal::Unavailable), "503"),
        (Self::Refuse(Refusal::Busy), "429"),
        (Self::Refuse(Refusal::Conflict), "409"),
        (Self::Refuse(Refusal::Unauthenticated), "401"),
        (Self::Refuse(Refusal::Forbidden), "403"),
        (Self::Refuse(Refusal::NotFound), "404"),
        (Self::Refuse(Refusal::Later), "503-later"),
        (Self::Refuse(Refusal::Moved), "302"),
        (Self::Refuse(Refusal::Garbage), "garbage"),
        (Self::Break(Break::Reset), "reset"),
        (Self::Break(Break::LostAnswer), "lost-answer"),
        (Self::Break(Break::Hang), "hang"),
        (Self::Break(Break::CutBody), "cut-body"),
        (Self::Break(Break::Delay), "delay"),
        (Self::Break(Break::SlowBody), "slow-body"),
        (Self::Event(Twist::Gone), "watch-410"),
        (Self::Event(Twist::Stall), "watch-stall"),
        (Self::Event(Twist::Drop), "watch-drop"),
        (Self::Event(Twist::Duplicate), "watch-duplicate"),
        (Self::Event(Twist::Stale), "watch-stale"),
        (Self::Outage(Outage::Down), "down"),
        (Self::Outage(Outage::Silent), "silent"),
        (Self::Outage(Outage::Unavailable), "storm-503"),
        (Self::Outage(Outage::Busy), "storm-429"),
        (Self::Outage(Outage::Slow), "slow-link"),
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

    /// Whether it lasts until the script is healed.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Outage(_))
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
