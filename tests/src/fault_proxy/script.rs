//! What is to go wrong and when, and what was asked so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::{Fault, Moment, Outage};

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
    /// The name of the proxy.
    pub server: &'static str,
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
    /// When it was over; absent while a request hangs, a watch is silent, or a server is away.
    pub over: Option<Instant>,
}

/// Kills the client, and returns when it is dead; one that is only asked to end may go on for a while.
pub type Kill = Arc<dyn Fn(Moment) + Send + Sync>;

/// Which requests, and which watches' events, are numbered.
pub type Counts = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// Is shown every body that is passed on to a server.
pub type Inspect = Box<dyn Fn(&Record, &[u8]) + Send + Sync>;

#[derive(Default)]
pub struct Script {
    now: Mutex<Now>,
    /// Of which server, if of any.
    outage: watch::Sender<Option<(&'static str, Outage)>>,
    inspect: OnceLock<Inspect>,
}

#[derive(Default)]
struct Now {
    /// Which beginning this is: what hung in an earlier one does not end the fault of this one.
    act: usize,
    planned: VecDeque<Planned>,
    /// The first request and the first event that count for what is planned next.
    from: [usize; 2],
    kill: Option<Kill>,
    counts: Option<Counts>,
    records: Vec<Record>,
    events: usize,
    fired: Option<Fired>,
    last: Option<Instant>,
    /// Requests that an outage met.
    in_vain: usize,
}

impl Script {
    /// Numbers start anew, and every server is there.
    pub fn begin(&self, planned: &[Planned], counts: Counts, kill: Kill) {
        self.outage.send_replace(None);
        let mut now = self.now();
        let (act, last) = (now.act + 1, now.last);
        let planned = planned.iter().copied().collect();
        let (kill, counts) = (Some(kill), Some(counts));
        *now = Now { act, planned, kill, counts, last, ..Now::default() };
    }

    /// Ends an outage.
    pub fn heal(&self) {
        self.outage.send_replace(None);
        let act = self.now().act;
        self.over(act);
    }

    /// What has not happened yet does not happen any more.
    pub fn disarm(&self) {
        self.now().planned.clear();
    }

    /// How many requests were in vain in an outage.
    pub fn in_vain(&self) -> usize {
        self.now().in_vain
    }

    /// In all acts; the first to say so is heard.
    pub fn inspect(&self, inspect: Inspect) {
        _ = self.inspect.set(inspect);
    }

    pub(super) fn passed_on(&self, record: &Record, body: &[u8]) {
        if let Some(inspect) = self.inspect.get() {
            inspect(record, body);
        }
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
    pub(super) fn request(
        &self,
        server: &'static str,
        verb: &str,
        path: &str,
        watch: bool,
    ) -> (Record, Option<Due>) {
        let mut now = self.now();
        let ordinal = now.records.len();
        let record = Record { ordinal, server, verb: verb.into(), path: path.into(), watch };
        now.last = Some(Instant::now());
        let counted = now.counts(&record);
        if counted {
            now.records.push(record.clone());
        }
        if let Some(outage) = self.outage_of(server) {
            now.in_vain += usize::from(outage != Outage::Slow);
            return (record, Some(Due { fault: Fault::Outage(outage), act: now.act }));
        }
        let due = if counted { now.due(ordinal, false, &record) } else { None };
        if let Some(Due { fault: Fault::Outage(outage), .. }) = due {
            now.in_vain += usize::from(outage != Outage::Slow);
            self.outage.send_replace(Some((server, outage)));
        }
        (record, due)
    }

    /// An event is about to be passed on.
    pub(super) fn event(&self, of: &Record) -> Option<Due> {
        let mut now = self.now();
        now.counts(of).then_some(())?;
        let ordinal = now.events;
        now.events += 1;
        now.due(ordinal, true, of)
    }

    /// It is now that this fault happens. Nothing happens once another act has begun.
    pub(super) fn kill(&self, due: Due, moment: Moment) {
        let mut now = self.now();
        let Some(kill) = now.kill.clone().filter(|_| now.act == due.act) else { return };
        if let Some(fired) = &mut now.fired {
            fired.at = Instant::now();
        }
        drop(now);
        kill(moment);
    }

    fn outage_of(&self, server: &str) -> Option<Outage> {
        (*self.outage.borrow()).filter(|(away, _)| *away == server).map(|(_, outage)| outage)
    }

    /// Returns when nothing comes through any more.
    pub(super) async fn cut_off(&self, server: &str) -> Outage {
        let mut outage = self.outage.subscribe();
        let cuts = |now: &Option<(&str, Outage)>| {
            now.is_some_and(|(away, outage)| {
                away == server && matches!(outage, Outage::Down | Outage::Silent)
            })
        };
        match outage.wait_for(cuts).await.map(|now| *now) {
            Ok(Some((_, outage))) => outage,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Returns when no server is away.
    pub(super) async fn healed(&self) {
        self.outage.subscribe().wait_for(Option::is_none).await.ok();
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
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn counts(&self, record: &Record) -> bool {
        self.counts.as_ref().is_some_and(|counts| counts(record))
    }

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
