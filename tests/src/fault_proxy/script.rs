//! The planned faults, and the requests so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::{Fault, Moment, Outage};

/// A fault at one place: the request of this number, or the event of this number over all watches. Numbers start at zero,
/// and again after each fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: usize,
    pub fault: Fault,
}

/// A request as it arrived.
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

/// A fault that has happened.
#[derive(Clone, Debug)]
pub struct Fired {
    /// The request, or the one that opened the watch.
    pub hit: Record,
    pub at: Instant,
    /// When it ended; absent while a request hangs, a watch is silent, or a server is down.
    pub over: Option<Instant>,
}

/// Kills the client and returns when it has ended. After SIGTERM it may continue for a while.
pub type Kill = Arc<dyn Fn(Moment) + Send + Sync>;

/// Returns whether a request is numbered, and the events of a watch.
pub type Counts = Arc<dyn Fn(&Record) -> bool + Send + Sync>;

/// Sees every body that is passed on to a server.
pub type Inspect = Box<dyn Fn(&Record, &[u8]) + Send + Sync>;

/// The plan of faults that proxies follow.
#[derive(Default)]
pub struct Script {
    now: Mutex<Now>,
    /// The server that is down, and how.
    outage: watch::Sender<Option<(&'static str, Outage)>>,
    inspect: OnceLock<Inspect>,
}

#[derive(Default)]
struct Now {
    /// The number of this plan. A request that hung in an earlier plan does not end the fault of this one.
    plan: usize,
    planned: VecDeque<Planned>,
    /// The first request and the first event that count for the next fault.
    from: [usize; 2],
    kill: Option<Kill>,
    counts: Option<Counts>,
    records: Vec<Record>,
    events: usize,
    fired: Option<Fired>,
    last: Option<Instant>,
    /// Requests that failed because of an outage.
    failed: usize,
}

impl Script {
    /// Starts another plan: numbers start at zero, and every server is up.
    pub fn begin(&self, planned: &[Planned], counts: Counts, kill: Kill) {
        self.outage.send_replace(None);
        let mut now = self.now();
        let (plan, last) = (now.plan + 1, now.last);
        let planned = planned.iter().copied().collect();
        let (kill, counts) = (Some(kill), Some(counts));
        *now = Now { plan, planned, kill, counts, last, ..Now::default() };
    }

    /// Ends an outage.
    pub fn heal(&self) {
        self.outage.send_replace(None);
        let plan = self.now().plan;
        self.end(plan);
    }

    /// Cancels the faults that have not happened yet.
    pub fn disarm(&self) {
        self.now().planned.clear();
    }

    /// Returns how many requests failed because of an outage.
    pub fn failed_requests(&self) -> usize {
        self.now().failed
    }

    /// Sets the inspection of bodies, for all plans. Only the first call has an effect.
    pub fn inspect(&self, inspect: Inspect) {
        _ = self.inspect.set(inspect);
    }

    pub(super) fn inspect_body(&self, record: &Record, body: &[u8]) {
        if let Some(inspect) = self.inspect.get() {
            inspect(record, body);
        }
    }

    /// Returns the numbered requests so far.
    pub fn records(&self) -> Vec<Record> {
        self.now().records.clone()
    }

    /// Returns the number of numbered events so far.
    pub fn events(&self) -> usize {
        self.now().events
    }

    /// Returns the newest fault that has happened.
    pub fn fired(&self) -> Option<Fired> {
        self.now().fired.clone()
    }

    /// Returns whether every planned fault has happened.
    pub fn is_finished(&self) -> bool {
        self.now().planned.is_empty()
    }

    /// Returns when the last request arrived.
    pub fn last_request(&self) -> Option<Instant> {
        self.now().last
    }

    /// Records a request and returns the fault that happens to it.
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
            now.failed += usize::from(outage != Outage::Slow);
            return (record, Some(Due { fault: Fault::Outage(outage), plan: now.plan }));
        }
        let due = if counted { now.due(ordinal, false, &record) } else { None };
        if let Some(Due { fault: Fault::Outage(outage), .. }) = due {
            now.failed += usize::from(outage != Outage::Slow);
            self.outage.send_replace(Some((server, outage)));
        }
        (record, due)
    }

    /// Numbers an event before it is passed on, and returns the fault that happens to it.
    pub(super) fn event(&self, of: &Record) -> Option<Due> {
        let mut now = self.now();
        now.counts(of).then_some(())?;
        let ordinal = now.events;
        now.events += 1;
        now.due(ordinal, true, of)
    }

    /// Kills the client now. Does nothing once another plan has started.
    pub(super) fn kill(&self, due: Due, moment: Moment) {
        let mut now = self.now();
        let Some(kill) = now.kill.clone().filter(|_| now.plan == due.plan) else { return };
        if let Some(fired) = &mut now.fired {
            fired.at = Instant::now();
        }
        drop(now);
        kill(moment);
    }

    fn outage_of(&self, server: &str) -> Option<Outage> {
        (*self.outage.borrow()).filter(|(down, _)| *down == server).map(|(_, outage)| outage)
    }

    /// Waits until connections to a server are cut, and returns the outage.
    pub(super) async fn until_cut_off(&self, server: &str) -> Outage {
        let mut outage = self.outage.subscribe();
        let cuts = |now: &Option<(&str, Outage)>| {
            now.is_some_and(|(down, outage)| {
                down == server && matches!(outage, Outage::Down | Outage::Silent)
            })
        };
        match outage.wait_for(cuts).await.map(|now| *now) {
            Ok(Some((_, outage))) => outage,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until no server is down.
    pub(super) async fn until_healed(&self) {
        self.outage.subscribe().wait_for(Option::is_none).await.ok();
    }

    fn end(&self, plan: usize) {
        let mut now = self.now();
        if now.plan == plan
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
        Some(Due { fault, plan: self.plan })
    }
}

/// A fault that happens at this moment.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub fault: Fault,
    plan: usize,
}

impl Due {
    /// Returns a value; the fault ends when it is dropped.
    pub fn start(self, script: &Arc<Script>) -> Lasting {
        Lasting { script: script.clone(), plan: self.plan }
    }
}

pub(super) struct Lasting {
    script: Arc<Script>,
    plan: usize,
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.script.end(self.plan);
    }
}
