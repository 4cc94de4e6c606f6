//! One plan tried on a lane: the scenario is begun, the fault happens, and it is watched how it ends.

use std::time::{Duration, Instant};

use anyhow::Result;
use lifecycle::Phase;
use testbed::fault_proxy::{Fault, Fired, Planned, Refusal};
use tokio::time::sleep;

use crate::lane::Lane;
use crate::oracle::{self, Stable};
use crate::plan::Plan;
use crate::recorder::{Recorder, Seen};
use crate::reference::Reference;
use crate::scenario::Scenario;
use crate::snapshot::Snapshot;

/// After the fault is over, on a loaded machine, and beyond what the scenario itself takes.
const PATIENCE: Duration = Duration::from_secs(25);
/// No fault is longer: a silent watch is given up within about a minute.
const LONGEST_FAULT: Duration = Duration::from_secs(90);
/// How long a place that was not reached yet is waited for once everything is as it should be.
const GRACE: Duration = Duration::from_millis(700);
const LOOK: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As the reference run ends.
    Converged,
    /// Refused before the first write or rolled back, and everything is as before: for faults that say "never".
    Refused,
    /// The plan's place was never reached, so nothing was tried.
    NotReached,
    NotConverged,
}

pub struct Trial {
    pub plan: Plan,
    pub end: End,
    /// From the agent's restart, or the end of the fault, until all was as it should be.
    pub recovery: Duration,
    /// How much longer the scenario took than without a fault, the fault's own length not counted.
    pub extra: Duration,
    pub hit: Option<String>,
    pub phases: Vec<Phase>,
    pub complaints: Vec<String>,
    pub log: String,
}

/// What a run has come to so far.
struct Run<'a> {
    lane: &'a Lane,
    name: &'a str,
    recorder: Recorder,
    begun: Instant,
    restarted: Option<Instant>,
}

pub async fn reference(lane: &mut Lane, scenario: Scenario) -> Result<Reference> {
    let name = candidate(lane, scenario).await?;
    let before = Snapshot::take(&lane.client, &name).await?;
    let run = begin(lane, &name, scenario, None).await?;
    let deadline = Instant::now() + PATIENCE * 3;
    loop {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the reference run of {} does not end",
            scenario.name()
        );
        let quiet = lane.script.last().is_some_and(|last| last.elapsed() > GRACE * 2);
        let seen = run.recorder.all()?;
        if let Some(at) = seen.last().filter(|seen| is_end(scenario, seen)).map(|seen| seen.at)
            && quiet
        {
            let end = Snapshot::take(&lane.client, &name).await?;
            let found = oracle::complaints(&seen, &before, &end, &Stable::default());
            anyhow::ensure!(
                found.is_empty(),
                "the reference run of {}: {}",
                scenario.name(),
                found.join("; ")
            );
            let reference = Reference {
                records: lane.script.records(),
                events: lane.script.events(),
                took: at - run.begun,
                stable: Stable::of(&before, &end),
                end: end.clone(),
            };
            drop(run);
            lane.put_by(name, end);
            return Ok(reference);
        }
        sleep(LOOK).await;
    }
}

pub async fn trial(lane: &mut Lane, plan: Plan, reference: &Reference) -> Result<Trial> {
    let name = candidate(lane, plan.scenario).await?;
    let before = Snapshot::take(&lane.client, &name).await?;
    let planned = Planned { at: plan.at, fault: plan.fault };
    let mut run = begin(lane, &name, plan.scenario, Some(planned)).await?;
    let mut result = run.watch(plan, reference, &before).await?;
    let after = Snapshot::take(&lane.client, &name).await?;
    let seen = run.recorder.all()?;
    result.phases = oracle::phases(&seen);
    result.complaints.extend(oracle::complaints(&seen, &before, &after, &reference.stable));
    if !result.complaints.is_empty() {
        result.end = End::NotConverged;
        result.log = lane.managed.agent_logs_end(2, 150);
    }
    drop(run);
    if result.end == End::NotConverged {
        lane.wipe(&name).await?;
    } else {
        lane.put_by(name, after);
    }
    Ok(result)
}

async fn candidate(lane: &mut Lane, scenario: Scenario) -> Result<String> {
    let name = if scenario.begins_installed() { lane.installed().await? } else { lane.fresh() };
    lane.quiet().await?;
    Ok(name)
}

async fn begin<'a>(
    lane: &'a Lane,
    name: &'a str,
    scenario: Scenario,
    planned: Option<Planned>,
) -> Result<Run<'a>> {
    let recorder = Recorder::start(lane.client.clone(), name).await?;
    lane.script.begin(planned, lane.kill());
    let begun = Instant::now();
    match scenario.assigns() {
        Some(version) => lane.assign(name, version).await?,
        None => lane.add_on(name).delete().await?,
    }
    Ok(Run { lane, name, recorder, begun, restarted: None })
}

impl Run<'_> {
    async fn watch(
        &mut self,
        plan: Plan,
        reference: &Reference,
        before: &Snapshot,
    ) -> Result<Trial> {
        let mut differences = vec!["it did not settle".to_owned()];
        let mut ended: Option<Instant> = None;
        loop {
            let fired = self.lane.script.fired();
            if self.lane.died()? {
                if !fired
                    .as_ref()
                    .is_some_and(|fired| fired.hit.ordinal == plan.at && plan.fault.kills())
                {
                    return Ok(self.end(
                        plan,
                        reference,
                        End::NotConverged,
                        vec!["the agent ended by itself".into()],
                    ));
                }
                self.lane.restart()?;
                self.restarted = Some(Instant::now());
            }
            let over = self.over(plan.fault, fired.as_ref());
            let (is, found) = self.look(plan, reference, before).await?;
            if !found.is_empty() {
                differences = found;
            } else if over.is_none() {
                differences = vec!["all is as it should be, but the fault has no end".to_owned()];
            }
            match is {
                Some(end) if over.is_some() && self.is_back().await => {
                    return Ok(self.end(plan, reference, end, Vec::new()));
                }
                Some(_)
                    if fired.is_none() && ended.is_some_and(|ended| ended.elapsed() > GRACE) =>
                {
                    return Ok(self.end(plan, reference, End::NotReached, Vec::new()));
                }
                Some(_) => _ = ended.get_or_insert_with(Instant::now),
                None => ended = None,
            }
            let late = match over {
                Some(over) => over.elapsed() > reference.took + patience(plan.fault),
                None => self.begun.elapsed() > reference.took + LONGEST_FAULT,
            };
            if late {
                return Ok(self.end(plan, reference, End::NotConverged, differences));
            }
            sleep(LOOK).await;
        }
    }

    /// When the fault was over, if it is.
    fn over(&self, fault: Fault, fired: Option<&Fired>) -> Option<Instant> {
        if fault.kills() { self.restarted } else { fired.and_then(|fired| fired.over) }
    }

    async fn is_back(&self) -> bool {
        self.restarted.is_none() || self.lane.is_ready().await
    }

    /// How it has ended, if it has; else what differs.
    async fn look(
        &self,
        plan: Plan,
        reference: &Reference,
        before: &Snapshot,
    ) -> Result<(Option<End>, Vec<String>)> {
        let seen = self.recorder.all()?;
        let Some(last) = seen.last() else { return Ok((None, Vec::new())) };
        let may_have_ended = last.status.is_none() || last.settled().is_some();
        if !may_have_ended {
            return Ok((None, vec![words(last)]));
        }
        let now = Snapshot::take(&self.lane.client, self.name).await?;
        let differences = now.differences(&reference.end);
        if differences.is_empty() {
            return Ok((Some(End::Converged), differences));
        }
        if may_refuse(plan.fault)
            && last.settled().is_some_and(is_refusal)
            && now.same_objects(before)
        {
            return Ok((Some(End::Refused), differences));
        }
        Ok((None, differences))
    }

    fn end(&self, plan: Plan, reference: &Reference, end: End, complaints: Vec<String>) -> Trial {
        let fired = self.lane.script.fired();
        let now = Instant::now();
        let over = self.over(plan.fault, fired.as_ref()).unwrap_or(now);
        let fault =
            fired.as_ref().map_or(Duration::ZERO, |fired| over.saturating_duration_since(fired.at));
        Trial {
            plan,
            end,
            recovery: now.saturating_duration_since(over),
            extra: (now - self.begun).saturating_sub(reference.took).saturating_sub(fault),
            hit: fired.map(|fired| format!("{} {}", fired.hit.verb, fired.hit.path)),
            phases: Vec::new(),
            complaints,
            log: String::new(),
        }
    }
}

/// What the watch did not tell is looked for once a minute.
fn patience(fault: Fault) -> Duration {
    if fault.is_of_events() { PATIENCE + Duration::from_secs(65) } else { PATIENCE }
}

fn is_end(scenario: Scenario, seen: &Seen) -> bool {
    match scenario {
        Scenario::Install | Scenario::UpgradeOk => seen.settled() == Some(Phase::Available),
        Scenario::UpgradeBad => seen.settled() == Some(Phase::RolledBack),
        Scenario::Uninstall => seen.status.is_none(),
    }
}

/// An answer that means "never" ends a rollout.
fn may_refuse(fault: Fault) -> bool {
    matches!(fault, Fault::Refuse(Refusal::Forbidden | Refusal::NotFound | Refusal::Garbage))
}

fn is_refusal(phase: Phase) -> bool {
    matches!(phase, Phase::Rejected | Phase::RolledBack | Phase::Failed)
}

fn words(seen: &Seen) -> String {
    seen.status.as_ref().map_or_else(|| "gone".to_owned(), testbed::brief)
}
