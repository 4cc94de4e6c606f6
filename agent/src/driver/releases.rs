//! Opens retained releases for actions.

use std::sync::Arc;

use lifecycle::{Fault, KnownKind, Object, ReleaseId};

use super::Driver;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::Access;
use crate::storage::releases::Content;

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
        if let Some(content) = self.contents.get(id) {
            return Ok(Some(content.clone()));
        }
        let Some(content) = self.release_store.load(id).await? else { return Ok(None) };
        let content = Arc::new(content);
        let rollout = &self.ledger.rollout;
        self.contents.retain(|id, _| {
            let mut needed =
                rollout.current.iter().chain(&rollout.previous).chain(&rollout.touched);
            needed.any(|release| &release.id == id)
        });
        self.contents.insert(id.clone(), content.clone());
        Ok(Some(content))
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
