//! Tries each object of a release by a dry run, and judges the answer.

use lifecycle::Fault;
use lifecycle::ownership::adoption;

use super::warnings::ApiWarning;
use crate::actions::bundle_provides::BundleProvides;
use crate::actions::obstacles::is_clearable;
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::{Access, join_bounded};
use crate::cluster::adoption::fields_of;
use crate::cluster::crd_instances;
use crate::cluster::dry_run::{DryRun, dry_run};
use crate::cluster::living::LivingObject;
use crate::cluster::ownership::ensure_owned;
use crate::cluster::resolved::{ResolvedObject, unknown_kind};

/// How the API server answered for one object.
pub struct Trial {
    result: Result<DryRun, Fault>,
    /// What an adoption leaves to others, in words.
    left: Option<String>,
    /// It exists, and the add-on may not delete it: it is not its own, or adopted by a release that was never available.
    pub is_foreign: bool,
    /// A definition that a write would not change, so its judgement of its objects is final.
    pub is_unchanged_definition: bool,
    /// Admission of the add-on's own refused it, and its write will clear that.
    is_late: bool,
}

/// The judgement of one object.
pub enum Judgement {
    Accepted(Vec<ApiWarning>),
    Finding(Fault),
    /// It stops nothing.
    Warning(String),
}

/// Returns a trial for each object, in order.
pub async fn run(release: &ResolvedRelease, may_adopt: bool) -> Vec<Trial> {
    let access = &release.access;
    let trials = release.objects.iter().map(|object| async {
        let mut trial = try_object(access, object, may_adopt).await;
        if let Err(fault) = &trial.result {
            trial.is_late = is_clearable(release, fault).await;
        }
        trial
    });
    join_bounded(trials).await
}

async fn try_object(access: &Access, object: &ResolvedObject, may_adopt: bool) -> Trial {
    if object.kind.is_none() {
        return Trial::failed(unknown_kind(&object.manifest));
    }
    let living = match access.read(object).await {
        Ok(living) => living,
        Err(fault) => return Trial::failed(fault),
    };
    let living = living.as_ref();
    let ownership = ensure_owned(access, object, living, may_adopt).await;
    // Of a foreign definition, too, it matters whether the release would change it.
    let dry_run = match &ownership {
        Err(fault) if !object.is_definition() => Err(fault.clone()),
        Ok(()) | Err(_) => dry_run(access, object, living).await,
    };
    Trial {
        left: match (living, &dry_run) {
            (Some(living), Ok(_)) => left_by_adoption(access, object, living).await,
            (None, _) | (_, Err(_)) => None,
        },
        is_foreign: living.is_some_and(|living| is_foreign(access, living)),
        is_unchanged_definition: object.is_definition() && is_unchanged(living, &dry_run),
        is_late: false,
        result: conclude(access, object, living, ownership.and(dry_run)).await,
    }
}

async fn conclude(
    access: &Access,
    object: &ResolvedObject,
    living: Option<&LivingObject>,
    dry_run: Result<DryRun, Fault>,
) -> Result<DryRun, Fault> {
    let accepted = dry_run?;
    crd_instances::refuse_data_loss(access, object, living).await?;
    Ok(accepted)
}

/// Returns what an adoption leaves to others. It is only information: without an answer nothing is said.
async fn left_by_adoption(
    access: &Access,
    object: &ResolvedObject,
    living: &LivingObject,
) -> Option<String> {
    let content = living.content().filter(|_| living.owner() != Some(&access.add_on))?;
    fields_of(access, object, living, content).await.ok()?.describe_left()
}

fn is_foreign(access: &Access, living: &LivingObject) -> bool {
    living.owner() != Some(&access.add_on)
        || adoption::keep_reason(living.adopted_by(), access.available.as_ref()).is_some()
}

fn is_unchanged(living: Option<&LivingObject>, dry_run: &Result<DryRun, Fault>) -> bool {
    match (living, dry_run) {
        (Some(living), Ok(accepted)) => accepted.generation == living.metadata.generation,
        (None, _) | (_, Err(_)) => false,
    }
}

impl Trial {
    fn failed(fault: Fault) -> Self {
        Self {
            result: Err(fault),
            left: None,
            is_foreign: false,
            is_unchanged_definition: false,
            is_late: false,
        }
    }
}

/// Judges one object.
///
/// # Errors
/// A transient fault, for which the whole check is repeated.
pub fn judge(
    object: &ResolvedObject,
    trial: Trial,
    provides: &BundleProvides,
) -> Result<Judgement, Fault> {
    let (key, manifest) = (object.key(), &object.manifest);
    let fault = match trial.result {
        Ok(accepted) if accepted.is_replacement => {
            let message = format!("{key} is deleted and recreated: a field cannot be changed");
            return Ok(Judgement::Warning(message));
        }
        Ok(_) if let Some(left) = trial.left => {
            return Ok(Judgement::Warning(format!("{key} is adopted; {left}")));
        }
        Ok(accepted) => {
            let of_object = |message| ApiWarning { key: key.clone(), message };
            let warnings = accepted.warnings.into_iter();
            return Ok(Judgement::Accepted(warnings.map(of_object).collect()));
        }
        Err(fault) if trial.is_late => {
            let message = format!("{key} is checked at its write: {}", fault.message);
            return Ok(Judgement::Warning(message));
        }
        Err(fault) if fault.transient => return Err(fault),
        Err(fault) => fault,
    };
    let is_explained = match object.kind {
        Some(_) => provides.explains(manifest, fault.reason),
        None => provides.defines(manifest),
    };
    if is_explained {
        // It is checked at the beginning of its wave.
        tracing::debug!(object = %key, cause = fault.message, "checking an object later");
        return Ok(Judgement::Accepted(Vec::new()));
    }
    Ok(Judgement::Finding(fault))
}

#[cfg(test)]
mod tests {
    use lifecycle::{Object, Reason};
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str) -> ResolvedObject {
        let metadata = json!({"name": "a", "namespace": "shop"});
        ResolvedObject {
            manifest: Object(
                json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}),
            ),
            kind: None,
            other_version: None,
            ignored_fields: Vec::new(),
        }
    }

    fn judged(object: &ResolvedObject, fault: Fault, bundle: &[Object]) -> &'static str {
        match judge(object, Trial::failed(fault), &bundle.iter().collect()) {
            Ok(Judgement::Accepted(_)) => "accepted",
            Ok(Judgement::Finding(_)) => "finding",
            Ok(Judgement::Warning(_)) => "warning",
            Err(_) => "repeat the check",
        }
    }

    #[test]
    fn a_refusal_is_a_finding_unless_it_is_transient_or_expected() {
        let definition = Object(json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "spec": {"group": "e.example.com", "names": {"kind": "Box"}, "scope": "Namespaced"},
        }));
        let (config_map, claim) =
            (object("v1", "ConfigMap"), object("v1", "PersistentVolumeClaim"));
        let custom = object("e.example.com/v1", "Box");
        let fault = |reason| Fault::new(reason, "refused");
        let refused = || fault(Reason::ObjectRefused);
        assert_eq!(judged(&config_map, refused(), &[]), "finding");
        let transient = Fault { transient: true, ..refused() };
        assert_eq!(judged(&config_map, transient, &[]), "repeat the check");
        assert_eq!(judged(&claim, fault(Reason::ImmutableField), &[]), "finding");
        let unknown = || fault(Reason::UnknownKind);
        assert_eq!(judged(&custom, unknown(), &[]), "finding");
        assert_eq!(judged(&custom, unknown(), &[definition]), "accepted");
    }
}
