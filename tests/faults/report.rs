//! What is told while plans are tried, and at the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testbed::fault_proxy::{Fault, Moment};

use crate::trial::{End, Trial};

/// What a recovery may take beyond the scenario itself.
pub const PROMISED: Duration = Duration::from_secs(5);
/// How often progress is told.
const EVERY: Duration = Duration::from_secs(20);

/// Times are those of the recovery: from the agent's restart or the fault's end to the scenario's end. LOST is the most that a
/// scenario took longer than without the fault, the fault itself not counted.
const HEADER: &str = "\
FAULT             PLANS  CONVERGED  REFUSED  NOT REACHED   MEDIAN      MAX     LOST  OVER 5 s";

pub struct Report {
    planned: usize,
    begun: Instant,
    told: Instant,
    trials: Vec<Trial>,
    pub others: Vec<String>,
}

impl Report {
    pub fn of(planned: usize) -> Self {
        let now = Instant::now();
        Self { planned, begun: now, told: now, trials: Vec::new(), others: Vec::new() }
    }

    pub fn add(&mut self, trial: Trial) {
        if trial.end == End::NotConverged {
            self.failed(&trial);
        } else if trial.lost > PROMISED {
            late(&trial);
        }
        self.trials.push(trial);
        if self.told.elapsed() > EVERY {
            self.told = Instant::now();
            self.progress();
        }
    }

    fn progress(&self) {
        let done = self.trials.len();
        let each = self.begun.elapsed().div_f64(done.max(1) as f64);
        let left = each.mul_f64(self.planned.saturating_sub(done) as f64);
        let failed = self.count(|trial| trial.end == End::NotConverged);
        println!(
            "  {done} of {} plans, {failed} not converged, about {} left",
            self.planned,
            minutes(left)
        );
    }

    fn failed(&self, trial: &Trial) {
        let phases: Vec<&str> = trial.phases.iter().map(|phase| phase.name()).collect();
        println!("\nNOT CONVERGED: {}", trial.plan);
        println!("  at:        {}", trial.hit.as_deref().unwrap_or("nothing happened yet"));
        println!("  phases:    {}", phases.join(" "));
        for complaint in &trial.complaints {
            println!("  found:     {complaint}");
        }
        match write_log(trial) {
            Ok(path) => println!("  agent:     {path}"),
            Err(error) => println!("  agent:     its log could not be kept: {error}"),
        }
        println!("  reproduce: cargo faults -- --plan \"{}\"", trial.plan);
    }

    /// The table and the last line; whether everything converged.
    pub fn end(&self, seed: u64) -> bool {
        println!("\n{HEADER}");
        let mut by_kind: BTreeMap<(bool, Fault), Vec<&Trial>> = BTreeMap::new();
        for trial in &self.trials {
            let twice = trial.plan.then.is_some();
            let first = if twice { Fault::Kill(Moment::Before) } else { trial.plan.fault };
            by_kind.entry((twice, first)).or_default().push(trial);
        }
        for trials in by_kind.values() {
            row(trials);
        }
        let tried = self.count(|trial| trial.end != End::NotReached);
        let converged = self.count(|trial| matches!(trial.end, End::Converged | End::Refused));
        match self.write_outcomes() {
            Ok(path) => println!("every plan's outcome: {path}"),
            Err(error) => println!("the outcomes could not be kept: {error}"),
        }
        self.others.iter().for_each(|other| println!("AFTERWARDS: {other}"));
        println!("{}", minutes(self.begun.elapsed()));
        println!("{tried} plans, {converged} converged, seed {seed}");
        tried == converged && self.others.is_empty()
    }

    /// One line a plan: how it ended, how long its recovery took, how much it lost by it, and what it happened to.
    fn write_outcomes(&self) -> std::io::Result<String> {
        let mut lines: Vec<String> = self.trials.iter().map(outcome).collect();
        lines.sort();
        write("outcomes.txt", &lines.join("\n"))
    }

    fn count(&self, is: impl Fn(&Trial) -> bool) -> usize {
        self.trials.iter().filter(|trial| is(trial)).count()
    }
}

fn late(trial: &Trial) {
    let log = write_log(trial).unwrap_or_else(|error| error.to_string());
    let lost = seconds(Some(&trial.lost));
    println!("  late by {lost}: {} at {}; {log}", trial.plan, trial.hit.as_deref().unwrap_or("-"));
}

fn row(trials: &[&Trial]) {
    let name = trials.first().map_or("", |trial| trial.plan.kind());
    let count = |end: End| trials.iter().filter(|trial| trial.end == end).count();
    let unreached = count(End::NotReached);
    let converged = |trial: &&&Trial| matches!(trial.end, End::Converged | End::Refused);
    let mut times: Vec<Duration> =
        trials.iter().filter(converged).map(|trial| trial.recovery).collect();
    times.sort();
    let lost: Vec<Duration> = trials.iter().filter(converged).map(|trial| trial.lost).collect();
    let late = lost.iter().filter(|lost| **lost > PROMISED).count();
    println!(
        "{name:<16} {:>6} {:>10} {:>8} {unreached:>12} {:>8} {:>8} {:>8} {late:>9}",
        trials.len() - unreached,
        count(End::Converged),
        count(End::Refused),
        seconds(times.get(times.len() / 2)),
        seconds(times.last()),
        seconds(lost.iter().max()),
    );
}

fn outcome(trial: &Trial) -> String {
    let end = match trial.end {
        End::Converged => "converged",
        End::Refused => "refused",
        End::NotReached => "not reached",
        End::NotConverged => "NOT CONVERGED",
    };
    let last = trial.phases.last().map_or("gone", |phase| phase.name());
    format!(
        "{:<44} {end:<13} {:>8} {:>8} {last:<12} {}",
        trial.plan.to_string(),
        seconds(Some(&trial.recovery)),
        seconds(Some(&trial.lost)),
        trial.hit.as_deref().unwrap_or("-")
    )
}

fn write_log(trial: &Trial) -> std::io::Result<String> {
    write(&format!("{}.log", trial.plan.to_string().replace(' ', "-")), &trial.log)
}

/// Beside what else the test bed makes.
fn write(name: &str, content: &str) -> std::io::Result<String> {
    let folder = testbed::testbed_dir().join("faults");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    std::fs::write(&path, content)?;
    Ok(path.display().to_string())
}

fn seconds(time: Option<&Duration>) -> String {
    time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
}

pub fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}
