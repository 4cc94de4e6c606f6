//! Asks the API server whether the service account has all rights that a rollout and its rollback need.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use lifecycle::{Fault, Reason};

use crate::actions::release::ResolvedRelease;
use crate::cluster::access::join_bounded;
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Server-side apply patches and creates; prune and rollback delete; drift is detected by lists.
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// Reviewed first: most accounts may do everything, and one answer then covers all verbs.
const ALL_VERBS: &str = "*";

/// The objects of a kind in one namespace, or in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    group: String,
    resource: String,
    namespace: Option<String>,
}

/// Returns one finding for all rights that the release's account lacks.
pub async fn missing_rights(release: &ResolvedRelease) -> Result<Option<Fault>, Fault> {
    let access = &release.access;
    let targets: BTreeSet<Target> = release.objects.iter().filter_map(Target::of).collect();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(access.client.clone());
    let denied = targets.iter().map(|target| denied_verbs(&reviews, target));
    let mut missing = Vec::new();
    for (target, verbs) in targets.iter().zip(join_bounded(denied).await) {
        let verbs = verbs?;
        if !verbs.is_empty() {
            missing.push(format!("{} {target}", verbs.join("/")));
        }
    }
    if missing.is_empty() {
        return Ok(None);
    }
    let message = format!("{} may not {}", access.account.user(), missing.join(", "));
    Ok(Some(Fault::new(Reason::Forbidden, message)))
}

async fn denied_verbs(
    reviews: &Api<SelfSubjectAccessReview>,
    target: &Target,
) -> Result<Vec<&'static str>, Fault> {
    if is_allowed(reviews, target, ALL_VERBS).await? {
        return Ok(Vec::new());
    }
    let answers = join_bounded(VERBS.map(|verb| is_allowed(reviews, target, verb))).await;
    let answers: Vec<bool> = answers.into_iter().collect::<Result<_, Fault>>()?;
    let denied = VERBS.into_iter().zip(answers).filter(|(_, is_allowed)| !is_allowed);
    Ok(denied.map(|(verb, _)| verb).collect())
}

async fn is_allowed(
    reviews: &Api<SelfSubjectAccessReview>,
    target: &Target,
    verb: &str,
) -> Result<bool, Fault> {
    let attributes = ResourceAttributes {
        group: Some(target.group.clone()),
        resource: Some(target.resource.clone()),
        namespace: target.namespace.clone(),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer =
        answer.map_err(|e| error::to_fault("could not review the service account's rights", &e))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

impl Target {
    fn of(object: &ResolvedObject) -> Option<Self> {
        let resource = &object.kind.as_ref()?.resource;
        Some(Self {
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            namespace: object.manifest.namespace().map(str::to_owned),
        })
    }
}

/// As in `deployments.apps in shop`.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}
