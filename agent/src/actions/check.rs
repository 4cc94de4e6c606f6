//! Tries a whole release against the API server before the first write, and reports all findings at once.

mod access_review;
mod rollback_safety;
mod warnings;

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::{is_replaceable, refuse_shrunk};
use lifecycle::{ActionableBy, CheckReport, Fault, Reason};

use crate::cluster::access::{Access, Living, each};
use crate::cluster::crd_instances;
use crate::cluster::dry_run::dry_run;
use crate::cluster::resolved::{BundleProvides, ResolvedObject, unknown_kind};

use warnings::Heard;

/// What the check is told beside the release itself.
pub struct Terms {
    /// Existing objects of others may be taken over.
    pub adopt: bool,
    /// The bundle may have lost most of its objects.
    pub allow_shrink: bool,
}

/// What runs, as far as it is retained, with the rights by which it would be put back.
pub enum Baseline<'a> {
    /// Nothing: a first install.
    Nothing,
    Lost,
    Running(Box<Access<'a>>, Vec<ResolvedObject>),
}

pub async fn check(
    access: &Access<'_>,
    release: &[ResolvedObject],
    from: &Baseline<'_>,
    terms: &Terms,
) -> Result<CheckReport, Fault> {
    let mut findings = Vec::new();
    findings.extend(twice(release));
    if !terms.allow_shrink
        && let Baseline::Running(_, running) = from
    {
        findings.extend(refuse_shrunk(release.len(), running.len()).err());
    }
    let brought = brought(access, release).await;
    let judged = each(release.iter().map(|placed| judge(access, placed, &brought, terms))).await;
    let (mut warnings, mut heard) = (Vec::new(), Vec::new());
    for judged in judged {
        match judged? {
            Judged::Fine(said) => heard.extend(said),
            Judged::Finding(fault) => findings.push(fault),
            Judged::Warning(words) => warnings.push(words),
        }
    }
    if let Some(missing) = access_review::missing(access, release).await? {
        // What each object says of it would be the same at greater length.
        findings.retain(|finding| finding.reason != Reason::Forbidden);
        findings.insert(0, missing);
    }
    if let Baseline::Running(back, running) = from
        && let Some(missing) = access_review::missing(back, running).await?
    {
        let message = format!("going back would fail: {}", missing.message);
        findings.push(Fault { message, ..missing });
    }
    refuse(findings)?;
    let safety = match from {
        Baseline::Nothing => None,
        Baseline::Lost => Some(rollback_safety::safety(access, release, None).await?),
        Baseline::Running(_, running) => {
            Some(rollback_safety::safety(access, release, Some(running)).await?)
        }
    };
    let warnings = warnings::warnings(access, release, warnings, &heard).await;
    Ok(CheckReport { rollback_safety: safety, warnings, ..CheckReport::default() })
}

/// Two objects that become one in this cluster: a cluster-scoped one with and without namespace.
fn twice(release: &[ResolvedObject]) -> Option<Fault> {
    let mut seen = BTreeSet::new();
    let again = release.iter().find(|placed| !seen.insert(placed.object.key()))?;
    let message = format!("{} is in the bundle twice", again.object.key());
    Some(Fault::new(Reason::DuplicateObject, message))
}

/// What the bundle brings that is not here yet in that form.
async fn brought(access: &Access<'_>, release: &[ResolvedObject]) -> BundleProvides {
    let settled = each(release.iter().map(|placed| is_settled(access, placed))).await;
    let open = release.iter().zip(settled).filter(|(_, settled)| !settled);
    BundleProvides::by(open.map(|(placed, _)| &placed.object))
}

/// A definition that writing would not change: what it says of its objects is final.
async fn is_settled(access: &Access<'_>, placed: &ResolvedObject) -> bool {
    if placed.object.kind() != "CustomResourceDefinition" {
        return false;
    }
    let Ok(Some(living)) = access.living(placed).await else { return false };
    let Ok((_, api)) = access.api(placed).await else { return false };
    let params = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let tried = api.patch(placed.object.name(), &params, &Patch::Apply(&placed.object)).await;
    tried.is_ok_and(|tried| tried.metadata.generation == living.0.metadata.generation)
}

/// What is said of one object.
enum Judged {
    /// With what the API server warned of.
    Fine(Vec<Heard>),
    Finding(Fault),
    /// It stops nothing.
    Warning(String),
}

/// Judges one object; a passing fault ends the whole check, which is then tried again.
async fn judge(
    access: &Access<'_>,
    placed: &ResolvedObject,
    brought: &BundleProvides,
    terms: &Terms,
) -> Result<Judged, Fault> {
    let object = &placed.object;
    if placed.kind.is_none() {
        return Ok(match brought.defines(object) {
            true => Judged::Fine(Vec::new()),
            false => Judged::Finding(unknown_kind(object)),
        });
    }
    match tried(access, placed, terms.adopt).await {
        Ok(heard) => Ok(Judged::Fine(heard)),
        Err(fault) if fault.transient => Err(fault),
        // Judged at the head of its own stage.
        Err(fault) if brought.explains(object, fault.reason) => {
            tracing::debug!(object = %object.key(), finding = fault.message, "judged later");
            Ok(Judged::Fine(Vec::new()))
        }
        Err(fault) if fault.reason == Reason::ImmutableField && is_replaceable(object) => {
            let key = object.key();
            let words = format!("{key} is deleted and created anew: a field cannot be changed");
            Ok(Judged::Warning(words))
        }
        Err(fault) => Ok(Judged::Finding(fault)),
    }
}

async fn tried(
    access: &Access<'_>,
    placed: &ResolvedObject,
    adopt: bool,
) -> Result<Vec<Heard>, Fault> {
    owned(access, placed, adopt).await?;
    let said = dry_run(access, placed).await?;
    crd_instances::refuse_harm(access, placed).await?;
    let key = placed.object.key();
    Ok(said.into_iter().map(|words| Heard { key: key.clone(), words }).collect())
}

/// Refuses an existing object that is another's; returns what lives.
pub async fn owned(
    access: &Access<'_>,
    placed: &ResolvedObject,
    adopt: bool,
) -> Result<Option<Living>, Fault> {
    let Some(living) = access.living(placed).await? else { return Ok(None) };
    let key = placed.object.key();
    let refused = |whose: String| {
        let managers = living.managers();
        let message = format!("{key} exists already and is {whose}{managers}");
        Err(Fault::new(Reason::NotOurs, message))
    };
    match living.owner() {
        Some(owner) if owner == access.add_on => Ok(Some(living)),
        Some(other) => refused(format!("add-on {other}'s")),
        None if adopt => Ok(Some(living)),
        None => refused("not this add-on's; policy.adopt would take it over".to_owned()),
    }
}

/// One fault for all findings: its reason is the first that the assignment's author has to mend, else the first.
fn refuse(findings: Vec<Fault>) -> Result<(), Fault> {
    let first = findings
        .iter()
        .find(|finding| finding.reason.actionable_by() == ActionableBy::Assignment)
        .or(findings.first());
    let Some(first) = first else { return Ok(()) };
    let all: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let message = match all.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("{} findings: {}", many.len(), many.join("; ")),
    };
    Err(Fault::new(first.reason, message))
}
