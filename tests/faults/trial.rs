//! One plan tried on a lane: the scenario is begun, the fault happens, and it is judged how it ended.

use std::time::{Duration, Instant};

use anyhow::{Error, Result, ensure};
use lifecycle::Phase;
use tokio::time::sleep;

use crate::hub_book;
use crate::lane::Lane;
use crate::oracle::{self, Stable};
use crate::plan::Plan;
use crate::recorder::Seen;
use crate::reference::Reference;
use crate::report::PROMISED;
use crate::run::Run;
use crate::scenario::{Scenario, Story};
use crate::tally::{self, Counts};

/// Far longer than a scenario takes.
const LONGEST_REFERENCE: Duration = Duration::from_secs(75);
/// A run without a fault is over when the agent asks nothing more for this long.
const QUIET: Duration = Duration::from_millis(1400);
/// An event that the API server has sent arrives at once, on an idle machine.
const LATEST_EVENT: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(40);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As the reference run ends.
    Converged,
    /// Refused before the first write or rolled back, and everything is as before; or a namespace stays that may not be
    /// looked into: for faults that say "never". Or orphaned, where the agent did not see the deletion on the hub.
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
    pub lost: Duration,
    pub hit: Option<String>,
    pub phases: Vec<Phase>,
    pub complaints: Vec<String>,
    pub log: String,
}

impl Trial {
    /// Of which nothing can be said but why.
    pub fn broken(plan: Plan, error: &Error, lane: &Lane) -> Self {
        Self {
            plan,
            end: End::NotConverged,
            recovery: Duration::ZERO,
            lost: Duration::ZERO,
            hit: lane.script.fired().map(|fired| format!("{} {}", fired.hit.verb, fired.hit.path)),
            phases: Vec::new(),
            complaints: vec![format!("the trial broke off: {error:#}")],
            log: lane.managed.last_agent_logs(3, 400),
        }
    }
}

/// What the scenario does when nothing goes wrong.
pub async fn reference(lane: &mut Lane, scenario: Scenario) -> Result<Reference> {
    let name = candidate(lane, scenario).await?;
    let before = lane.snapshot(&name, scenario.writer).await?;
    let counted = lane.tally.of(&name)?;
    let run = Run::begin(lane, &name, scenario, &[]).await?;
    let at = ended(lane, &run, scenario).await?;
    let end = lane.snapshot(&name, scenario.writer).await?;
    let mut found = oracle::complaints(&run.seen()?, &before, &end, &Stable::default());
    found.extend(oracle::hurried(&lane.witness.sent(&name)));
    ensure!(found.is_empty(), "the reference run of {}: {}", scenario.name(), found.join("; "));
    let reference = Reference {
        records: lane.script.records(),
        events: lane.script.events(),
        took: at - run.begun,
        stable: Stable::of(&before, &end),
        counts: tally::since(&counted, &lane.tally.of(&name)?),
        end: end.clone(),
    };
    drop(run);
    lane.put_by(name, scenario.writer, end);
    Ok(reference)
}

async fn ended(lane: &Lane, run: &Run<'_>, scenario: Scenario) -> Result<Instant> {
    loop {
        ensure!(run.begun.elapsed() < LONGEST_REFERENCE, "{} does not end", scenario.name());
        let quiet = lane.script.last_request().is_some_and(|last| last.elapsed() > QUIET);
        let last = run.seen()?.pop();
        match last.filter(|last| quiet && is_end(scenario, last)) {
            Some(last) => return Ok(last.at),
            None => sleep(LOOK).await,
        }
    }
}

fn is_end(scenario: Scenario, seen: &Seen) -> bool {
    match scenario.story {
        Story::Install | Story::UpgradeOk => seen.settled() == Some(Phase::Available),
        Story::UpgradeBad => seen.settled() == Some(Phase::RolledBack),
        Story::Uninstall => seen.status.is_none(),
    }
}

pub async fn trial(lane: &mut Lane, plan: Plan, reference: &Reference) -> Result<Trial> {
    let name = candidate(lane, plan.scenario).await?;
    let writer = plan.scenario.writer;
    let before = lane.snapshot(&name, writer).await?;
    let counted = lane.tally.of(&name)?;
    lane.witness.complaints();
    let present = lane.add_on(&name).get().await?.and_then(|object| object.status);
    let mut run = Run::begin(lane, &name, plan.scenario, &plan.planned()).await?;
    let mut trial = run.watch(plan, reference, &before).await?;
    let after = lane.snapshot(&name, writer).await?;
    let seen = run.seen()?;
    trial.phases = oracle::phases(&seen);
    trial.complaints.extend(oracle::complaints(&seen, &before, &after, &reference.stable));
    trial.complaints.extend(oracle::hurried(&lane.witness.sent(&name)));
    let ledgers = present.iter().chain(seen.iter().filter_map(|seen| seen.status.as_ref()));
    trial.complaints.extend(hub_book::ahead_of(&run.reports()?, ledgers));
    trial.complaints.extend(run.greed());
    drop(run);
    trial.complaints.extend(lane.witness.complaints());
    trial.complaints.extend(miscounted(lane, &name, &counted, trial.end, reference).await?);
    if trial.lost > PROMISED {
        trial.log = lane.managed.last_agent_logs(3, 400);
    }
    if trial.complaints.is_empty() {
        lane.put_by(name, writer, after);
        return Ok(trial);
    }
    trial.end = End::NotConverged;
    trial.log = lane.managed.last_agent_logs(3, 200);
    lane.wipe(&name, writer).await?;
    Ok(trial)
}

/// Objects that were made or deleted more often than without a fault, or that should never have been deleted.
async fn miscounted(
    lane: &Lane,
    name: &str,
    before: &Counts,
    end: End,
    reference: &Reference,
) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let counts = tally::since(before, &lane.tally.of(name)?);
        let mut found = oracle::deleted(&counts, &reference.stable);
        if end == End::Converged {
            found.extend(tally::differences(&counts, &reference.counts));
        }
        // The last event may be on its way.
        if found.is_empty() || begun.elapsed() > LATEST_EVENT {
            return Ok(found);
        }
        sleep(LOOK).await;
    }
}

async fn candidate(lane: &mut Lane, scenario: Scenario) -> Result<String> {
    let name = if scenario.begins_installed() {
        lane.installed(scenario.writer).await?
    } else {
        lane.fresh()
    };
    lane.quiet().await?;
    Ok(name)
}
