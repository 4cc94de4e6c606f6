//! Tries a whole release against the API server before the first write, and reports all findings at once.

mod access_review;
mod rollback_safety;
mod warnings;

use std::collections::BTreeSet;

use kube::api::{Patch, PatchParams};
use lifecycle::names::FIELD_MANAGER;
use lifecycle::plan::{is_replaceable, refuse_shrunk};
use lifecycle::{Fault, Owner, Reason, Report};

use crate::cluster::access::{Living, Work, each};
use crate::cluster::crd_instances;
use crate::cluster::dry_run::dry_run;
use crate::cluster::resolved::{Brought, Placed, unknown_kind};

use warnings::Heard;

/// What the check is told beside the release itself.
pub struct Terms {
    /// Existing objects of others may be taken over.
    pub adopt: bool,
    /// The bundle may have lost most of its objects.
    pub allow_shrink: bool,
}

/// What runs, as far as it is retained, with the rights by which it would be put back.
pub enum From<'a> {
    /// Nothing: a first install.
    Nothing,
    Lost,
    Running(Box<Work<'a>>, Vec<Placed>),
}

pub async fn check(
    work: &Work<'_>,
    release: &[Placed],
    from: &From<'_>,
    terms: &Terms,
) -> Result<Report, Fault> {
    let mut findings = Vec::new();
    findings.extend(twice(release));
    if !terms.allow_shrink
        && let From::Running(_, running) = from
    {
        findings.extend(refuse_shrunk(release.len(), running.len()).err());
    }
    let brought = brought(work, release).await;
    let judged = each(release.iter().map(|placed| judge(work, placed, &brought, terms))).await;
    let (mut warnings, mut heard) = (Vec::new(), Vec::new());
    for judged in judged {
        match judged? {
            Judged::Fine(said) => heard.extend(said),
            Judged::Finding(fault) => findings.push(fault),
            Judged::Warning(words) => warnings.push(words),
        }
    }
    if let Some(missing) = access_review::missing(work, release).await? {
        // What each object says of it would be the same at greater length.
        findings.retain(|finding| finding.reason != Reason::Forbidden);
        findings.insert(0, missing);
    }
    if let From::Running(back, running) = from
        && let Some(missing) = access_review::missing(back, running).await?
    {
        let message = format!("going back would fail: {}", missing.message);
        findings.push(Fault { message, ..missing });
    }
    refuse(findings)?;
    let safety = match from {
        From::Nothing => None,
        From::Lost => Some(rollback_safety::safety(work, release, None).await?),
        From::Running(_, running) => {
            Some(rollback_safety::safety(work, release, Some(running)).await?)
        }
    };
    let warnings = warnings::warnings(work, release, warnings, &heard).await;
    Ok(Report { safety, warnings, ..Report::default() })
}

/// Two objects that become one in this cluster: a cluster-scoped one with and without namespace.
fn twice(release: &[Placed]) -> Option<Fault> {
    let mut seen = BTreeSet::new();
    let again = release.iter().find(|placed| !seen.insert(placed.object.key()))?;
    let message = format!("{} is in the bundle twice", again.object.key());
    Some(Fault::new(Reason::DuplicateObject, message))
}

/// What the bundle brings that is not here yet in that form.
async fn brought(work: &Work<'_>, release: &[Placed]) -> Brought {
    let settled = each(release.iter().map(|placed| is_settled(work, placed))).await;
    let open = release.iter().zip(settled).filter(|(_, settled)| !settled);
    Brought::by(open.map(|(placed, _)| &placed.object))
}

/// A definition that writing would not change: what it says of its objects is final.
async fn is_settled(work: &Work<'_>, placed: &Placed) -> bool {
    if placed.object.kind() != "CustomResourceDefinition" {
        return false;
    }
    let Ok(Some(living)) = work.living(placed).await else { return false };
    let Ok((_, api)) = work.api(placed).await else { return false };
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
    work: &Work<'_>,
    placed: &Placed,
    brought: &Brought,
    terms: &Terms,
) -> Result<Judged, Fault> {
    let object = &placed.object;
    if placed.kind.is_none() {
        return Ok(match brought.defines(object) {
            true => Judged::Fine(Vec::new()),
            false => Judged::Finding(unknown_kind(object)),
        });
    }
    match tried(work, placed, terms.adopt).await {
        Ok(heard) => Ok(Judged::Fine(heard)),
        Err(fault) if fault.passing => Err(fault),
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

async fn tried(work: &Work<'_>, placed: &Placed, adopt: bool) -> Result<Vec<Heard>, Fault> {
    owned(work, placed, adopt).await?;
    let said = dry_run(work, placed).await?;
    crd_instances::refuse_harm(work, placed).await?;
    let key = placed.object.key();
    Ok(said.into_iter().map(|words| Heard { key: key.clone(), words }).collect())
}

/// Refuses an existing object that is another's; returns what lives.
pub async fn owned(work: &Work<'_>, placed: &Placed, adopt: bool) -> Result<Option<Living>, Fault> {
    let Some(living) = work.living(placed).await? else { return Ok(None) };
    let key = placed.object.key();
    let refused = |whose: String| {
        let managers = living.managers();
        let message = format!("{key} exists already and is {whose}{managers}");
        Err(Fault::new(Reason::NotOurs, message))
    };
    match living.owner() {
        Some(owner) if owner == work.add_on => Ok(Some(living)),
        Some(other) => refused(format!("add-on {other}'s")),
        None if adopt => Ok(Some(living)),
        None => refused("not this add-on's; policy.adopt would take it over".to_owned()),
    }
}

/// One fault for all findings: its reason is the first that the assignment's author has to mend, else the first.
fn refuse(findings: Vec<Fault>) -> Result<(), Fault> {
    let first = findings
        .iter()
        .find(|finding| finding.reason.owner() == Owner::Assignment)
        .or(findings.first());
    let Some(first) = first else { return Ok(()) };
    let all: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let message = match all.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("{} findings: {}", many.len(), many.join("; ")),
    };
    Err(Fault::new(first.reason, message))
}
