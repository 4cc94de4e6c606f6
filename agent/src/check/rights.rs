//! Asks the API server whether the service account may do all that a rollout and its way back need.

use std::collections::{BTreeMap, BTreeSet};

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

/// One finding for all rights that are not there.
pub async fn missing(work: &Work<'_>, objects: &[Placed]) -> Result<Option<Fault>, Fault> {
    let needed: BTreeSet<Right> = objects.iter().flat_map(rights).collect();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(work.client.clone());
    let answers = each(needed.into_iter().map(|right| review(&reviews, right))).await;
    let mut refused: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for answer in answers {
        if let Some(right) = answer? {
            refused.entry(right.object()).or_default().push(right.verb);
        }
    }
    if refused.is_empty() {
        return Ok(None);
    }
    let words = refused.iter().map(|(object, verbs)| format!("{} {object}", verbs.join("/")));
    let words: Vec<String> = words.collect();
    let message = format!("{} may not {}", work.account.user(), words.join(", "));
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

/// The right, if it is not there.
async fn review(
    reviews: &Api<SelfSubjectAccessReview>,
    right: Right,
) -> Result<Option<Right>, Fault> {
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
    Ok((!allowed).then_some(right))
}

impl Right {
    /// `deployments.apps in shop`
    fn object(&self) -> String {
        let group = if self.group.is_empty() { "" } else { "." };
        let place = self.namespace.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        format!("{}{group}{}{place}", self.resource, self.group)
    }
}
