//! Asks the API server whether the service account may do all that a rollout and its way back need.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use lifecycle::{Fault, Reason};

use crate::cluster::access::{Access, each};
use crate::cluster::error;
use crate::cluster::resolved::ResolvedObject;

/// Server-side apply patches and creates; prune and rollback delete; drift is seen by listing.
const VERBS: [&str; 5] = ["get", "list", "create", "patch", "delete"];

/// Asked first: most accounts may do everything, and one answer then stands for all verbs.
const ALL: &str = "*";

/// Objects of a kind, in a namespace or in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    group: String,
    resource: String,
    namespace: Option<String>,
}

/// One finding for all rights that are not there.
pub async fn missing(
    access: &Access<'_>,
    objects: &[ResolvedObject],
) -> Result<Option<Fault>, Fault> {
    let places: BTreeSet<Place> = objects.iter().filter_map(place).collect();
    let reviews: Api<SelfSubjectAccessReview> = Api::all(access.client.clone());
    let refused = each(places.iter().map(|place| refused(&reviews, place))).await;
    let mut words = Vec::new();
    for (place, verbs) in places.iter().zip(refused) {
        let verbs = verbs?;
        if !verbs.is_empty() {
            words.push(format!("{} {}", verbs.join("/"), place.words()));
        }
    }
    if words.is_empty() {
        return Ok(None);
    }
    let message = format!("{} may not {}", access.account.user(), words.join(", "));
    Ok(Some(Fault::new(Reason::Forbidden, message)))
}

fn place(placed: &ResolvedObject) -> Option<Place> {
    let resource = &placed.kind.as_ref()?.resource;
    Some(Place {
        group: resource.group.clone(),
        resource: resource.plural.clone(),
        namespace: placed.object.namespace().map(str::to_owned),
    })
}

/// What of all that is needed may not be done there.
async fn refused(
    reviews: &Api<SelfSubjectAccessReview>,
    place: &Place,
) -> Result<Vec<&'static str>, Fault> {
    if may(reviews, place, ALL).await? {
        return Ok(Vec::new());
    }
    let answers = each(VERBS.map(|verb| may(reviews, place, verb))).await;
    let answers: Vec<bool> = answers.into_iter().collect::<Result<_, Fault>>()?;
    let refused = VERBS.into_iter().zip(answers).filter(|(_, may)| !may);
    Ok(refused.map(|(verb, _)| verb).collect())
}

async fn may(
    reviews: &Api<SelfSubjectAccessReview>,
    place: &Place,
    verb: &str,
) -> Result<bool, Fault> {
    let attributes = ResourceAttributes {
        group: Some(place.group.clone()),
        resource: Some(place.resource.clone()),
        namespace: place.namespace.clone(),
        verb: Some(verb.to_owned()),
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
        .map_err(|e| error::to_fault("the service account's rights could not be asked for", &e))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

impl Place {
    /// `deployments.apps in shop`
    fn words(&self) -> String {
        let group = if self.group.is_empty() { "" } else { "." };
        let place = self.namespace.as_ref().map_or(String::new(), |name| format!(" in {name}"));
        format!("{}{group}{}{place}", self.resource, self.group)
    }
}
