//! Tries a whole release against the API server before the first write, and reports all findings at once.

mod access_review;
mod rollback_safety;
mod trial;
mod warnings;

use std::collections::BTreeSet;

use lifecycle::plan::removal::reject_shrunk;
use lifecycle::{ActionableBy, CheckReport, Fault, ObjectKey, Reason, RollbackSafety};

use crate::actions::bundle_provides::BundleProvides;
use crate::actions::release::ResolvedRelease;
use crate::cluster::resolved::ResolvedObject;

use trial::{Judgement, Trial};
use warnings::ApiWarning;

/// What the assignment allows the check to accept.
pub struct CheckOptions {
    /// Existing objects of no add-on may be adopted.
    pub may_adopt: bool,
    /// The bundle may have lost most of its objects.
    pub allow_shrink: bool,
}

/// The running release, to which a rollback would lead.
pub enum Baseline {
    /// Nothing runs: a first install.
    Nothing,
    /// The running release is not retained any more.
    Lost,
    Running(Box<ResolvedRelease>),
}

impl Baseline {
    fn running(&self) -> Option<&ResolvedRelease> {
        match self {
            Baseline::Nothing | Baseline::Lost => None,
            Baseline::Running(running) => Some(running),
        }
    }
}

/// Checks a release without writing anything.
///
/// # Errors
/// One fault for all findings; a transient fault if the check has to be repeated.
pub async fn check(
    release: &ResolvedRelease,
    baseline: &Baseline,
    options: &CheckOptions,
) -> Result<CheckReport, Fault> {
    let trials = trial::run(release, options.may_adopt).await;
    let mut findings = Vec::new();
    findings.extend(find_duplicate(&release.objects));
    if let Some(running) = baseline.running().filter(|_| !options.allow_shrink) {
        findings.extend(reject_shrunk(release.objects.len(), running.objects.len()).err());
    }
    let foreign = foreign_objects(&release.objects, &trials);
    let (warnings, api_warnings) = judge_all(release, trials, &mut findings)?;
    review_access(release, baseline, &mut findings).await?;
    refuse(&findings)?;
    let rollback_safety = judge_rollback(release, baseline, &foreign).await?;
    let warnings = warnings::collect(release, warnings, &api_warnings).await;
    Ok(CheckReport { rollback_safety, warnings, ..CheckReport::default() })
}

/// Returns two objects that become one in this cluster: a cluster-scoped one with and without namespace.
fn find_duplicate(objects: &[ResolvedObject]) -> Option<Fault> {
    let mut seen = BTreeSet::new();
    let duplicate =
        objects.iter().map(ResolvedObject::key).find(|key| !seen.insert(key.clone()))?;
    Some(Fault::new(Reason::DuplicateObject, format!("{duplicate} is in the bundle twice")))
}

fn foreign_objects(objects: &[ResolvedObject], trials: &[Trial]) -> BTreeSet<ObjectKey> {
    let foreign = objects.iter().zip(trials).filter(|(_, trial)| trial.is_foreign);
    foreign.map(|(object, _)| object.key()).collect()
}

/// Returns the warnings of the check and of the API server.
fn judge_all(
    release: &ResolvedRelease,
    trials: Vec<Trial>,
    findings: &mut Vec<Fault>,
) -> Result<(Vec<String>, Vec<ApiWarning>), Fault> {
    let provides = provided(&release.objects, &trials);
    let (mut warnings, mut api_warnings) = (Vec::new(), Vec::new());
    for (object, trial) in release.objects.iter().zip(trials) {
        match trial::judge(object, trial, &provides)? {
            Judgement::Accepted(more) => api_warnings.extend(more),
            Judgement::Finding(fault) => findings.push(fault),
            Judgement::Warning(warning) => warnings.push(warning),
        }
    }
    Ok((warnings, api_warnings))
}

/// Returns what the bundle brings and the cluster does not have in that form yet.
fn provided(objects: &[ResolvedObject], trials: &[Trial]) -> BundleProvides {
    let open = objects.iter().zip(trials).filter(|(_, trial)| !trial.is_unchanged_definition);
    open.map(|(object, _)| &object.manifest).collect()
}

/// Adds the rights that the release or a rollback lacks.
async fn review_access(
    release: &ResolvedRelease,
    baseline: &Baseline,
    findings: &mut Vec<Fault>,
) -> Result<(), Fault> {
    if let Some(missing) = access_review::missing_rights(release).await? {
        // The findings of single objects would repeat it at greater length.
        findings.retain(|finding| finding.reason != Reason::Forbidden);
        findings.insert(0, missing);
    }
    if let Some(running) = baseline.running()
        && let Some(missing) = access_review::missing_rights(running).await?
    {
        let message = format!("a rollback would fail: {}", missing.message);
        findings.push(Fault { message, ..missing });
    }
    Ok(())
}

async fn judge_rollback(
    release: &ResolvedRelease,
    baseline: &Baseline,
    foreign: &BTreeSet<ObjectKey>,
) -> Result<Option<RollbackSafety>, Fault> {
    match baseline {
        Baseline::Nothing => Ok(None),
        Baseline::Lost | Baseline::Running(_) => {
            rollback_safety::assess(release, baseline.running(), foreign).await.map(Some)
        }
    }
}

/// Makes one fault of all findings. Its reason is the first one for the author of the assignment to fix, else the first.
fn refuse(findings: &[Fault]) -> Result<(), Fault> {
    let is_authors = |finding: &&Fault| finding.reason.actionable_by() == ActionableBy::Assignment;
    let Some(first) = findings.iter().find(is_authors).or(findings.first()) else {
        return Ok(());
    };
    let messages: Vec<&str> = findings.iter().map(|finding| finding.message.as_str()).collect();
    let message = match messages.as_slice() {
        [one] => (*one).to_owned(),
        many => format!("{} findings: {}", many.len(), many.join("; ")),
    };
    Err(Fault::new(first.reason, message))
}
