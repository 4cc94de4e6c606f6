//! Removes objects of releases: after a rollout, after a rollback, and on uninstall.

use lifecycle::names::annotation;
use lifecycle::plan::waves::Wave;
use lifecycle::{Fault, Leftover, Outcome, Release};

use super::Driver;
use crate::actions::prune::{PruneOptions, Remains, prune};
use crate::actions::release::ResolvedRelease;
use crate::cluster::resolved::ResolvedObject;

/// Whether a wave of all releases is gone before the one below it is removed.
#[derive(Clone, Copy)]
enum Order {
    Strict,
    /// Refused objects hold up nothing. Those that are not gone yet do.
    PastRefused,
    None,
}

impl Order {
    fn is_held_by(self, leftover: &Leftover) -> bool {
        match self {
            Order::Strict => true,
            Order::PastRefused => !matches!(leftover, Leftover::Refused { .. }),
            Order::None => false,
        }
    }
}

impl Driver {
    /// Removes the objects of the releases that `keep` does not have.
    pub(super) async fn prune(
        &mut self,
        keep: Option<&Release>,
        releases: &[Release],
        only_extensions: bool,
        in_order: bool,
    ) -> Result<Outcome, Fault> {
        let kept = match keep {
            Some(keep) => match self.open_release(&keep.id).await? {
                Some(release) => release.objects,
                None => return Ok(Outcome::Missing),
            },
            None => Vec::new(),
        };
        let options = self.prune_options(only_extensions);
        let others: Vec<_> =
            releases.iter().filter(|release| Some(*release) != keep).cloned().collect();
        let order = if in_order { Order::Strict } else { Order::None };
        let leftovers = self.prune_releases(&kept, &others, &options, order).await?;
        Ok(Outcome::Pruned { leftovers })
    }

    /// Removes all objects of the releases, one wave after the other.
    pub(super) async fn remove_all(
        &mut self,
        releases: &[Release],
        past_refused: bool,
    ) -> Result<Outcome, Fault> {
        let options = self.prune_options(false);
        let order = if past_refused { Order::PastRefused } else { Order::Strict };
        let leftovers = self.prune_releases(&[], releases, &options, order).await?;
        Ok(Outcome::Removed { leftovers })
    }

    /// Removes the objects of each release with the rights of its account.
    async fn prune_releases(
        &mut self,
        kept: &[ResolvedObject],
        releases: &[Release],
        options: &PruneOptions,
        order: Order,
    ) -> Result<Vec<Leftover>, Fault> {
        let (open, lost) = self.open_all(releases).await?;
        let mut remains = Remains::default();
        for &wave in Wave::ALL.iter().rev() {
            for release in &open {
                let objects = release.objects.iter().filter(|object| object.wave() == wave);
                let objects = objects.cloned().collect();
                prune(&release.access, kept, objects, options, &mut remains).await?;
            }
            if remains.leftovers.iter().any(|leftover| order.is_held_by(leftover)) {
                break;
            }
        }
        self.report_kept(remains.kept).await;
        let mut leftovers = remains.leftovers;
        leftovers.extend(lost);
        leftovers.sort();
        leftovers.dedup();
        Ok(leftovers)
    }

    /// Returns the releases that are retained, and those that are not.
    async fn open_all(
        &mut self,
        releases: &[Release],
    ) -> Result<(Vec<ResolvedRelease>, Vec<Leftover>), Fault> {
        let (mut open, mut lost) = (Vec::new(), Vec::new());
        for Release { id, version, .. } in releases {
            match self.open_release(id).await? {
                Some(release) => open.push(release),
                None => lost.push(Leftover::LostRelease { version: version.clone() }),
            }
        }
        Ok((open, lost))
    }

    /// Records an event about guarded objects, once for each list: a removal that waits looks at them repeatedly.
    async fn report_kept(&mut self, mut kept: Vec<String>) {
        kept.sort();
        kept.dedup();
        if !kept.is_empty() && kept != self.reported_kept {
            self.shared.events.record_kept_objects(&self.ledger.add_on, &kept).await;
        }
        self.reported_kept = kept;
    }

    fn prune_options(&self, only_extensions: bool) -> PruneOptions {
        let delete_data = self.annotation(annotation::DELETE_DATA).is_some();
        PruneOptions { only_extensions, delete_data }
    }
}
