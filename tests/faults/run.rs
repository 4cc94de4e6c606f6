//! A scenario under way: watched until it has ended, the agent started again when the script killed it.

use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use lifecycle::{ManagedAddOn, Phase};
use serde_json::Value;
use testbed::fault_proxy::{Fault, Planned, Refusal};
use tokio::time::sleep;

use crate::lane::Lane;
use crate::oracle;
use crate::plan::Plan;
use crate::recorder::{Recorder, Seen};
use crate::reference::Reference;
use crate::scenario::{HUB, Scenario, Story, Writer};
use crate::snapshot::Snapshot;
use crate::trial::{End, Trial};

/// After the fault is over, on a loaded machine, and beyond what the scenario itself takes.
const PATIENCE: Duration = Duration::from_secs(25);
/// What a watch did not tell is looked for once a minute.
const PATIENCE_WITH_WATCHES: Duration = Duration::from_secs(90);
/// No fault is longer: a silent watch is given up within about a minute.
const LONGEST_FAULT: Duration = Duration::from_secs(90);
/// How long a server is away: longer than some rollouts, shorter than the agent's lease.
const OUTAGE: Duration = Duration::from_secs(6);
/// Without a hub everything goes on; should it not, that is found out when the hub is back.
const LONGEST_OUTAGE: Duration = Duration::from_secs(40);

/// How long a place that was not reached yet is waited for once everything is as it should be.
const GRACE: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(40);
const LONG_LOOK: Duration = Duration::from_millis(160);

pub struct Run<'a> {
    lane: &'a Lane,
    name: &'a str,
    recorder: Recorder<ManagedAddOn>,
    reports: Option<Recorder<Lease>>,
    pub begun: Instant,
    restarted: Option<Instant>,
}

impl<'a> Run<'a> {
    pub async fn begin(
        lane: &'a Lane,
        name: &'a str,
        scenario: Scenario,
        planned: &[Planned],
    ) -> Result<Self> {
        let recorder = Recorder::start(Api::all(lane.client.clone()), name).await?;
        let reports = match scenario.writer {
            Writer::Local => None,
            Writer::Hub => Some(Recorder::start(lane.hub.leases(), name).await?),
        };
        lane.script.begin(planned, lane.counts(name, scenario), lane.kill());
        let begun = Instant::now();
        match scenario.assigns() {
            Some(version) => lane.assign(name, version, scenario.writer).await?,
            None => lane.unassign(name, scenario.writer).await?,
        }
        Ok(Run { lane, name, recorder, reports, begun, restarted: None })
    }

    pub fn seen(&self) -> Result<Vec<Seen>> {
        Ok(self.recorder.all()?.into_iter().map(Seen::from).collect())
    }

    /// What the hub was told, in its order.
    pub fn reports(&self) -> Result<Vec<Value>> {
        let Some(reports) = &self.reports else { return Ok(Vec::new()) };
        let versions = reports.all()?.into_iter().filter(|version| !version.gone);
        versions.map(|version| self.lane.hub.parse_report(&version.object)).collect()
    }

    /// Until it has ended, or should have.
    pub async fn watch(
        &mut self,
        plan: Plan,
        reference: &Reference,
        before: &Snapshot,
    ) -> Result<Trial> {
        let mut well_since: Option<Instant> = None;
        let mut differences = vec!["it did not settle".to_owned()];
        loop {
            if self.lane.died()? && !self.revive(plan)? {
                let complaint = vec!["the agent ended by itself".to_owned()];
                return Ok(self.end(plan, reference, End::NotConverged, complaint));
            }
            self.heal(plan, reference).await?;
            let over = self.over(plan);
            match self.look(plan, reference, before).await? {
                Ok(end) if over.is_some() && self.is_back().await => {
                    return Ok(self.end(plan, reference, end, Vec::new()));
                }
                Ok(_) => {
                    let since = *well_since.get_or_insert_with(Instant::now);
                    if !self.lane.script.is_finished() && since.elapsed() > GRACE {
                        return Ok(self.end(plan, reference, End::NotReached, Vec::new()));
                    }
                    differences = vec!["all is well, but the fault has no end".to_owned()];
                }
                Err(found) => {
                    well_since = None;
                    differences = found;
                    // Each look asks the API server for much.
                    sleep(if self.is_settled(plan)? { LONG_LOOK } else { Duration::ZERO }).await;
                }
            }
            if self.is_late(plan, reference, over) {
                return Ok(self.end(plan, reference, End::NotConverged, differences));
            }
            sleep(LOOK).await;
        }
    }

    /// So that only what is around it can still differ.
    fn is_settled(&self, plan: Plan) -> Result<bool> {
        let last = self.seen()?.pop();
        let gone = plan.scenario.story == Story::Uninstall;
        Ok(last.is_some_and(|last| last.settled().is_some() || gone && last.status.is_none()))
    }

    /// Starts the agent again, if it was the script that killed it.
    fn revive(&mut self, plan: Plan) -> Result<bool> {
        let killed = plan.planned().iter().any(|planned| planned.fault.kills());
        let fired = self.lane.script.fired();
        if !killed || fired.is_none_or(|fired| self.restarted > Some(fired.at)) {
            return Ok(false);
        }
        // Taken before: it may be killed as soon as it is there.
        self.restarted = Some(Instant::now());
        self.lane.restart()?;
        Ok(true)
    }

    /// What the agent needed; one that has just ended needs nothing.
    pub fn greed(&self) -> Vec<String> {
        let needs = self.lane.managed.agent_usage().unwrap_or_default();
        let script = &self.lane.script;
        let lasted = script.fired().and_then(|fired| Some(fired.over? - fired.at));
        let in_vain = lasted.and_then(|lasted| oracle::stubborn(script.failed_requests(), lasted));
        let greed = oracle::greed(needs, script.records().len(), self.begun.elapsed());
        greed.into_iter().chain(in_vain).collect()
    }

    /// Ends an outage: of the hub, once everything is done that needs no hub; of others, after a while.
    async fn heal(&self, plan: Plan, reference: &Reference) -> Result<()> {
        let Some(fired) = self.lane.script.fired().filter(|fired| fired.over.is_none()) else {
            return Ok(());
        };
        if !plan.last().is_outage() || fired.at.elapsed() < OUTAGE {
            return Ok(());
        }
        let is_assigned = self.seen()?.iter().any(|seen| seen.at < fired.at);
        if fired.hit.server == HUB && is_assigned && fired.at.elapsed() < LONGEST_OUTAGE {
            let now = self.lane.snapshot(self.name, plan.scenario.writer).await?;
            if !now.differences_here(&reference.end).is_empty() {
                return Ok(());
            }
        }
        self.lane.script.heal();
        Ok(())
    }

    /// When the last fault was over, if it is.
    fn over(&self, plan: Plan) -> Option<Instant> {
        let fired = self.lane.script.fired().filter(|_| self.lane.script.is_finished())?;
        if plan.last().kills() {
            return self.restarted.filter(|restarted| *restarted > fired.at);
        }
        fired.over
    }

    async fn is_back(&self) -> bool {
        self.restarted.is_none() || self.lane.is_ready().await
    }

    fn is_late(&self, plan: Plan, reference: &Reference, over: Option<Instant>) -> bool {
        let patience = if plan.last().is_of_events() { PATIENCE_WITH_WATCHES } else { PATIENCE };
        match over {
            Some(over) => over.elapsed() > reference.took + patience,
            None => self.begun.elapsed() > reference.took + LONGEST_FAULT,
        }
    }

    /// How it has ended, if it has; else what differs from how it should.
    async fn look(
        &self,
        plan: Plan,
        reference: &Reference,
        before: &Snapshot,
    ) -> Result<Result<End, Vec<String>>> {
        let Some(last) = self.seen()?.pop() else { return Ok(Err(vec!["no change".to_owned()])) };
        if last.status.is_some() && last.settled().is_none() {
            return Ok(Err(vec![words(&last)]));
        }
        let now = self.lane.snapshot(self.name, plan.scenario.writer).await?;
        let differences = now.differences(&reference.end);
        let refused = self.may_be_refused(plan.fault) && last.settled().is_some_and(is_refusal);
        Ok(match differences.is_empty() {
            true => Ok(End::Converged),
            false if refused && now.is_tidy() && now.same_objects(before) => Ok(End::Refused),
            false
                if self.may_be_orphaned(plan) && is_orphaned(&last) && now.same_objects(before) =>
            {
                Ok(End::Refused)
            }
            // A namespace that may not be looked into may hold others' objects: it has to stay.
            false if last.status.is_none() && is_forbidden(plan) && now.is_namespace() => {
                Ok(End::Refused)
            }
            false => Err(differences),
        })
    }

    /// Only a deletion that was seen is an order: whoever was dead or cut off then finds an absence, which is none.
    fn may_be_orphaned(&self, plan: Plan) -> bool {
        let deleted =
            (plan.scenario.story, plan.scenario.writer) == (Story::Uninstall, Writer::Hub);
        let blind = plan.fault.kills() || plan.fault.is_of_events() || plan.fault.is_outage();
        let watching = self.lane.script.fired().is_some_and(|fired| fired.hit.watch);
        deleted && (blind || watching)
    }

    /// An answer that means "never" may end a rollout; from whoever serves a bundle, any refusal may mean that.
    fn may_be_refused(&self, fault: Fault) -> bool {
        let Fault::Refuse(refusal) = fault else { return false };
        let fired = self.lane.script.fired();
        matches!(refusal, Refusal::Forbidden | Refusal::NotFound | Refusal::Garbage)
            || fired.is_some_and(|fired| self.lane.is_bundle(&fired.hit.path))
    }

    fn end(&self, plan: Plan, reference: &Reference, end: End, complaints: Vec<String>) -> Trial {
        let fired = self.lane.script.fired();
        let now = Instant::now();
        let over = self.over(plan).unwrap_or(now);
        self.lane.script.disarm();
        let lasted = fired.as_ref().map_or(Duration::ZERO, |fired| over - fired.at);
        Trial {
            plan,
            end,
            recovery: now - over,
            lost: (now - self.begun).saturating_sub(reference.took).saturating_sub(lasted),
            hit: fired.map(|fired| format!("{} {}", fired.hit.verb, fired.hit.path)),
            phases: Vec::new(),
            complaints,
            log: String::new(),
        }
    }
}

fn is_forbidden(plan: Plan) -> bool {
    plan.fault == Fault::Refuse(Refusal::Forbidden)
}

fn is_orphaned(seen: &Seen) -> bool {
    let mut conditions = seen.status.iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == "Orphaned" && condition.status == "True")
}

fn is_refusal(phase: Phase) -> bool {
    matches!(phase, Phase::Rejected | Phase::RolledBack | Phase::Failed)
}

fn words(seen: &Seen) -> String {
    seen.status.as_ref().map_or_else(|| "gone".to_owned(), testbed::summarize)
}
