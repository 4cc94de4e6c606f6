//! Which faults are tried: every request and event of the reference runs, or a sample.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, bail};
use testbed::fault_proxy::{Break, EventFault, Fault, Moment, Planned, Record, Refusal};

use crate::reference::Reference;
use crate::scenario::{Scenario, Writer};

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

/// So many beginnings of each outage in a scenario, and of what only takes longer.
const OUTAGES: usize = 6;
const DELAYS: usize = 12;

/// Everything that is worth trying.
pub fn all(references: &BTreeMap<Scenario, Reference>, faults: &[Fault]) -> Vec<Plan> {
    let mut plans = Vec::new();
    for (scenario, reference) in references {
        for fault in faults.iter().copied() {
            let plan = |at| Plan { scenario: *scenario, at, fault, then: None };
            if fault.is_of_events() {
                let events = if is_lost_for_good(fault, *scenario) { 0 } else { reference.events };
                plans.extend((0..events).map(plan));
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

/// The hub is not asked for lists from time to time, so an event that its watch loses is known when the watch has to
/// begin anew: no API server loses one.
fn is_lost_for_good(fault: Fault, scenario: Scenario) -> bool {
    fault == Fault::Event(EventFault::Drop) && scenario.writer == Writer::Hub
}

/// Where an outage begins matters little, or what is late: some places over the whole scenario.
fn spread(fault: Fault, places: &[usize]) -> impl Iterator<Item = usize> {
    let most = match fault {
        Fault::Outage(_) => OUTAGES,
        Fault::Break(Break::Delay | Break::SlowBody) => DELAYS,
        Fault::Kill(_) | Fault::Refuse(_) | Fault::Break(_) | Fault::Event(_) => places.len(),
    };
    let step = places.len().div_ceil(most.max(1)).max(1);
    places.iter().copied().step_by(step)
}

/// Not one of many that ask the same, as looks at health do: the first is broken. A kill is tried at each.
fn is_news(fault: Fault, record: &Record, all: &[Record]) -> bool {
    let same = |other: &&Record| (&other.verb, &other.path) == (&record.verb, &record.path);
    let at_each = matches!(fault, Fault::Kill(Moment::Before | Moment::Unanswered | Moment::After));
    at_each || !all[..record.ordinal].iter().any(|other| same(&other))
}

/// Nobody answers a read with a conflict.
fn fits(fault: Fault, record: &Record) -> bool {
    fault != Fault::Refuse(Refusal::Conflict) || record.verb != "GET"
}

/// `count` of them at most, as evenly as can be over faults, and of each fault over scenarios; of those that take half a
/// minute each, two a fault.
pub fn sample(all: Vec<Plan>, count: usize, random: &mut fastrand::Rng) -> Vec<Plan> {
    let mut by_fault: BTreeMap<Fault, Vec<Plan>> = BTreeMap::new();
    for plan in all {
        by_fault.entry(plan.fault).or_default().push(plan);
    }
    let slow = by_fault.keys().filter(|fault| is_slow(**fault)).count();
    let quick = by_fault.len().saturating_sub(slow).max(1);
    let each = count.saturating_sub(slow * SLOW).div_ceil(quick);
    let mut rounds: Vec<(usize, Plan)> = Vec::new();
    for (fault, plans) in by_fault {
        let most = if is_slow(fault) { SLOW } else { each };
        rounds.extend(over_scenarios(plans, random).into_iter().take(most).enumerate());
    }
    random.shuffle(&mut rounds);
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, plan)| plan).take(count).collect()
}

/// Shuffled, one of each scenario after the other.
fn over_scenarios(mut plans: Vec<Plan>, random: &mut fastrand::Rng) -> Vec<Plan> {
    random.shuffle(&mut plans);
    let mut met: BTreeMap<Scenario, usize> = BTreeMap::new();
    let mut rounds: Vec<(usize, Plan)> = Vec::new();
    for plan in plans {
        let round = met.entry(plan.scenario).or_default();
        rounds.push((*round, plan));
        *round += 1;
    }
    rounds.sort_by_key(|(round, _)| *round);
    rounds.into_iter().map(|(_, plan)| plan).collect()
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

/// So many of a slow fault in a sample.
const SLOW: usize = 2;

/// The client needs its whole patience.
pub fn is_slow(fault: Fault) -> bool {
    matches!(fault, Fault::Break(Break::Hang) | Fault::Event(EventFault::Stall))
        || fault.is_outage()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_every_fault_and_is_as_large_as_asked() {
        let scenarios: Vec<Scenario> = Scenario::all().collect();
        let all = scenarios.iter().flat_map(|scenario| {
            let plan = |at, fault| Plan { scenario: *scenario, at, fault, then: None };
            (0..20).flat_map(move |at| Fault::all().map(move |fault| plan(at, fault)))
        });
        let all: Vec<Plan> = all.collect();
        let plans = sample(all, 180, &mut fastrand::Rng::with_seed(1));
        assert_eq!(plans.len(), 180);
        for fault in Fault::all() {
            let of: Vec<&Plan> = plans.iter().filter(|plan| plan.fault == fault).collect();
            let slow = if is_slow(fault) { of.len() == SLOW } else { of.len() > 4 };
            assert!(slow, "{} plans of {}", of.len(), fault.name());
        }
        for scenario in scenarios {
            assert!(plans.iter().filter(|plan| plan.scenario == scenario).count() > 8);
        }
    }

    #[test]
    fn a_plan_is_read_as_it_is_told() {
        for text in ["hub-install 3 storm-503", "upgrade-bad 12 kill-after 4 term"] {
            assert_eq!(text.parse::<Plan>().unwrap().to_string(), text);
        }
    }
}
