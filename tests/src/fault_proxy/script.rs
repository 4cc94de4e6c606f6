//! What is to go wrong and when, and what was asked so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Fault;

/// One fault at one place: the request of this number, or the event of this number over all watches, from zero; after
/// another fault, counted from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: usize,
    pub fault: Fault,
}

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub ordinal: usize,
    pub verb: String,
    /// Without the query.
    pub path: String,
    pub watch: bool,
}

/// The fault that happened.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The request, or the one that opened the watch.
    pub hit: Record,
    pub at: Instant,
    /// When it was over; absent while a request hangs or a watch is silent.
    pub over: Option<Instant>,
}

/// Kills the client, and returns when it is dead.
pub type Kill = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
pub struct Script(Mutex<Now>);

#[derive(Default)]
struct Now {
    /// Which beginning this is: what hung in an earlier one does not end the fault of this one.
    act: usize,
    planned: VecDeque<Planned>,
    /// The first request and the first event that count for what is planned next.
    from: [usize; 2],
    kill: Option<Kill>,
    records: Vec<Record>,
    events: usize,
    fired: Option<Fired>,
    last: Option<Instant>,
}

impl Script {
    /// Numbers start anew.
    pub fn begin(&self, planned: &[Planned], kill: Kill) {
        let mut now = self.now();
        let (act, last) = (now.act + 1, now.last);
        let planned = planned.iter().copied().collect();
        *now = Now { act, planned, kill: Some(kill), last, ..Now::default() };
    }

    pub fn records(&self) -> Vec<Record> {
        self.now().records.clone()
    }

    /// How many events the watches brought.
    pub fn events(&self) -> usize {
        self.now().events
    }

    /// The newest fault that happened.
    pub fn fired(&self) -> Option<Fired> {
        self.now().fired.clone()
    }

    /// Whether all that was planned has happened.
    pub fn is_played(&self) -> bool {
        self.now().planned.is_empty()
    }

    /// When something was last asked.
    pub fn last(&self) -> Option<Instant> {
        self.now().last
    }

    /// A request has arrived; what is to go wrong with it, in which act.
    pub(super) fn request(&self, verb: &str, path: &str, watch: bool) -> (Record, Option<Due>) {
        let mut now = self.now();
        let ordinal = now.records.len();
        let record = Record { ordinal, verb: verb.into(), path: path.into(), watch };
        now.records.push(record.clone());
        now.last = Some(Instant::now());
        let due = now.due(ordinal, false, &record);
        (record, due)
    }

    /// An event is about to be passed on.
    pub(super) fn event(&self, of: &Record) -> Option<Due> {
        let mut now = self.now();
        let ordinal = now.events;
        now.events += 1;
        now.due(ordinal, true, of)
    }

    pub(super) fn kill(&self) {
        let kill = self.now().kill.clone();
        if let Some(kill) = kill {
            kill();
        }
    }

    fn over(&self, act: usize) {
        let mut now = self.now();
        if now.act == act
            && let Some(fired) = &mut now.fired
        {
            fired.over.get_or_insert_with(Instant::now);
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn due(&mut self, ordinal: usize, of_events: bool, hit: &Record) -> Option<Due> {
        let Planned { at, fault } = *self.planned.front()?;
        let reached = ordinal.checked_sub(self.from[usize::from(of_events)]) == Some(at);
        (reached && fault.is_of_events() == of_events).then_some(())?;
        self.planned.pop_front();
        self.from = [self.records.len(), self.events];
        self.fired = Some(Fired { hit: hit.clone(), at: Instant::now(), over: None });
        Some(Due { fault, act: self.act })
    }
}

/// A fault that is to happen at this moment.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub fault: Fault,
    act: usize,
}

impl Due {
    /// The fault lasts as long as this value.
    pub fn lasting(self, script: &Arc<Script>) -> Lasting {
        Lasting { script: script.clone(), act: self.act }
    }
}

pub(super) struct Lasting {
    script: Arc<Script>,
    act: usize,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.script.over(self.act);
    }
}
