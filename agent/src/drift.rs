//! Puts back what others changed or deleted of a release at rest. Looking costs a list of metadata per kind; only what
//! changed since the last look is written.

use std::collections::BTreeMap;

use kube::api::ListParams;
use lifecycle::names::label;
use lifecycle::{Fault, ObjectKey};

use crate::apply::{is_job, write};
use crate::faults;
use crate::placed::Placed;
use crate::work::{Work, each};

/// The resourceVersion that each object had when it was last as its release says.
pub type Known = BTreeMap<ObjectKey, String>;

/// Returns how many objects were put back. `known` is empty after a restart: then everything is written once, which
/// changes nothing where nothing had changed.
pub async fn repair(work: &Work<'_>, release: &[Placed], known: &mut Known) -> Result<u64, Fault> {
    let living = look(work, release).await?;
    let changed = release.iter().filter(|placed| {
        let key = placed.object.key();
        // A Job runs once: one that finished and went away is no drift.
        !is_job(&placed.object)
            && (!living.contains_key(&key) || living.get(&key) != known.get(&key))
    });
    let written = each(
        changed.map(|placed| async { (placed.object.key(), write(work, placed, release).await) }),
    );
    let mut repaired = 0;
    for (key, version) in written.await {
        let Some(version) = version? else { continue };
        if living.get(&key) != Some(&version) {
            tracing::info!(object = %key, "put back as its version says");
            repaired += 1;
        }
        known.insert(key, version);
    }
    Ok(repaired)
}

async fn look(work: &Work<'_>, release: &[Placed]) -> Result<Known, Fault> {
    let mut places: Vec<(&Placed, (&str, Option<&str>))> = Vec::new();
    for placed in release {
        let place = (placed.object.kind(), placed.object.namespace());
        let same = |(other, known): &(&Placed, _)| {
            *known == place && other.object.api_version() == placed.object.api_version()
        };
        if !places.iter().any(same) {
            places.push((placed, place));
        }
    }
    let mut living = Known::new();
    for found in each(places.into_iter().map(|(placed, _)| list(work, placed))).await {
        living.extend(found?);
    }
    Ok(living)
}

/// All of ours of one kind in one place.
async fn list(work: &Work<'_>, placed: &Placed) -> Result<Known, Fault> {
    let (kind, api) = work.api(placed).await?;
    let ours = ListParams::default().labels(&format!("{}={}", label::ADD_ON, work.add_on));
    let what = format!("{} could not be listed", kind.resource.plural);
    let found = api.list_metadata(&ours).await.map_err(|e| faults::of(&what, &e))?;
    let named = found.items.into_iter().filter_map(|item| {
        let key = ObjectKey { name: item.metadata.name?, ..placed.object.key() };
        Some((key, item.metadata.resource_version?))
    });
    Ok(named.collect())
}
