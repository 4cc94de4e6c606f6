//! Opens retained releases for actions.

use std::sync::Arc;

use lifecycle::{Fault, KnownKind, Object, ReleaseId};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Driver;
use super::release_cache::LARGE;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::Access;
use crate::storage::packed_release::Content;

impl Driver {
    /// Opens a retained release: loads it, resolves its objects, and gets the access of its account. Returns `None` if it
    /// is not retained any more.
    pub(super) async fn open_release(
        &mut self,
        id: &ReleaseId,
    ) -> Result<Option<ResolvedRelease>, Fault> {
        match self.load(id).await? {
            Some(content) => self.resolve(content).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn resolve(&self, content: Arc<Content>) -> Result<ResolvedRelease, Fault> {
        let available = self.ledger.rollout.current.as_ref().map(|current| &current.id);
        let account = &content.shape.service_account;
        let access = Access::new(&self.shared.cluster, &self.name, account, available)?;
        ResolvedRelease::resolve(content, access).await
    }

    /// Returns a retained release. Those that the rollout refers to are read once.
    pub(super) async fn load(&mut self, id: &ReleaseId) -> Result<Option<Arc<Content>>, Fault> {
        if self.releases.packed(id).is_none() {
            let Some(packed) = self.release_store.load(id).await? else { return Ok(None) };
            let rollout = &self.ledger.rollout;
            self.releases.retain(|id| {
                let mut needed = rollout
                    .current
                    .iter()
                    .chain(&rollout.previous)
                    .chain(&rollout.touched)
                    .chain(&rollout.unpruned);
                needed.any(|release| &release.id == id)
            });
            self.releases.insert(id.clone(), packed);
        }
        if self.releases.packed(id).is_some_and(|packed| packed.unpacked_bytes() > LARGE) {
            self.large_turn = take_turn(self.large_turn.take(), &self.shared.large_turn).await;
        }
        Ok(self.releases.open(id))
    }

    /// Closes what an action opened: large releases always, and all of them while nothing is rolled out.
    pub(super) fn close_releases(&mut self) {
        self.releases.close(self.ledger.rollout.release_at_rest().is_none());
        self.large_turn = None;
    }

    /// Returns the running release, if there is one and it is retained.
    pub(super) async fn load_running(&mut self) -> Result<Option<Arc<Content>>, Fault> {
        let Some(current) = self.ledger.rollout.current.clone() else { return Ok(None) };
        self.load(&current.id).await
    }

    /// Returns the Jobs of the running release; none if it is not retained.
    pub(super) async fn running_jobs(&mut self) -> Result<Vec<Object>, Fault> {
        let Some(content) = self.load_running().await? else { return Ok(Vec::new()) };
        // To resolve a release, every kind in it is looked up.
        if !content.objects.iter().any(|manifest| manifest.is(KnownKind::Job)) {
            return Ok(Vec::new());
        }
        let running = self.resolve(content).await?;
        Ok(running.manifests().filter(|manifest| manifest.is(KnownKind::Job)).cloned().collect())
    }
}

/// Waits until no other add-on has a large release open.
pub(super) async fn take_turn(
    taken: Option<OwnedSemaphorePermit>,
    turn: &Arc<Semaphore>,
) -> Option<OwnedSemaphorePermit> {
    match taken {
        Some(taken) => Some(taken),
        None => turn.clone().acquire_owned().await.ok(),
    }
}
