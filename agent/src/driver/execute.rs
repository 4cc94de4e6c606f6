//! Executes one action. As much behaviour as possible is in the lifecycle crate, not here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::bundle::hook::{Hook, HookRun};
use lifecycle::names::annotation;
use lifecycle::plan::waves::Wave;
use lifecycle::redaction::Redaction;
use lifecycle::{
    Action, Assignment, CheckReport, Direction, Failure, Fault, Object, Outcome, Reason, Release,
};

use super::Driver;
use super::releases::take_turn;
use crate::actions::apply::{Written, apply};
use crate::actions::check::{Baseline, CheckOptions, check};
use crate::actions::release::ResolvedRelease;
use crate::actions::{evidence, health, hooks, pull, stage};
use crate::storage::packed_release::Content;

impl Driver {
    pub(super) async fn execute(&mut self, action: Action) -> Result<Outcome, Fault> {
        match action {
            Action::AddFinalizer => {
                self.ledger.add_finalizer().await.map(|()| Outcome::FinalizerAdded)
            }
            Action::Pull => self.pull().await,
            Action::Stage => self.stage().await,
            Action::Check { release, from } => self.check(&release, from.as_ref()).await,
            Action::RunHooks { release, hook, run, timeout } => {
                self.run_hooks(&release, hook, &run, timeout).await
            }
            Action::Apply { release, wave, direction } => {
                self.apply(&release, wave, direction).await
            }
            Action::SaveEvidence { failure } => self.collect_evidence(&failure).await,
            Action::Prune { keep, releases, only_extensions, in_order } => {
                self.prune(keep.as_ref(), &releases, only_extensions, in_order).await
            }
            Action::Retain { states } => {
                self.release_store.retain_only(&states).await.map(|()| Outcome::Retained)
            }
            Action::Remove { releases, past_refused } => {
                self.remove_all(&releases, past_refused).await
            }
            Action::RemoveFinalizer => self.release_add_on().await,
            Action::Recreate => self.hand_over().await,
        }
    }

    async fn pull(&mut self) -> Result<Outcome, Fault> {
        let assignment = self.observed_assignment()?;
        self.pulled = Some(pull::pull(&self.shared.pull_settings, &assignment).await?);
        Ok(Outcome::Pulled)
    }

    async fn stage(&mut self) -> Result<Outcome, Fault> {
        let assignment = self.observed_assignment()?;
        let digest = &assignment.release.digest;
        let Some(pulled) = self.pulled.as_mut().filter(|pulled| &pulled.digest == digest) else {
            return Ok(Outcome::Missing);
        };
        // Values can make a small bundle a large release.
        self.large_turn = take_turn(self.large_turn.take(), &self.shared.large_turn).await;
        let (release, packed) =
            stage::stage(&self.release_store, &self.name, &assignment, pulled).await?;
        self.pulled = None;
        self.releases.insert(release.id, packed);
        Ok(Outcome::Staged)
    }

    async fn check(&mut self, release: &Release, from: Option<&Release>) -> Result<Outcome, Fault> {
        let Some(content) = self.load(&release.id).await? else { return Ok(Outcome::Missing) };
        let baseline = self.open_baseline(from, &content).await?;
        let release = self.resolve(content).await?;
        let report = check(&release, &baseline, &self.check_options(&release)?).await?;
        let has_pre_upgrade_hooks = hooks::hooks_of(&release, Hook::PreUpgrade).next().is_some();
        let preexisting_failures = match &baseline {
            Baseline::Running(running) => health::preexisting_failures(running).await,
            Baseline::Nothing | Baseline::Lost => Vec::new(),
        };
        Ok(Outcome::Checked(CheckReport { has_pre_upgrade_hooks, preexisting_failures, ..report }))
    }

    async fn open_baseline(
        &mut self,
        from: Option<&Release>,
        new: &Content,
    ) -> Result<Baseline, Fault> {
        let Some(from) = from else { return Ok(Baseline::Nothing) };
        let Some(running) = self.load(&from.id).await? else { return Ok(Baseline::Lost) };
        self.forget_dropped_kinds(&running, new);
        Ok(Baseline::Running(Box::new(self.resolve(running).await?)))
    }

    /// Looks up again which kinds are served that only the running release uses: the cluster may not serve them any more.
    fn forget_dropped_kinds(&self, running: &Content, new: &Content) {
        let kind = |object: &Object| (object.api_version().to_owned(), object.kind().to_owned());
        let used: BTreeSet<_> = new.objects.iter().map(kind).collect();
        let dropped = running.objects.iter().map(kind).filter(|kind| !used.contains(kind));
        for (api_version, kind) in dropped {
            self.shared.cluster.kinds().forget(&api_version, &kind);
        }
    }

    fn check_options(&self, release: &ResolvedRelease) -> Result<CheckOptions, Fault> {
        let version = release.content.release.version.to_string();
        Ok(CheckOptions {
            may_adopt: self.observed_assignment().is_ok_and(|it| it.policy.adopt),
            allow_shrink: self.annotation(annotation::ALLOW_SHRINK) == Some(&version),
        })
    }

    async fn run_hooks(
        &mut self,
        release: &Release,
        hook: Hook,
        run: &HookRun,
        timeout: Duration,
    ) -> Result<Outcome, Fault> {
        let Some(release) = self.open_release(&release.id).await? else {
            return Ok(Outcome::Missing);
        };
        hooks::run(&release, hook, run, timeout).await.map(Outcome::HooksRan)
    }

    async fn apply(
        &mut self,
        release: &Release,
        wave: Wave,
        direction: Direction,
    ) -> Result<Outcome, Fault> {
        let Some(content) = self.load(&release.id).await? else { return Ok(Outcome::Missing) };
        let running_jobs = self.running_jobs().await?;
        let release = self.resolve(content).await?;
        let Written { kept, refused } = apply(&release, wave, &running_jobs, direction).await?;
        Ok(Outcome::Applied { wave, kept, refused })
    }

    async fn collect_evidence(&mut self, failure: &Failure) -> Result<Outcome, Fault> {
        let Some(release) = self.open_release(&failure.release.id).await? else {
            return Ok(Outcome::Missing);
        };
        let rules = self.rules(&release.content).await?;
        // A hook before the first write uses Secrets of the running version.
        let running = self.load_running().await?;
        let running = running.iter().flat_map(|running| &running.objects);
        let redaction = Redaction::from_secrets(release.content.objects.iter().chain(running));
        let options = self.options_at_rest(&rules);
        let text = evidence::collect(&release, &options, failure, &redaction).await;
        let name = self.evidence_store.save(failure, text).await?;
        self.shared.events.record_evidence(&self.ledger.add_on, failure, &name).await;
        Ok(Outcome::EvidenceSaved(name))
    }

    async fn release_add_on(&mut self) -> Result<Outcome, Fault> {
        self.evidence_store.clear().await?;
        self.release_store.retain_only(&[]).await?;
        self.shared.successors.delete(&self.name).await?;
        self.ledger.remove_finalizer().await?;
        Ok(Outcome::FinalizerRemoved)
    }

    async fn hand_over(&mut self) -> Result<Outcome, Fault> {
        self.shared.successors.save(&self.ledger.add_on, &self.ledger.rollout).await?;
        self.ledger.remove_finalizer().await?;
        Ok(Outcome::FinalizerRemoved)
    }

    /// Returns the assignment as it was observed for this transition.
    fn observed_assignment(&self) -> Result<Arc<Assignment>, Fault> {
        match &self.assignment {
            Some((_, assignment)) => assignment.clone(),
            None => Err(Fault::transient(Reason::Assigned, "the assignment was not read yet")),
        }
    }
}
