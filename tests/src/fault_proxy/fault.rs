//! The faults of one request, or of one event of a watch.

use anyhow::{Context, Error};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The client is killed.
    Kill(Moment),
    /// The real server never gets the request, and the client gets this answer.
    Refuse(Refusal),
    /// The connection fails or is slow.
    Break(Break),
    /// An event of a watch does not arrive as it was sent.
    Event(EventFault),
    /// All requests to this server fail from this one on, until the script is healed.
    Outage(Outage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Before the server gets the request.
    Before,
    /// After the server has completed the request, and before the client has the answer.
    Unanswered,
    /// After the client has the answer.
    After,
    /// SIGTERM while the client waits for the answer, which it gets.
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
    /// 302 to a port on which no process listens.
    Moved,
    /// 200 with a body that is no Kubernetes object.
    Garbage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Break {
    /// The connection ends before the server gets the request.
    Reset,
    /// The connection ends without an answer after the server has completed the request.
    LostAnswer,
    /// No answer until the client gives up.
    Hang,
    /// The connection ends after half of the answer's body.
    CutBody,
    /// The request takes 600 ms to the server.
    Delay,
    /// The answer's body takes two seconds.
    SlowBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outage {
    /// Connections end, also new ones.
    Down,
    /// Connections stay and new ones are accepted, but nothing arrives: a half-open link.
    Silent,
    /// 503 to every request; open watches continue.
    Unavailable,
    /// 429 with `Retry-After` to every request; open watches continue.
    Busy,
    /// Every request takes 600 ms to the server.
    Slow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventFault {
    /// The watch ends with an expired resourceVersion in the place of the event.
    Gone,
    /// The watch is silent from this event on.
    Stall,
    Drop,
    Duplicate,
    /// The event before it is repeated after it, as by a replica that lags behind.
    Stale,
}

impl Fault {
    /// All faults with their names.
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
        (Self::Event(EventFault::Gone), "watch-410"),
        (Self::Event(EventFault::Stall), "watch-stall"),
        (Self::Event(EventFault::Drop), "watch-drop"),
        (Self::Event(EventFault::Duplicate), "watch-duplicate"),
        (Self::Event(EventFault::Stale), "watch-stale"),
        (Self::Outage(Outage::Down), "down"),
        (Self::Outage(Outage::Silent), "silent"),
        (Self::Outage(Outage::Unavailable), "storm-503"),
        (Self::Outage(Outage::Busy), "storm-429"),
        (Self::Outage(Outage::Slow), "slow-link"),
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().map(|(fault, _)| fault)
    }

    /// Returns the name in command lines and reports.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(fault, _)| *fault == self).map_or("unnamed", |(_, name)| name)
    }

    /// Returns whether it happens to an event of a watch, not to a request.
    pub fn is_of_events(self) -> bool {
        matches!(self, Self::Event(_))
    }

    pub fn kills(self) -> bool {
        matches!(self, Self::Kill(_))
    }

    /// Returns whether it lasts until the script is healed.
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
