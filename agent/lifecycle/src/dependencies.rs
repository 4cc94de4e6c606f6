//! The other add-ons of this cluster: what this one requires of them, and they of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use semver::Version;

use crate::api::{ManagedAddOn, Phase};
use crate::deletion::DeletionIntent;
use crate::ledger::rollout::Rollout;
use crate::reason::{Fault, Reason};
use crate::spec::requirement::Requirement;

/// What others have to know of an add-on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerState {
    pub current: Option<Version>,
    /// There may be objects of another version, or what runs is being removed.
    pub moving: bool,
    /// Needs of what runs, and of what is being written.
    pub relies_on: Vec<Requirement>,
    /// Needs of what is assigned.
    pub asks: Vec<Requirement>,
}

/// By name.
pub type PeerStates = BTreeMap<String, Arc<PeerState>>;

/// The neighbours that one add-on has to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependencies {
    name: String,
    neighbours: PeerStates,
}

impl PeerState {
    /// What cannot be read runs nothing and relies on nothing.
    pub fn of(add_on: &ManagedAddOn) -> Self {
        let status = add_on.status.as_ref();
        let ledger = status.and_then(|status| Rollout::load(status).ok().flatten());
        let rollout = ledger.unwrap_or_default();
        let asked = add_on.spec.requires.iter().flatten();
        Self {
            moving: rollout.phase() == Phase::Removing
                || DeletionIntent::of(add_on) == DeletionIntent::Ordered
                || !rollout.untouched(),
            relies_on: rollout.relies_on(),
            asks: asked.filter_map(|requirement| Requirement::read(requirement).ok()).collect(),
            current: rollout.current.map(|current| current.version),
        }
    }
}

impl Dependencies {
    /// Those that it needs, those that they need in turn, and those that rely on it.
    pub fn of(name: &str, needs: &[Requirement], all: &PeerStates) -> Self {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = needs.iter().map(|need| need.add_on.as_str()).collect();
        while let Some(needed) = next.pop() {
            if known.insert(needed) {
                let asks = all.get(needed).map(|neighbour| &neighbour.asks);
                next.extend(asks.into_iter().flatten().map(|need| need.add_on.as_str()));
            }
        }
        let relies = |neighbour: &PeerState| neighbour.relies_on.iter().any(|n| n.add_on == name);
        let concerns = |(other, neighbour): &(&String, &Arc<PeerState>)| {
            known.contains(other.as_str()) || relies(neighbour)
        };
        let neighbours = all.iter().filter(concerns).map(|(k, v)| (k.clone(), v.clone())).collect();
        Self { name: name.to_owned(), neighbours }
    }

    /// Why these needs are not met at this moment.
    pub fn unmet(&self, needs: &[Requirement]) -> Option<Fault> {
        let unmet: Vec<String> = needs.iter().filter_map(|need| self.lacks(need)).collect();
        let message = || format!("requires {}", unmet.join(", and "));
        (!unmet.is_empty()).then(|| Fault::new(Reason::RequirementNotMet, message()))
    }

    /// What is in the way of a need, in words.
    fn lacks(&self, need: &Requirement) -> Option<String> {
        let Some(neighbour) = self.neighbours.get(&need.add_on) else {
            return Some(format!("{need}, which is not here"));
        };
        match &neighbour.current {
            None => Some(format!("{need}, which is not installed yet")),
            Some(version) if !need.allows(version) => Some(format!("{need}; {version} runs here")),
            Some(version) if neighbour.moving => {
                Some(format!("{need}; {version} runs here and is being changed"))
            }
            Some(_) => None,
        }
    }

    /// Needs that wait for each other can never be met.
    pub fn circle(&self, needs: &[Requirement]) -> Option<Fault> {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut paths: Vec<Vec<&str>> = self.missing(needs).map(|name| vec![name]).collect();
        while let Some(path) = paths.pop() {
            let Some(last) = path.last().filter(|last| known.insert(last)) else { continue };
            if *last == self.name {
                let message = format!(
                    "waits for itself: {} requires {}",
                    self.name,
                    path.join(", which requires ")
                );
                return Some(Fault::new(Reason::RequirementCycle, message));
            }
            let asks = self.neighbours.get(*last).map(|neighbour| neighbour.asks.as_slice());
            let further = self.missing(asks.unwrap_or_default());
            paths.extend(further.map(|name| [path.as_slice(), &[name]].concat()));
        }
        None
    }

    /// Add-ons of which no version runs that would do.
    fn missing<'a>(&'a self, needs: &'a [Requirement]) -> impl Iterator<Item = &'a str> {
        let runs = |need: &Requirement| {
            let neighbour = self.neighbours.get(&need.add_on);
            neighbour.is_some_and(|it| it.current.as_ref().is_some_and(|it| need.allows(it)))
        };
        needs.iter().filter(move |need| !runs(need)).map(|need| need.add_on.as_str())
    }

    /// Others that work with the version that runs and would not with this one.
    pub fn broken(&self, from: &Version, to: &Version) -> Option<Fault> {
        let breaks = |need: &&Requirement| need.allows(from) && !need.allows(to);
        let broken: Vec<String> = self.dependents(breaks);
        let message = || format!("{to} would break what runs here: {}", broken.join(", "));
        (!broken.is_empty()).then(|| Fault::new(Reason::RequiredByOthers, message()))
    }

    /// Others that rely on this one, in words.
    pub fn relied_on(&self) -> Vec<String> {
        self.dependents(|_| true)
    }

    fn dependents(&self, which: impl Fn(&&Requirement) -> bool) -> Vec<String> {
        let others = self.neighbours.iter().filter(|(name, _)| **name != self.name);
        let needs = others.flat_map(|(name, neighbour)| {
            let ours = neighbour.relies_on.iter().filter(|need| need.add_on == self.name);
            ours.map(move |need| (name, need))
        });
        let needs = needs.filter(|(_, need)| which(need));
        needs.map(|(name, need)| format!("{name} requires {need}")).collect()
    }
}
