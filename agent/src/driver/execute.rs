//! Does the one thing it is told. As much as possible, behaviour lives in the lifecycle crate, not here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lifecycle::bundle::hook::{Hook, HookRun};
use lifecycle::names::annotation;
use lifecycle::plan::{Wave, is_job};
use lifecycle::redaction::Redaction;
use lifecycle::{
    Action, CheckReport, Direction, Failure, Fault, Leftover, Object, Outcome, Release, ReleaseId,
};

use super::Driver;
use crate::actions::prune::{Scope, prune};
use crate::actions::{apply, check, evidence, health, hooks, pull, stage};
use crate::cluster::access::Access;
use crate::cluster::resolved::{ResolvedObject, resolve};
use crate::storage::releases::Content;

/// A retained release and its objects.
type Known = (Arc<Content>, Vec<ResolvedObject>);

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
                self.hook(&release, hook, &run, timeout).await
            }
            Action::Apply { release, wave, direction } => {
                self.apply(&release, wave, direction).await
            }
            Action::SaveEvidence { failure } => self.keep_evidence(&failure).await,
            Action::Prune { keep, releases, only_extensions, in_order } => {
                let scope = Scope { only_extensions, ..self.scope() };
                self.prune(keep.as_ref(), &releases, &scope, in_order).await
            }
            Action::Retain { states } => {
                self.store.retain_only(&states).await.map(|()| Outcome::Retained)
            }
            Action::Remove { releases } => self.remove(&releases).await,
            Action::RemoveFinalizer => self.let_go().await,
            Action::Recreate => self.pass_on().await,
        }
    }

    async fn pull(&mut self) -> Result<Outcome, Fault> {
        let assignment = self.assignment_now()?;
        self.pulled = Some(pull::pull(&self.shared.pull_settings, &assignment).await?);
        Ok(Outcome::Pulled)
    }

    async fn stage(&mut self) -> Result<Outcome, Fault> {
        let assignment = self.assignment_now()?;
        let wanted = &assignment.release.digest;
        let Some(pulled) = self.pulled.as_mut().filter(|pulled| &pulled.digest == wanted) else {
            return Ok(Outcome::Missing);
        };
        let content = stage::stage(&self.store, &self.name, &assignment, pulled).await?;
        self.pulled = None;
        self.contents.insert(content.release.id.clone(), Arc::new(content));
        Ok(Outcome::Staged)
    }

    async fn check(&mut self, release: &Release, from: Option<&Release>) -> Result<Outcome, Fault> {
        let Some(content) = self.content(&release.id).await? else { return Ok(Outcome::Missing) };
        let running = match from {
            Some(from) => self.content(&from.id).await?,
            None => None,
        };
        let from = match (from, &running) {
            (None, _) => check::Baseline::Nothing,
            (Some(_), None) => check::Baseline::Lost,
            (Some(_), Some(running)) => {
                self.forget_what_is_dropped(running, &content);
                check::Baseline::Running(
                    Box::new(self.access(running)?),
                    self.placed(running).await?,
                )
            }
        };
        let placed = self.placed(&content).await?;
        let terms = check::Terms {
            adopt: self.adopts(),
            allow_shrink: self.note(annotation::ALLOW_SHRINK) == Some(&release.version.to_string()),
        };
        let report = check::check(&self.access(&content)?, &placed, &from, &terms).await?;
        let has_pre_upgrade_hooks = hooks::of(&placed, Hook::PreUpgrade).next().is_some();
        let preexisting_failures = match &from {
            check::Baseline::Running(access, running) => health::ill(access, running).await,
            check::Baseline::Nothing | check::Baseline::Lost => Vec::new(),
        };
        Ok(Outcome::Checked(CheckReport { has_pre_upgrade_hooks, preexisting_failures, ..report }))
    }

    /// A version of a kind that the new release does not use any more may be one that the cluster has ceased to serve.
    fn forget_what_is_dropped(&self, running: &Content, new: &Content) {
        let of = |object: &Object| (object.api_version().to_owned(), object.kind().to_owned());
        let used: BTreeSet<_> = new.objects.iter().map(of).collect();
        for (api_version, kind) in running.objects.iter().map(of).filter(|it| !used.contains(it)) {
            self.shared.cluster.forget(&api_version, &kind);
        }
    }

    async fn hook(
        &mut self,
        release: &Release,
        hook: Hook,
        run: &HookRun,
        within: Duration,
    ) -> Result<Outcome, Fault> {
        let Some(content) = self.content(&release.id).await? else { return Ok(Outcome::Missing) };
        let placed = self.placed(&content).await?;
        hooks::run(&self.access(&content)?, &placed, hook, run, within).await.map(Outcome::HooksRan)
    }

    async fn apply(
        &mut self,
        release: &Release,
        stage: Wave,
        direction: Direction,
    ) -> Result<Outcome, Fault> {
        let Some(content) = self.content(&release.id).await? else { return Ok(Outcome::Missing) };
        let running_jobs = self.running_jobs().await?;
        let placed = self.placed(&content).await?;
        let access = self.access(&content)?;
        let kept = apply::apply(&access, &placed, stage, &running_jobs, direction).await?;
        Ok(Outcome::Applied { wave: stage, kept })
    }

    async fn keep_evidence(&mut self, failure: &Failure) -> Result<Outcome, Fault> {
        let Some(content) = self.content(&failure.release.id).await? else {
            return Ok(Outcome::Missing);
        };
        let rules = self.rules(&content).await?;
        let placed = self.placed(&content).await?;
        // Hooks before the first write meet the Secrets of the version that runs.
        let running = self.running().await?;
        let running = running.iter().flat_map(|running| &running.objects);
        let redaction = Redaction::from_secrets(content.objects.iter().chain(running));
        let terms = self.at_rest(&rules);
        let access = self.access(&content)?;
        let text = evidence::collect(&access, &placed, &terms, failure, &redaction).await;
        let name = self.evidence.save(failure, text).await?;
        self.shared.events.record_evidence(&self.ledger.add_on, failure, &name).await;
        Ok(Outcome::EvidenceSaved(name))
    }

    /// Each release's objects go with the rights of the account that brought them.
    async fn prune(
        &mut self,
        keep: Option<&Release>,
        of: &[Release],
        scope: &Scope,
        in_order: bool,
    ) -> Result<Outcome, Fault> {
        let kept = match keep {
            Some(keep) => {
                let Some(content) = self.content(&keep.id).await? else {
                    return Ok(Outcome::Missing);
                };
                self.placed(&content).await?
            }
            None => Vec::new(),
        };
        let others: Vec<Release> =
            of.iter().filter(|release| Some(*release) != keep).cloned().collect();
        let leftovers = self.prune_each(&kept, &others, scope, in_order).await?;
        Ok(Outcome::Pruned { leftovers })
    }

    async fn remove(&mut self, of: &[Release]) -> Result<Outcome, Fault> {
        let leftovers = self.prune_each(&[], of, &self.scope(), true).await?;
        Ok(Outcome::Removed { leftovers })
    }

    /// `in_order`: one stage of all of them is gone before the one below it is begun.
    async fn prune_each(
        &mut self,
        kept: &[ResolvedObject],
        of: &[Release],
        scope: &Scope,
        in_order: bool,
    ) -> Result<Vec<Leftover>, Fault> {
        let (known, lost) = self.known(of).await?;
        let (mut leftovers, mut kept_back) = (Vec::new(), Vec::new());
        for &stage in Wave::ALL.iter().rev() {
            for (content, placed) in &known {
                let of_stage = placed.iter().filter(|placed| placed.stage() == stage).cloned();
                let access = self.access(content)?;
                let remains = prune(&access, kept, of_stage.collect(), scope).await?;
                leftovers.extend(remains.leftovers);
                kept_back.extend(remains.kept);
            }
            if in_order && !leftovers.is_empty() {
                break;
            }
        }
        self.tell_kept(kept_back).await;
        leftovers.extend(lost);
        leftovers.sort();
        leftovers.dedup();
        Ok(leftovers)
    }

    /// The releases that are retained, and those that are not.
    async fn known(&mut self, of: &[Release]) -> Result<(Vec<Known>, Vec<Leftover>), Fault> {
        let (mut known, mut lost) = (Vec::new(), Vec::new());
        for release in of {
            match self.content(&release.id).await? {
                Some(content) => {
                    let placed = self.placed(&content).await?;
                    known.push((content, placed));
                }
                None => lost.push(Leftover::LostRelease { version: release.version.clone() }),
            }
        }
        Ok((known, lost))
    }

    /// Once for each list: a removal that has to wait looks again and again.
    async fn tell_kept(&mut self, mut kept: Vec<String>) {
        kept.sort();
        kept.dedup();
        if !kept.is_empty() && kept != self.kept_back {
            self.shared.events.record_kept_objects(&self.ledger.add_on, &kept).await;
        }
        self.kept_back = kept;
    }

    fn scope(&self) -> Scope {
        let delete_data = self.note(annotation::DELETE_DATA).is_some();
        Scope { only_extensions: false, delete_data }
    }

    async fn let_go(&mut self) -> Result<Outcome, Fault> {
        self.evidence.clear().await?;
        self.store.retain_only(&[]).await?;
        self.shared.successors.delete(&self.name).await?;
        self.ledger.remove_finalizer().await?;
        Ok(Outcome::FinalizerRemoved)
    }

    async fn pass_on(&mut self) -> Result<Outcome, Fault> {
        self.shared.successors.save(&self.ledger.add_on, &self.ledger.rollout).await?;
        self.ledger.remove_finalizer().await?;
        Ok(Outcome::FinalizerRemoved)
    }

    fn assignment_now(&self) -> Result<Arc<lifecycle::Assignment>, Fault> {
        match &self.assignment {
            Some((_, assignment)) => assignment.clone(),
            None => Err(Fault::transient(lifecycle::Reason::Assigned, "not read yet")),
        }
    }

    fn adopts(&self) -> bool {
        self.assignment_now().is_ok_and(|assignment| assignment.policy.adopt)
    }

    fn note(&self, name: &str) -> Option<&String> {
        self.ledger.add_on.metadata.annotations.as_ref()?.get(name)
    }

    /// A retained release, read once.
    pub(super) async fn content(&mut self, id: &ReleaseId) -> Result<Option<Arc<Content>>, Fault> {
        if let Some(content) = self.contents.get(id) {
            return Ok(Some(content.clone()));
        }
        let Some(content) = self.store.load(id).await?.map(Arc::new) else { return Ok(None) };
        let rollout = &self.ledger.rollout;
        let needed = |id: &ReleaseId| {
            let known = rollout.current.iter().chain(&rollout.previous).chain(&rollout.touched);
            known.into_iter().any(|release| &release.id == id)
        };
        self.contents.retain(|id, _| needed(id));
        self.contents.insert(id.clone(), content.clone());
        Ok(Some(content))
    }

    /// The version that runs, if there is one and its release is at hand.
    async fn running(&mut self) -> Result<Option<Arc<Content>>, Fault> {
        let Some(current) = self.ledger.rollout.current.clone() else { return Ok(None) };
        self.content(&current.id).await
    }

    /// The Jobs of the version that runs; none where its release is not at hand.
    pub(super) async fn running_jobs(&mut self) -> Result<Vec<Object>, Fault> {
        let Some(content) = self.running().await? else { return Ok(Vec::new()) };
        // Placing a release looks up every kind in it.
        if !content.objects.iter().any(is_job) {
            return Ok(Vec::new());
        }
        let objects = self.placed(&content).await?.into_iter().map(|placed| placed.object);
        Ok(objects.filter(is_job).collect())
    }

    pub(super) async fn placed(&self, content: &Content) -> Result<Vec<ResolvedObject>, Fault> {
        resolve(&self.shared.cluster, content, &self.name).await
    }

    pub(super) fn access(&self, content: &Content) -> Result<Access<'_>, Fault> {
        let available = self.ledger.rollout.current.as_ref().map(|current| &current.id);
        Access::new(&self.shared.cluster, &self.name, &content.shape.service_account, available)
    }
}
