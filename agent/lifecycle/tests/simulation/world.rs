//! The world's turns, what must hold after each of them, and how every story has to end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lifecycle::health::Verdict;
use lifecycle::{
    Action, Deletion, DeletionIntent, Downgrades, Fault, ManagedAddOnStatus, Observation,
    OperationKind, Outcome, Phase, Reason, Release, Rollback, Rollout, State, StatusContext, Step,
    status, step,
};

use super::cluster::{Cluster, verdict_of};
use super::event::{Event, Moment};
use crate::scene::words::{assignment, release};

/// Two that work, one that fails, one that never becomes ready.
const RELEASES: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];

/// Far more turns than anything takes that nobody disturbs.
const MANY: usize = 600;

const TEN_YEARS: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// What an etcd holds.
#[derive(Clone, Default)]
struct Etcd {
    cluster: Cluster,
    status: ManagedAddOnStatus,
    wanted: usize,
    generation: i64,
    retry: u32,
    paused: bool,
    deleting: bool,
    /// `policy.deletion: Orphan`.
    orphan: bool,
    /// A retained release was lost: what it brought, only the status knows.
    lossy: bool,
}

struct Agent {
    rollout: Rollout,
    outcome: Option<Outcome>,
    /// What the last pull brought.
    pulled: Option<Release>,
}

pub struct World {
    etcd: Etcd,
    backup: Option<Etcd>,
    agent: Option<Agent>,
    now: Timestamp,
    elapsed: Duration,
    /// Rollbacks that nobody asked for, and for which ask of which release.
    rolled_back: BTreeSet<(u32, i64, Release)>,
    pub phases: BTreeSet<Phase>,
    pub turns: u64,
}

impl World {
    pub fn new() -> Self {
        World {
            etcd: Etcd { generation: 1, ..Etcd::default() },
            backup: None,
            agent: None,
            now: "2026-03-01T12:00:00Z".parse().expect("a time"),
            elapsed: Duration::ZERO,
            rolled_back: BTreeSet::new(),
            phases: BTreeSet::new(),
            turns: 0,
        }
    }

    pub fn happen(&mut self, event: Event) {
        self.elapsed = Duration::from_secs(1);
        match event {
            Event::Assign(which) => {
                (self.etcd.wanted, self.etcd.generation) = (which, self.etcd.generation + 1);
            }
            Event::Retry => self.etcd.retry += 1,
            Event::Pause(paused) => self.etcd.paused = paused,
            Event::Delete => self.etcd.deleting = true,
            Event::LosesStatus if self.etcd.lossy => {}
            Event::LosesStatus => {
                (self.agent, self.etcd.status) = (None, ManagedAddOnStatus::default());
                // Nobody remembers what failed.
                self.rolled_back.clear();
            }
            Event::LosesRelease(which) => {
                self.etcd.lossy = true;
                let count = self.etcd.cluster.retained.len().max(1);
                let mut at = 0..;
                self.etcd.cluster.retained.retain(|_| at.next() != Some(which % count));
            }
            Event::Backup => self.backup = Some(self.etcd.clone()),
            Event::Restore => self.restore(),
            Event::Clock(forth) => {
                let jump = if forth { TEN_YEARS } else { -TEN_YEARS };
                self.now = self.now.saturating_add(jump).expect("a time");
            }
            Event::Waits(seconds) => self.elapsed = Duration::from_secs(seconds),
            Event::Well
            | Event::Dies(_)
            | Event::NotSaved
            | Event::SavedUnheard
            | Event::Busy
            | Event::Refused
            | Event::DoneUnheard => {}
        }
        self.turn(event);
    }

    /// Everything is as it was then; the agent's connection ended with the server.
    fn restore(&mut self) {
        if let Some(backup) = self.backup.clone() {
            self.etcd = backup;
            self.agent = None;
            self.rolled_back.clear();
        }
    }

    /// One round of the agent's loop. It ends where the event says.
    fn turn(&mut self, event: Event) -> Option<Duration> {
        self.turns += 1;
        let mut agent = self.agent.take().unwrap_or_else(|| self.start());
        let before = agent.rollout.clone();
        let after = step(before.clone(), &self.seen(&agent), self.now);
        if event == Event::Dies(Moment::BeforeSaving) {
            return None;
        }
        if event == Event::NotSaved {
            self.agent = Some(agent);
            return None;
        }
        self.save(&after.rollout);
        self.judge(&before, &after);
        self.elapsed = Duration::ZERO;
        (agent.rollout, agent.outcome) = (after.rollout, None);
        if event == Event::SavedUnheard {
            self.agent = Some(agent);
            return None;
        }
        let Some(action) = after.action else {
            self.agent = Some(agent);
            return after.wake;
        };
        let heard = self.act(&mut agent, &action, event);
        self.holds_together(&agent.rollout, &action);
        if heard && !self.is_gone(&action, &agent) {
            self.agent = Some(agent);
        }
        Some(Duration::ZERO)
    }

    fn start(&mut self) -> Agent {
        let loaded = Rollout::load(&self.etcd.status).expect("a ledger that can be read");
        let retained = &self.etcd.cluster.retained;
        let mut rollout = loaded.unwrap_or_else(|| Rollout::rebuild(retained));
        if rollout.is_under_way() {
            rollout = rollout.count_crash();
            self.save(&rollout);
        }
        Agent { rollout, outcome: None, pulled: None }
    }

    fn seen(&self, agent: &Agent) -> Observation {
        let etcd = &self.etcd;
        let mut wanted = assignment(RELEASES[etcd.wanted]);
        wanted.policy.soak = Duration::from_secs(2);
        wanted.policy.timeout = Duration::from_secs(60);
        wanted.policy.downgrades = Downgrades::Any;
        Observation {
            assignment: Ok(Arc::new(wanted)),
            spec_version: RELEASES[etcd.wanted].to_owned(),
            generation: etcd.generation,
            retry: Some(etcd.retry.to_string()),
            is_paused: etcd.paused,
            ignores_windows: false,
            dependencies: Default::default(),
            deletion_intent: if etcd.deleting {
                DeletionIntent::Ordered
            } else {
                DeletionIntent::None
            },
            deletion: if etcd.orphan { Deletion::Orphan } else { Deletion::Uninstall },
            has_finalizer: etcd.cluster.finalizer,
            has_slot: true,
            kubernetes: None,
            retained: etcd.cluster.retained.clone(),
            outcome: agent.outcome.clone(),
            verdict: agent
                .rollout
                .release_under_verification()
                .map(|release| etcd.cluster.verdict(release)),
            elapsed: self.elapsed,
            jitter: 0.5,
        }
    }

    fn save(&mut self, rollout: &Rollout) {
        let beside =
            StatusContext { generation: Some(self.etcd.generation), ..StatusContext::default() };
        let before = std::mem::take(&mut self.etcd.status.conditions);
        self.etcd.status = status(rollout, &beside, &before, self.now);
        self.phases.insert(rollout.phase());
    }

    /// Whether the agent lives to hear of it.
    fn act(&mut self, agent: &mut Agent, action: &Action, event: Event) -> bool {
        let target = agent.rollout.operation.as_ref().and_then(|it| it.target.clone());
        let fault = |transient| Fault { transient, ..Fault::new(Reason::Forbidden, "no") };
        if *action == Action::Stage && agent.pulled != target {
            agent.outcome = Some(Outcome::Missing);
            return true;
        }
        let mut done = |half| self.etcd.cluster.act(action, target.as_ref(), half);
        agent.outcome = match event {
            Event::Dies(Moment::BeforeActing) => return false,
            Event::Dies(Moment::HalfWay) => {
                // Of these there is no half.
                if !matches!(
                    action,
                    Action::Stage | Action::Retain { .. } | Action::RemoveFinalizer
                ) {
                    done(true);
                }
                return false;
            }
            Event::Dies(Moment::BeforeSaving | Moment::Unheard) => {
                done(false);
                return false;
            }
            Event::Busy => Some(Outcome::Failed(fault(true))),
            Event::Refused => Some(Outcome::Failed(fault(false))),
            Event::DoneUnheard => {
                done(false);
                Some(Outcome::Failed(fault(true)))
            }
            Event::Well
            | Event::NotSaved
            | Event::SavedUnheard
            | Event::Assign(_)
            | Event::Retry
            | Event::Pause(_)
            | Event::Delete
            | Event::LosesStatus
            | Event::LosesRelease(_)
            | Event::Backup
            | Event::Restore
            | Event::Clock(_)
            | Event::Waits(_) => Some(done(false)),
        };
        if *action == Action::Pull && agent.outcome == Some(Outcome::Pulled) {
            agent.pulled = target;
        }
        true
    }

    /// A `ManagedAddOn` that was let go is assigned anew at once, as another one.
    fn is_gone(&mut self, action: &Action, agent: &Agent) -> bool {
        let gone =
            *action == Action::RemoveFinalizer && agent.outcome == Some(Outcome::FinalizerRemoved);
        if gone {
            let Etcd { wanted, generation, .. } = self.etcd;
            self.etcd = Etcd { wanted, generation: generation + 1, ..Etcd::default() };
            self.rolled_back.clear();
        }
        gone
    }

    fn judge(&mut self, before: &Rollout, after: &Step) {
        let rollout = &after.rollout;
        let cluster = &self.etcd.cluster;
        let installs = |it: &lifecycle::Operation| it.kind == OperationKind::Install;
        let begun = rollout.sequence > before.sequence;
        assert!(
            !begun || before.current.is_none() || !rollout.operation.as_ref().is_some_and(installs),
            "installed over {:?}",
            before.current
        );
        if rollout.current != before.current
            && let Some(current) = &rollout.current
        {
            assert!(cluster.has_all_of(current), "available, and not all of it is there");
            assert_eq!(verdict_of(current), Verdict::Healthy, "available, and not healthy");
        }
        let unasked = |it: &Rollout| {
            matches!(it.state, State::RollingBack(Rollback { requested: false, .. }))
        };
        if unasked(rollout)
            && !unasked(before)
            && let Some(failed) = before.operation.as_ref().and_then(|it| it.target.clone())
        {
            let ask = (self.etcd.retry, self.etcd.generation, failed);
            assert!(self.rolled_back.insert(ask), "rolled back twice");
        }
        if rollout.phase().is_settled() && before.phase() != rollout.phase() {
            self.is_one_release(rollout);
        }
    }

    /// At rest there is never a mix; what could not be removed was told, and somebody removes it.
    fn is_one_release(&mut self, rollout: &Rollout) {
        let leftovers = rollout.operation.as_ref().map_or(&[][..], |it| &it.leftovers);
        let (cluster, current) = (&mut self.etcd.cluster, rollout.current.as_ref());
        if !leftovers.is_empty() {
            cluster.own.retain(|(_, release)| Some(release) == current);
            cluster.shared.iter_mut().for_each(|it| _ = it.take_if(|_| current.is_none()));
        }
        if let (Phase::Available | Phase::RolledBack, Some(current)) = (rollout.phase(), current) {
            assert!(cluster.is_wholly(current), "a mix at rest: {leftovers:?}");
        }
    }

    /// Objects that the running version has are there, whatever is done.
    fn holds_together(&self, rollout: &Rollout, action: &Action) {
        let removing = matches!(action, Action::Remove { .. } | Action::RemoveFinalizer);
        if rollout.current.is_some() && !removing && rollout.phase() != Phase::Removing {
            let there = self.etcd.cluster.shared.iter().all(Option::is_some);
            assert!(there, "an object of the running version was deleted by {action:?}");
        }
    }

    /// Nothing is in the way any more; asked again, what is assigned runs if it can, and else what ran before.
    pub fn comes_to_rest_as_without_faults(&mut self) {
        self.etcd.paused = false;
        self.rest();
        let ran = self.rollout().current.clone();
        self.etcd.retry += 1;
        self.rest();
        let (rollout, cluster) = (self.rollout(), &self.etcd.cluster);
        let wanted = release(RELEASES[self.etcd.wanted]);
        match (verdict_of(&wanted), ran) {
            (Verdict::Healthy, _) => {
                assert_eq!(rollout.phase(), Phase::Available, "{:?}", rollout.state);
                assert_eq!(rollout.current.as_ref(), Some(&wanted));
                assert!(cluster.is_wholly(&wanted), "not all of {wanted:?} is there");
            }
            // Without its release there is no way back, and that is told.
            (_, Some(_)) if self.etcd.lossy && rollout.phase() == Phase::Failed => {
                assert_eq!(lifecycle::reason(rollout), Reason::RollbackFailed);
            }
            (_, Some(ran)) => {
                assert_eq!(rollout.phase(), Phase::RolledBack, "{:?}", rollout.state);
                assert_eq!(rollout.current.as_ref(), Some(&ran));
                assert!(cluster.is_wholly(&ran), "not all of {ran:?} is back");
            }
            (_, None) => {
                assert_eq!(rollout.phase(), Phase::Failed, "{:?}", rollout.state);
                assert!(cluster.is_empty(), "something of a failed install is left");
            }
        }
    }

    fn rollout(&self) -> &Rollout {
        &self.agent.as_ref().expect("an agent runs").rollout
    }

    fn rest(&mut self) {
        for turn in 0..MANY {
            // Nobody can find what a lost release brought; a person reads that and lets go.
            self.etcd.orphan = turn > MANY / 2;
            let wake = self.turn(Event::Well);
            let settled = self.agent.as_ref().is_some_and(|it| it.rollout.phase().is_settled());
            if settled && wake.is_none_or(|wake| wake > Duration::from_secs(60)) {
                return;
            }
            let wake = wake.unwrap_or(Duration::from_secs(1));
            self.elapsed = wake;
            let later = SignedDuration::try_from(wake).expect("a short time");
            self.now = self.now.saturating_add(later).expect("a time");
        }
        panic!("does not come to rest: {:?}", self.agent.as_ref().map(|it| &it.rollout.state));
    }
}
