//! Which faults are tried: every request and event of the reference runs, or a sample.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, bail};
use testbed::fault_proxy::{Break, Fault, Planned, Record, Refusal, Twist};

use crate::reference::Reference;
use crate::scenario::Scenario;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Plan {
    pub scenario: Scenario,
    pub at: usize,
    pub fault: Fault,
    /// What goes wrong in the recovery, so many requests after the first.
    pub then: Option<(usize, Fault)>,
}

impl Plan {
    /// The row of the table.
    pub fn kind(&self) -> &'static str {
        match self.then {
            None => self.fault.name(),
            Some(_) => "twice",
        }
    }

    pub fn planned(&self) -> Vec<Planned> {
        let first = Planned { at: self.at, fault: self.fault };
        let then = self.then.map(|(at, fault)| Planned { at, fault });
        std::iter::once(first).chain(then).collect()
    }

    /// What happens last.
    pub fn last(&self) -> Fault {
        self.then.map_or(self.fault, |(_, fault)| fault)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.scenario.name(), self.at, self.fault.name())?;
        self.then.map_or(Ok(()), |(at, fault)| write!(f, " {at} {}", fault.name()))
    }
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let place = |at: &str, fault: &str| {
            anyhow::Ok((at.parse::<usize>().context("an index is a number")?, fault.parse()?))
        };
        let (scenario, (at, fault), then) = match words.as_slice() {
            [scenario, at, fault] => (scenario, place(at, fault)?, None),
            [scenario, at, fault, then_at, then] => {
                (scenario, place(at, fault)?, Some(place(then_at, then)?))
            }
            _ => bail!("a plan is \"<scenario> <index> <fault> [<index> <fault>]\", not {text:?}"),
        };
        Ok(Self { scenario: scenario.parse()?, at, fault, then })
    }
}

/// The same question is broken so often; a kill is tried at each.
const REPEATED: usize = 2;

/// So many beginnings of each outage in a scenario.
const OUTAGES: usize = 10;

/// Everything that is worth trying.
pub fn all(references: &BTreeMap<Scenario, Reference>, faults: &[Fault]) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (scenario, reference) in references {
        for fault in faults.iter().copied() {
            let plan = |at| Plan { scenario: *scenario, at, fault, then: None };
            if fault.is_of_events() {
                plans.extend((0..reference.events).map(plan));
            } else {
                let fitting = reference.records.iter().filter(|record| {
                    fits(fault, record) && is_news(fault, record, &reference.records)
                });
                let places: Vec<usize> = fitting.map(|record| record.ordinal).collect();
                plans.extend(spread(fault, &places).map(plan));
            }
        }
    }
    plans
}

/// Where an outage begins matters little: some places over the whole scenario.
fn spread(fault: Fault, places: &[usize]) -> impl Iterator<Item = usize> {
    let step = if fault.is_outage() { places.len().div_ceil(OUTAGES).max(1) } else { 1 };
    places.iter().copied().step_by(step)
}

/// Not one of many that ask the same, as looks at health do.
fn is_news(fault: Fault, record: &Record, all: &[Record]) -> bool {
    let same = |other: &&Record| (&other.verb, &other.path) == (&record.verb, &record.path);
    let most = match (fault.kills(), is_slow(fault)) {
        (true, _) => return true,
        (false, true) => 1,
        (false, false) => REPEATED,
    };
    all[..record.ordinal].iter().filter(same).count() < most
}

/// Nobody answers a read with a conflict.
fn fits(fault: Fault, record: &Record) -> bool {
    fault != Fault::Refuse(Refusal::Conflict) || record.verb != "GET"
}

/// `count` of them at most, as evenly as can be over scenarios and kinds; of those that take a minute each, two a kind.
pub fn sample(all: Vec<Plan>, count: usize, random: &mut fastrand::Rng) -> Vec<Plan> {
    let mut groups: BTreeMap<(Option<Scenario>, Fault), Vec<Plan>> = BTreeMap::new();
    for plan in all {
        let scenario = Some(plan.scenario).filter(|_| !is_slow(plan.fault));
        groups.entry((scenario, plan.fault)).or_default().push(plan);
    }
    let each = count.div_ceil(groups.len().max(1));
    let mut rounds: Vec<(usize, Plan)> = Vec::new();
    for ((_, fault), mut group) in groups {
        random.shuffle(&mut group);
        let most = if is_slow(fault) { each.min(2) } else { each };
        rounds.extend(group.into_iter().take(most).enumerate());
    }
    random.shuffle(&mut rounds);
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, plan)| plan).take(count).collect()
}

/// Killed, and killed again in the recovery: so many pairs over all scenarios.
pub fn pairs(
    references: &BTreeMap<Scenario, Reference>,
    kills: &[Fault],
    count: usize,
    random: &mut fastrand::Rng,
) -> Vec<Plan> {
    let scenarios: Vec<_> = references.iter().cycle().take(count).collect();
    let mut pair = |(scenario, reference): (&Scenario, &Reference)| {
        let at = random.usize(..reference.records.len().max(1));
        let left = reference.records.len().saturating_sub(at).max(SHORTEST_RECOVERY);
        let fault = *random.choice(kills)?;
        let then = Some((random.usize(..left), *random.choice(kills)?));
        Some(Plan { scenario: *scenario, at, fault, then })
    };
    scenarios.into_iter().filter_map(&mut pair).collect()
}

/// What a restarted agent asks before anything else.
const SHORTEST_RECOVERY: usize = 8;

/// The client needs its whole patience.
pub fn is_slow(fault: Fault) -> bool {
    matches!(fault, Fault::Break(Break::Hang) | Fault::Event(Twist::Stall)) || fault.is_outage()
}
