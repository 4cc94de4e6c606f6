//! Looks at every object of a release and asks the core what it thinks.

mod evidence;

use std::time::Duration;

use lifecycle::Object;
use lifecycle::health::{Health, HealthStatus, Verdict, assess, verdict};

use crate::apply::is_job;
use crate::faults;
use crate::placed::Placed;
use crate::work::{Work, each};

/// `back`: this is the release gone back to; its Jobs were not run again and do not count.
pub async fn look(work: &Work<'_>, release: &[Placed], since: Duration, back: bool) -> Verdict {
    let counted = release.iter().filter(|placed| !(back && is_job(&placed.object)));
    let mut healths = each(counted.map(|placed| one(work, placed, since))).await;
    explain(work, &mut healths).await;
    verdict(healths)
}

/// Adds its pods' words to the one that the verdict names.
async fn explain(work: &Work<'_>, healths: &mut [(&Object, Health)]) {
    let is = |status| move |(_, health): &(&Object, Health)| health.status == status;
    let named = healths
        .iter()
        .position(is(HealthStatus::Failed))
        .or_else(|| healths.iter().position(is(HealthStatus::InProgress)));
    let Some((object, health)) = named.and_then(|named| healths.get_mut(named)) else { return };
    if let Some(words) = evidence::of_pods(work, object).await {
        health.message = format!("{} ({words})", health.message);
    }
}

async fn one<'a>(work: &Work<'_>, placed: &'a Placed, since: Duration) -> (&'a Object, Health) {
    let health = match work.api(placed).await {
        Err(fault) => Health::unknown(fault.message),
        Ok((_, api)) => match api.get_opt(placed.object.name()).await {
            Ok(Some(living)) => {
                let living = serde_json::to_value(living).unwrap_or_default();
                assess(&Object(living), since)
            }
            Ok(None) => Health::not_found(),
            Err(error) => Health::unknown(faults::of_object(&placed.object.key(), &error).message),
        },
    };
    (&placed.object, health)
}
