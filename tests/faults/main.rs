//! `cargo faults`: no fault loses anything. Each plan is one scenario with one thing going wrong at one request between the
//! agent and a real API server or a file server; it has to end as the run without a fault did.

#[path = "../../agent/lifecycle/tests/laws/graph.rs"]
mod graph;
mod hub_book;
mod lane;
mod matrix;
mod options;
mod oracle;
mod plan;
mod recorder;
mod reference;
mod report;
mod run;
mod scenario;
mod snapshot;
mod tally;
mod trial;
mod witness;

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::{join_all, try_join_all};
use testbed::Hub;

use lane::Lane;
use options::{Options, USAGE};
use plan::Plan;
use reference::Reference;
use report::{Report, minutes};
use scenario::{Scenario, Writer};
use trial::Trial;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(options) if options.help => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Ok(options) => options,
        Err(error) => {
            eprintln!("faults: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(faults(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn faults(options: &Options) -> Result<bool> {
    testbed::Binaries::ensure()?;
    testbed::agent_binary()?;
    let count = if options.list { 1 } else { options.lanes.min(options.plans.len().max(1)) };
    let count = if options.plans.is_empty() && !options.list { options.lanes } else { count };
    let hub = Hub::start("faults-hub", "none").await?;
    let mut lanes = try_join_all((0..count).map(|number| Lane::start(number, &hub))).await?;
    let references = references(&mut lanes[0], &scenarios(options)).await?;
    if options.list {
        list(&references);
        return Ok(true);
    }
    let plans = plans(options, &references);
    tell(options, &plans, &references, count);
    let report = Arc::new(Mutex::new(Report::of(plans.len())));
    let queue = Arc::new(Mutex::new(VecDeque::from(plans)));
    let references = Arc::new(references);
    let works = lanes
        .into_iter()
        .map(|lane| tokio::spawn(work(lane, queue.clone(), references.clone(), report.clone())));
    for work in join_all(works).await {
        work.context("a lane broke")??;
    }
    Ok(lock(&report).end(options.seed))
}

fn scenarios(options: &Options) -> Vec<Scenario> {
    let mut wanted = options.scenarios.clone();
    if !options.plans.is_empty() {
        wanted.retain(|scenario| options.plans.iter().any(|plan| plan.scenario == *scenario));
    }
    wanted
}

/// The first run of all also looks up kinds, so there is one before the first that counts.
async fn references(
    lane: &mut Lane,
    scenarios: &[Scenario],
) -> Result<BTreeMap<Scenario, Reference>> {
    let mut references = BTreeMap::new();
    lane.installed(Writer::Local).await?;
    for scenario in scenarios {
        let reference = trial::reference(lane, *scenario).await?;
        println!(
            "{:<12} {:>4} requests, {:>3} events, {:.1} s without a fault",
            scenario.name(),
            reference.records.len(),
            reference.events,
            reference.took.as_secs_f64()
        );
        references.insert(*scenario, reference);
    }
    lane.clear().await?;
    Ok(references)
}

fn plans(options: &Options, references: &BTreeMap<Scenario, Reference>) -> Vec<Plan> {
    if !options.plans.is_empty() {
        return options.plans.clone();
    }
    let all = plan::all(references, &options.faults);
    let mut random = fastrand::Rng::with_seed(options.seed);
    let kills: Vec<_> = options.faults.iter().copied().filter(|fault| fault.kills()).collect();
    let twice = options.twice.unwrap_or(if options.full { 200 } else { options.sample / 10 });
    let pairs = plan::pairs(references, &kills, twice, &mut random);
    let single = match options.full {
        true => all,
        false => plan::sample(all, options.sample.saturating_sub(pairs.len()), &mut random),
    };
    let mut plans = [single, pairs].concat();
    random.shuffle(&mut plans);
    plans
}

/// What is ahead, and about how long it will take.
fn tell(
    options: &Options,
    plans: &[Plan],
    references: &BTreeMap<Scenario, Reference>,
    lanes: usize,
) {
    let one = |plan: &Plan| {
        let slow = if plan::is_slow(plan.fault) { 30 } else { 2 };
        references[&plan.scenario].took + Duration::from_secs(slow)
    };
    let all: Duration = plans.iter().map(one).sum();
    let time = minutes(all.div_f64(lanes as f64));
    println!("{} plans on {lanes} lanes, seed {}, about {time}", plans.len(), options.seed);
}

fn list(references: &BTreeMap<Scenario, Reference>) {
    for (scenario, reference) in references {
        println!("\n{}", scenario.name());
        for record in &reference.records {
            let watch = if record.watch { " (watch)" } else { "" };
            println!("  {:>4} {} {}{watch}", record.ordinal, record.verb, record.path);
        }
    }
    let faults: Vec<_> = testbed::fault_proxy::Fault::all().collect();
    let plans = plan::all(references, &faults);
    println!();
    for fault in faults {
        let count = plans.iter().filter(|plan| plan.fault == fault).count();
        println!("{:<16} {count:>5} plans", fault.name());
    }
    println!("{} plans\n\nThe fault matrix:", plans.len());
    matrix::lines().for_each(|line| println!("{line}"));
}

/// A lane takes plan after plan until none is left.
async fn work(
    lane: Lane,
    queue: Arc<Mutex<VecDeque<Plan>>>,
    references: Arc<BTreeMap<Scenario, Reference>>,
    report: Arc<Mutex<Report>>,
) -> Result<()> {
    let mut lane = lane;
    loop {
        let next = lock(&queue).pop_front();
        if lane.is_full() || next.is_none() {
            let changed = lane.clear().await?;
            lock(&report).others.extend(changed);
        }
        let Some(plan) = next else { return Ok(()) };
        match trial::trial(&mut lane, plan, &references[&plan.scenario]).await {
            Ok(trial) => lock(&report).add(trial),
            // What cannot be judged did not converge; the other plans need a lane that works.
            Err(error) => {
                lock(&report).add(Trial::broken(plan, &error, &lane));
                lane = lane.anew().await.context("start a lane in place of one that broke")?;
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
