//! Asks the API server whether the service account may do all that a rollout and its way back need.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use lifecycle::{Fault, Reason};

use crate::faults;
use crate::placed::Placed;
use crate::work::{Work, each};

/// Server-side apply patches and creates; prune and rollback delete; drift is seen by listing.
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    group: String,
    resource: String,
    namespace: Option<String>,
    verb: &'static str,
}

pub async fn missing(
    work: &Work<'_>,
    objects: impl Iterator<Item = &Placed>,
) -> Result<Option<Fault>, Fault> {
    let needed: BTreeSet<Right> = objects.flat_map(rights).collect();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(work.client.clone());
    let answers = each(needed.into_iter().map(|right| review(&reviews, right))).await;
    let mut refused = Vec::new();
    for answer in answers {
        refused.extend(answer?);
    }
    if refused.is_empty() {
        return Ok(None);
    }
    let user = work.account.user();
    let message = format!("{user} may not {}", refused.join(", "));
    Ok(Some(Fault::new(Reason::Forbidden, message)))
}

fn rights(placed: &Placed) -> Vec<Right> {
    let Some(kind) = &placed.kind else { return Vec::new() };
    let right = |verb| Right {
        group: kind.resource.group.clone(),
        resource: kind.resource.plural.clone(),
        namespace: placed.object.namespace().map(str::to_owned),
        verb,
    };
    VERBS.into_iter().map(right).collect()
}

/// The words for a right that is not there.
async fn review(
    reviews: &Api<SelfSubjectAccessReview>,
    right: Right,
) -> Result<Option<String>, Fault> {
    let attributes = ResourceAttributes {
        group: Some(right.group.clone()),
        resource: Some(right.resource.clone()),
        namespace: right.namespace.clone(),
        verb: Some(right.verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        ..SelfSubjectAccessReviewSpec::default()
    };
    let asked = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let answer = reviews
        .create(&PostParams::default(), &asked)
        .await
        .map_err(|e| faults::of("the service account's rights could not be asked for", &e))?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then(|| right.to_string()))
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}
