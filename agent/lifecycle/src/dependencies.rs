//! Dependencies between the add-ons of a cluster, in both directions: those that one requires, and those that require it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use semver::Version;

use crate::api::{ManagedAddOn, Phase};
use crate::deletion::DeletionIntent;
use crate::ledger::rollout::Rollout;
use crate::reason::{Fault, Reason};
use crate::spec::requirement::Requirement;

/// The state of an add-on that others depend on. An add-on whose ledger cannot be read runs nothing and requires nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerState {
    /// The version that runs.
    pub current: Option<Version>,
    /// Whether objects of another version may exist, or the version that runs is being removed.
    pub is_changing: bool,
    /// Requirements of the version that runs and of the version that is being written.
    pub active_requirements: Vec<Requirement>,
    /// Requirements of the assigned version.
    pub assigned_requirements: Vec<Requirement>,
}

/// The states of add-ons, by their names.
pub type PeerStates = BTreeMap<String, Arc<PeerState>>;

/// The states of all add-ons that matter to one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dependencies {
    name: String,
    peers: PeerStates,
}

impl PeerState {
    /// Reads the state of an add-on from its spec, its metadata and its ledger.
    pub fn read(add_on: &ManagedAddOn) -> Self {
        let status = add_on.status.as_ref();
        let ledger = status.and_then(|status| Rollout::load(status).ok().flatten());
        let rollout = ledger.unwrap_or_default();
        let assigned = add_on.spec.requires.iter().flatten();
        Self {
            is_changing: rollout.phase() == Phase::Removing
                || DeletionIntent::read(add_on) == DeletionIntent::Ordered
                || !rollout.is_untouched(),
            active_requirements: rollout.requirements(),
            assigned_requirements: assigned
                .filter_map(|requirement| Requirement::parse(requirement).ok())
                .collect(),
            current: rollout.current.map(|current| current.version),
        }
    }
}

impl Dependencies {
    /// Selects the add-ons that matter to the one of this name: those that it requires, those that they require in turn, and
    /// those that require it.
    pub fn new(name: &str, requirements: &[Requirement], all: &PeerStates) -> Self {
        let required = required_add_ons(requirements, all);
        let requires_it =
            |peer: &PeerState| peer.active_requirements.iter().any(|it| it.add_on == name);
        let matters = |(other, peer): &(&String, &Arc<PeerState>)| {
            required.contains(other.as_str()) || requires_it(peer)
        };
        let peers = all.iter().filter(matters).map(|(name, peer)| (name.clone(), peer.clone()));
        Self { name: name.to_owned(), peers: peers.collect() }
    }

    /// Returns [`Reason::RequirementNotMet`] if one of these requirements is not met at this moment, with all that are not.
    pub fn find_unmet(&self, requirements: &[Requirement]) -> Option<Fault> {
        let unmet: Vec<String> =
            requirements.iter().filter_map(|it| self.describe_unmet(it)).collect();
        let message = || format!("requires {}", unmet.join(", and "));
        (!unmet.is_empty()).then(|| Fault::new(Reason::RequirementNotMet, message()))
    }

    fn describe_unmet(&self, requirement: &Requirement) -> Option<String> {
        let Some(peer) = self.peers.get(&requirement.add_on) else {
            return Some(format!("{requirement}, which is not on this cluster"));
        };
        match &peer.current {
            None => Some(format!("{requirement}, which is not installed yet")),
            Some(version) if !requirement.allows(version) => {
                Some(format!("{requirement}; {version} runs here"))
            }
            Some(version) if peer.is_changing => {
                Some(format!("{requirement}; {version} runs here and is being changed"))
            }
            Some(_) => None,
        }
    }

    /// Returns [`Reason::RequirementCycle`] if these requirements wait for this add-on itself, directly or through others:
    /// they can never be met.
    pub fn find_cycle(&self, requirements: &[Requirement]) -> Option<Fault> {
        let path = self.find_path_to_itself(requirements)?;
        let path = path.join(", which requires ");
        let message = format!("requirement cycle: {} requires {path}", self.name);
        Some(Fault::new(Reason::RequirementCycle, message))
    }

    fn find_path_to_itself<'a>(&'a self, requirements: &'a [Requirement]) -> Option<Vec<&'a str>> {
        let mut visited: BTreeSet<&str> = BTreeSet::new();
        let mut paths: Vec<Vec<&str>> = self.missing(requirements).map(|name| vec![name]).collect();
        while let Some(path) = paths.pop() {
            let Some(last) = path.last().filter(|last| visited.insert(last)) else { continue };
            if *last == self.name {
                return Some(path);
            }
            let peer = self.peers.get(*last);
            let next = peer.map(|peer| peer.assigned_requirements.as_slice()).unwrap_or_default();
            paths.extend(self.missing(next).map(|name| [path.as_slice(), &[name]].concat()));
        }
        None
    }

    /// Names of required add-ons of which no allowed version runs.
    fn missing<'a>(
        &'a self,
        requirements: &'a [Requirement],
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        let is_running = |requirement: &Requirement| {
            let peer = self.peers.get(&requirement.add_on);
            let current = peer.and_then(|peer| peer.current.as_ref());
            current.is_some_and(|current| requirement.allows(current))
        };
        requirements.iter().filter(move |it| !is_running(it)).map(|it| it.add_on.as_str())
    }

    /// Returns [`Reason::RequiredByOthers`] if other add-ons work with the version `from` and would not with `to`.
    pub fn find_broken(&self, from: &Version, to: &Version) -> Option<Fault> {
        let is_broken = |it: &&Requirement| it.allows(from) && !it.allows(to);
        let broken: Vec<String> = self.describe_dependents(is_broken);
        let message = || format!("{to} would break add-ons that run here: {}", broken.join(", "));
        (!broken.is_empty()).then(|| Fault::new(Reason::RequiredByOthers, message()))
    }

    /// Describes the add-ons that require this one, each as `till requires shop >=1`.
    pub fn dependents(&self) -> Vec<String> {
        self.describe_dependents(|_| true)
    }

    fn describe_dependents(&self, filter: impl Fn(&&Requirement) -> bool) -> Vec<String> {
        let others = self.peers.iter().filter(|(name, _)| **name != self.name);
        let requirements = others.flat_map(|(name, peer)| {
            let ours = peer.active_requirements.iter().filter(|it| it.add_on == self.name);
            ours.map(move |requirement| (name, requirement))
        });
        requirements
            .filter(|(_, requirement)| filter(requirement))
            .map(|(name, requirement)| format!("{name} requires {requirement}"))
            .collect()
    }
}

/// Names of the add-ons that these requirements name, directly or through assigned add-ons.
fn required_add_ons<'a>(requirements: &'a [Requirement], all: &'a PeerStates) -> BTreeSet<&'a str> {
    let mut required: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&str> = requirements.iter().map(|it| it.add_on.as_str()).collect();
    while let Some(name) = next.pop() {
        if required.insert(name) {
            let peer = all.get(name).map(|peer| &peer.assigned_requirements);
            next.extend(peer.into_iter().flatten().map(|it| it.add_on.as_str()));
        }
    }
    required
}
