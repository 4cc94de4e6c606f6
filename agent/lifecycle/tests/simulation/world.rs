//! The world's turns, what has to hold after each of them, and how every story has to end.

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

/// Two versions that work, one that fails, one that never becomes ready.
const RELEASES: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "1.3.0"];

/// Far more turns than any story needs without faults.
const MAX_TURNS: usize = 600;

const TEN_YEARS: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// The content of etcd.
#[derive(Clone, Default)]
struct Etcd {
    cluster: Cluster,
    status: ManagedAddOnStatus,
    assigned: usize,
    generation: i64,
    retry: u32,
    is_paused: bool,
    is_deleting: bool,
    /// `policy.deletion: Orphan`.
    is_orphaned: bool,
    /// Whether a retained release was lost, so that only the status records its objects.
    has_lost_release: bool,
}

struct Agent {
    rollout: Rollout,
    outcome: Option<Outcome>,
    /// The release of the last pull.
    pulled: Option<Release>,
}

pub struct World {
    etcd: Etcd,
    backup: Option<Etcd>,
    agent: Option<Agent>,
    now: Timestamp,
    elapsed: Duration,
    /// The requests for which the agent rolled back by itself: retry, generation and failed release.
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

    pub fn play(&mut self, event: Event) {
        self.elapsed = Duration::from_secs(1);
        match event {
            Event::Assign(which) => {
                (self.etcd.assigned, self.etcd.generation) = (which, self.etcd.generation + 1);
            }
            Event::Retry => self.etcd.retry += 1,
            Event::Pause(paused) => self.etcd.is_paused = paused,
            Event::Delete => self.etcd.is_deleting = true,
            Event::StatusLost if self.etcd.has_lost_release => {}
            Event::StatusLost => {
                (self.agent, self.etcd.status) = (None, ManagedAddOnStatus::default());
                // With the status the failures are forgotten.
                self.rolled_back.clear();
            }
            Event::ReleaseLost(which) => {
                self.etcd.has_lost_release = true;
                let count = self.etcd.cluster.retained.len().max(1);
                let mut at = 0..;
                self.etcd.cluster.retained.retain(|_| at.next() != Some(which % count));
            }
            Event::Backup => self.backup = Some(self.etcd.clone()),
            Event::Restore => self.restore(),
            Event::ClockJump(forth) => {
                let jump = if forth { TEN_YEARS } else { -TEN_YEARS };
                self.now = self.now.saturating_add(jump).expect("a time");
            }
            Event::TimePasses(seconds) => self.elapsed = Duration::from_secs(seconds),
            Event::NoFault
            | Event::Crash(_)
            | Event::SaveFails
            | Event::SaveUnconfirmed
            | Event::TransientFault
            | Event::LastingFault
            | Event::OutcomeLost => {}
        }
        self.turn(event);
    }

    /// etcd is as it was at the backup, and the agent has to connect again.
    fn restore(&mut self) {
        if let Some(backup) = self.backup.clone() {
            self.etcd = backup;
            self.agent = None;
            self.rolled_back.clear();
        }
    }

    /// One round of the agent's loop, up to the event's fault. Returns when the next one is due.
    fn turn(&mut self, event: Event) -> Option<Duration> {
        self.turns += 1;
        let mut agent = self.agent.take().unwrap_or_else(|| self.start());
        let before = agent.rollout.clone();
        let after = step(before.clone(), &self.observe(&agent), self.now);
        if event == Event::Crash(Moment::BeforeSaving) {
            return None;
        }
        if event == Event::SaveFails {
            self.agent = Some(agent);
            return None;
        }
        self.save(&after.rollout);
        self.check_step(&before, &after);
        self.elapsed = Duration::ZERO;
        (agent.rollout, agent.outcome) = (after.rollout, None);
        if event == Event::SaveUnconfirmed {
            self.agent = Some(agent);
            return None;
        }
        let Some(action) = after.action else {
            self.agent = Some(agent);
            return after.wake;
        };
        let is_alive = self.act(&mut agent, &action, event);
        self.check_running_objects(&agent.rollout, &action);
        if is_alive && !self.recreates_deleted(&action, &agent) {
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

    fn observe(&self, agent: &Agent) -> Observation {
        let etcd = &self.etcd;
        let mut assignment = assignment(RELEASES[etcd.assigned]);
        assignment.policy.soak = Duration::from_secs(2);
        assignment.policy.timeout = Duration::from_secs(60);
        assignment.policy.downgrades = Downgrades::Any;
        Observation {
            assignment: Ok(Arc::new(assignment)),
            spec_version: RELEASES[etcd.assigned].to_owned(),
            generation: etcd.generation,
            retry: Some(etcd.retry.to_string()),
            is_paused: etcd.is_paused,
            ignores_windows: false,
            dependencies: Default::default(),
            deletion_intent: if etcd.is_deleting {
                DeletionIntent::Ordered
            } else {
                DeletionIntent::None
            },
            deletion: if etcd.is_orphaned { Deletion::Orphan } else { Deletion::Uninstall },
            has_finalizer: etcd.cluster.finalizer,
            has_slot: true,
            kubernetes: None,
            retained: etcd.cluster.retained.clone(),
            recovered: Vec::new(),
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
        let context =
            StatusContext { generation: Some(self.etcd.generation), ..StatusContext::default() };
        let before = std::mem::take(&mut self.etcd.status.conditions);
        self.etcd.status = status(rollout, &context, &before, self.now);
        self.phases.insert(rollout.phase());
    }

    /// Executes the action. Returns whether the agent is still alive.
    fn act(&mut self, agent: &mut Agent, action: &Action, event: Event) -> bool {
        let target = agent.rollout.operation.as_ref().and_then(|it| it.target.clone());
        let fault = |transient| Fault { transient, ..Fault::new(Reason::Forbidden, "no") };
        if *action == Action::Stage && agent.pulled != target {
            agent.outcome = Some(Outcome::Missing);
            return true;
        }
        let mut done = |half| self.etcd.cluster.act(action, target.as_ref(), half);
        agent.outcome = match event {
            Event::Crash(Moment::BeforeActing) => return false,
            Event::Crash(Moment::InTheAction) => {
                // These are done as a whole, or not at all.
                if !matches!(
                    action,
                    Action::Stage | Action::Retain { .. } | Action::RemoveFinalizer
                ) {
                    done(true);
                }
                return false;
            }
            Event::Crash(Moment::BeforeSaving | Moment::AfterActing) => {
                done(false);
                return false;
            }
            Event::TransientFault => Some(Outcome::Failed(fault(true))),
            Event::LastingFault => Some(Outcome::Failed(fault(false))),
            Event::OutcomeLost => {
                done(false);
                Some(Outcome::Failed(fault(true)))
            }
            Event::NoFault
            | Event::SaveFails
            | Event::SaveUnconfirmed
            | Event::Assign(_)
            | Event::Retry
            | Event::Pause(_)
            | Event::Delete
            | Event::StatusLost
            | Event::ReleaseLost(_)
            | Event::Backup
            | Event::Restore
            | Event::ClockJump(_)
            | Event::TimePasses(_) => Some(done(false)),
        };
        if *action == Action::Pull && agent.outcome == Some(Outcome::Pulled) {
            agent.pulled = target;
        }
        true
    }

    /// A `ManagedAddOn` whose finalizer is removed is recreated at once, as another one. Returns whether that happened.
    fn recreates_deleted(&mut self, action: &Action, agent: &Agent) -> bool {
        let gone =
            *action == Action::RemoveFinalizer && agent.outcome == Some(Outcome::FinalizerRemoved);
        if gone {
            let Etcd { assigned, generation, .. } = self.etcd;
            self.etcd = Etcd { assigned, generation: generation + 1, ..Etcd::default() };
            self.rolled_back.clear();
        }
        gone
    }

    fn check_step(&mut self, before: &Rollout, after: &Step) {
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
        let is_unrequested = |it: &Rollout| {
            it.phase() == Phase::RollingBack
                && matches!(it.state, State::RollingBack(Rollback { requested: false, .. }))
        };
        if is_unrequested(rollout)
            && !is_unrequested(before)
            && let Some(failed) = before.operation.as_ref().and_then(|it| it.target.clone())
        {
            let request = (self.etcd.retry, self.etcd.generation, failed);
            assert!(self.rolled_back.insert(request), "rolled back twice");
        }
        if rollout.phase().is_settled() && before.phase() != rollout.phase() {
            self.check_at_rest(rollout);
        }
    }

    /// At rest objects of two releases never mix. Reported leftovers are removed by a person.
    fn check_at_rest(&mut self, rollout: &Rollout) {
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

    /// The objects of the running version exist, whatever is done.
    fn check_running_objects(&self, rollout: &Rollout, action: &Action) {
        let removing = matches!(action, Action::Remove { .. } | Action::RemoveFinalizer);
        if rollout.current.is_some() && !removing && rollout.phase() != Phase::Removing {
            let there = self.etcd.cluster.shared.iter().all(Option::is_some);
            assert!(there, "an object of the running version was deleted by {action:?}");
        }
    }

    /// Without further faults, and after a retry, the assigned version runs if it works, and otherwise the one before.
    pub fn ends_as_without_faults(&mut self) {
        self.etcd.is_paused = false;
        self.come_to_rest();
        let running = self.rollout().current.clone();
        self.etcd.retry += 1;
        self.come_to_rest();
        let (rollout, cluster) = (self.rollout(), &self.etcd.cluster);
        let assigned = release(RELEASES[self.etcd.assigned]);
        match (verdict_of(&assigned), running) {
            (Verdict::Healthy, _) => {
                assert_eq!(rollout.phase(), Phase::Available, "{:?}", rollout.state);
                assert_eq!(rollout.current.as_ref(), Some(&assigned));
                assert!(cluster.is_wholly(&assigned), "not all of {assigned:?} is there");
            }
            // Without its release there is no rollback, and that is reported.
            (_, Some(_)) if self.etcd.has_lost_release && rollout.phase() == Phase::Failed => {
                assert_eq!(lifecycle::reason(rollout), Reason::RollbackFailed);
            }
            (_, Some(running)) => {
                assert_eq!(rollout.phase(), Phase::RolledBack, "{:?}", rollout.state);
                assert_eq!(rollout.current.as_ref(), Some(&running));
                assert!(cluster.is_wholly(&running), "not all of {running:?} is restored");
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

    fn come_to_rest(&mut self) {
        for turn in 0..MAX_TURNS {
            // The objects of a lost release cannot be found: a person reads that and sets `Orphan`.
            self.etcd.is_orphaned = turn > MAX_TURNS / 2;
            let wake = self.turn(Event::NoFault);
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
