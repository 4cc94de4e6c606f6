//! The cluster: in each wave an object that every release has, and one that only this release has.

use std::collections::BTreeSet;

use lifecycle::health::HookStatus;
use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{
    Action, CheckReport, Leftover, Outcome, Release, ReleaseId, Retained, RetainedState,
};

#[derive(Clone, Default)]
pub struct Cluster {
    /// The release that last wrote the shared object of each wave.
    pub shared: [Option<Release>; Wave::ALL.len()],
    pub own: BTreeSet<(usize, Release)>,
    pub retained: Vec<Retained>,
    pub finalizer: bool,
}

/// The health of a version.
pub fn verdict_of(release: &Release) -> Verdict {
    match release.version.minor {
        0 | 1 => Verdict::Healthy,
        2 => Verdict::Failed("crash loop".to_owned()),
        _ => Verdict::InProgress("a pod".to_owned()),
    }
}

impl Cluster {
    /// Executes an action, or half of it.
    pub fn act(&mut self, action: &Action, target: Option<&Release>, half: bool) -> Outcome {
        match action {
            Action::AddFinalizer => {
                self.finalizer = true;
                Outcome::FinalizerAdded
            }
            Action::Pull => Outcome::Pulled,
            Action::Stage => {
                self.retain(target.expect("a target is staged"));
                Outcome::Staged
            }
            Action::Check { release, .. } if self.is_retained(&release.id) => {
                Outcome::Checked(CheckReport::default())
            }
            Action::Apply { release, wave, .. } if self.is_retained(&release.id) => {
                self.apply(release, *wave, half)
            }
            Action::Check { .. } | Action::Apply { .. } => Outcome::Missing,
            // No release here has hooks.
            Action::RunHooks { .. } => Outcome::HooksRan(HookStatus::Succeeded),
            Action::SaveEvidence { .. } => Outcome::EvidenceSaved("kept".to_owned()),
            Action::Prune { keep, releases, only_extensions, .. } => {
                self.prune(keep.as_ref(), releases, *only_extensions, half)
            }
            Action::Retain { states } => {
                self.set_states(states);
                Outcome::Retained
            }
            Action::Remove { releases, .. } => {
                Outcome::Removed { leftovers: self.remove(None, releases, 0, half) }
            }
            Action::RemoveFinalizer => {
                *self = Self::default();
                Outcome::FinalizerRemoved
            }
            // Nothing here is evicted.
            Action::Recreate => Outcome::FinalizerRemoved,
        }
    }

    fn retain(&mut self, release: &Release) {
        if !self.is_retained(&release.id) {
            let state = RetainedState::Candidate;
            self.retained.push(Retained { release: release.clone(), state });
        }
    }

    pub fn is_retained(&self, id: &ReleaseId) -> bool {
        self.retained.iter().any(|kept| kept.release.id == *id)
    }

    fn apply(&mut self, release: &Release, wave: Wave, half: bool) -> Outcome {
        let at = index(wave);
        self.own.insert((at, release.clone()));
        if !half {
            self.shared[at] = Some(release.clone());
        }
        Outcome::Applied { wave, kept: Vec::new(), refused: Vec::new() }
    }

    fn prune(
        &mut self,
        keep: Option<&Release>,
        of: &[Release],
        only_extensions: bool,
        half: bool,
    ) -> Outcome {
        if keep.is_some_and(|keep| !self.is_retained(&keep.id)) {
            return Outcome::Missing;
        }
        let from = if only_extensions { index(Wave::Extensions) } else { 0 };
        Outcome::Pruned { leftovers: self.remove(keep, of, from, half) }
    }

    /// Only objects of retained releases are found.
    fn remove(
        &mut self,
        keep: Option<&Release>,
        of: &[Release],
        from: usize,
        half: bool,
    ) -> Vec<Leftover> {
        let gone: Vec<&Release> = of.iter().filter(|release| Some(*release) != keep).collect();
        let (known, lost): (Vec<_>, Vec<_>) =
            gone.into_iter().partition(|release| self.is_retained(&release.id));
        let half = if half { index(Wave::Workloads) } else { 0 }.max(from);
        self.own.retain(|(at, release)| *at < half || !known.contains(&release));
        if keep.is_none() {
            for shared in &mut self.shared[half..] {
                shared.take_if(|release| known.contains(&&*release));
            }
        }
        let lost = lost.into_iter().map(|release| release.version.clone());
        lost.map(|version| Leftover::LostRelease { version }).collect()
    }

    fn set_states(&mut self, keep: &[(ReleaseId, RetainedState)]) {
        let state = |id: &ReleaseId| keep.iter().find(|kept| kept.0 == *id).map(|kept| kept.1);
        self.retained.retain(|kept| state(&kept.release.id).is_some());
        for kept in &mut self.retained {
            kept.state = state(&kept.release.id).unwrap_or(kept.state);
        }
    }

    /// Whether all of this release exists, and nothing of any other.
    pub fn is_wholly(&self, release: &Release) -> bool {
        self.has_all_of(release) && self.own.iter().all(|(_, own)| own == release)
    }

    pub fn has_all_of(&self, release: &Release) -> bool {
        self.shared.iter().all(|shared| shared.as_ref() == Some(release))
            && (0..self.shared.len()).all(|at| self.own.contains(&(at, release.clone())))
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.shared.iter().all(Option::is_none)
    }

    pub fn verdict(&self, release: &Release) -> Verdict {
        if self.has_all_of(release) {
            verdict_of(release)
        } else {
            Verdict::InProgress("what is not there".to_owned())
        }
    }
}

fn index(wave: Wave) -> usize {
    Wave::ALL.iter().position(|it| *it == wave).expect("a wave")
}
