//! Takes back what OCM noted too early: now and then the klusterlet reports the old version's health for the new one, the
//! rollout counts the cluster as done, and with a soak it keeps its place in the rollout for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use lifecycle::ManagedAddOn;
use lifecycle::names::annotation;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::assignments::template::version_in_name;
use crate::backoff::IDLE;
use crate::hub_state::HubState;
use crate::kube_error::{chain, is_conflict};
use crate::names::by_us;
use crate::ocm::{GROUP, ManagedClusterAddOn};
use crate::{AddOns, changed};

/// At most once in this time for the same assignment, so that whoever disagrees does not fight.
const REST: Duration = Duration::from_secs(60);

/// OCM writes the same status at the same time.
const TRIES: usize = 4;

/// What was taken back, and when.
type Tried = BTreeMap<String, (Value, Instant)>;

/// Works for good.
pub async fn follow(
    hub: Client,
    cluster: String,
    mut picture: watch::Receiver<HubState>,
    mut add_ons: watch::Receiver<AddOns>,
) {
    let mcas = Api::namespaced(hub, &cluster);
    let mut tried = Tried::new();
    loop {
        let (seen, here) =
            (picture.borrow_and_update().clone(), add_ons.borrow_and_update().clone());
        let next = look(&mcas, &seen, &here, &mut tried).await;
        tokio::select! {
            () = changed(&mut picture) => {}
            () = changed(&mut add_ons) => {}
            () = tokio::time::sleep_until(next) => {}
        }
    }
}

/// When to look again though nothing changed.
async fn look(
    mcas: &Api<ManagedClusterAddOn>,
    hub: &HubState,
    here: &AddOns,
    tried: &mut Tried,
) -> Instant {
    let mut next = Instant::now() + IDLE;
    for (name, mca) in &hub.mcas {
        let Some(early) = here.get(name).and_then(|add_on| early(mca, add_on)) else { continue };
        let last = tried.get(name).filter(|(desired, _)| *desired == early.desired);
        let due = last.map_or_else(Instant::now, |(_, when)| *when + REST);
        if due > Instant::now() {
            next = next.min(due);
            continue;
        }
        tried.insert(name.clone(), (early.desired, Instant::now()));
        next = next.min(Instant::now() + REST);
        if let Err(error) = take_back(mcas, name, here).await {
            warn!(
                add_on = name,
                error = chain(&error),
                "cannot take back what OCM noted too early"
            );
        }
    }
    next
}

/// The whole list as it is at this moment, for the exact version that was read.
async fn take_back(mcas: &Api<ManagedClusterAddOn>, name: &str, here: &AddOns) -> kube::Result<()> {
    let Some(add_on) = here.get(name) else { return Ok(()) };
    for tries_left in (0..TRIES).rev() {
        let Some(mca) = mcas.get_opt(name).await? else { return Ok(()) };
        let Some(early) = early(&mca, add_on) else { return Ok(()) };
        let patch = json!({
            "metadata": {"uid": mca.uid(), "resourceVersion": mca.resource_version()},
            "status": {"configReferences": early.list},
        });
        let params = by_us();
        match mcas.patch_status(name, &params, &Patch::Merge(&patch)).await {
            Err(error) if is_conflict(&error) && tries_left > 0 => {}
            Err(error) => return Err(error),
            Ok(_) => {
                info!(add_on = name, "took back that OCM called this version completed too early");
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What OCM noted though it is not so.
#[derive(Clone, Debug, PartialEq)]
struct Early {
    /// What is assigned.
    desired: Value,
    /// `status.configReferences` without it.
    list: Vec<Value>,
}

fn early(mca: &ManagedClusterAddOn, here: &ManagedAddOn) -> Option<Early> {
    let mut list = mca.status.as_ref()?.config_references.clone();
    // OCM does not survive an entry without one.
    if !list.iter().all(|entry| entry["desiredConfig"].is_object()) {
        return None;
    }
    let entry = list.iter_mut().find(|entry| {
        let template = entry["desiredConfig"]["name"].as_str().unwrap_or_default();
        is_template(entry)
            && entry["lastAppliedConfig"] == entry["desiredConfig"]
            && contradicts(mca.name(), template, here)
    })?;
    let desired = entry["desiredConfig"].clone();
    entry.as_object_mut()?.remove("lastAppliedConfig");
    Some(Early { desired, list })
}

fn is_template(entry: &Value) -> bool {
    entry["group"] == GROUP && entry["resource"] == "addontemplates"
}

/// The template's version did not become available here; where it tells no version, that is not known.
fn contradicts(add_on: &str, template: &str, here: &ManagedAddOn) -> bool {
    let from = here.annotations().get(annotation::TEMPLATE);
    let version = match (version_in_name(add_on, template), from) {
        (Some(version), _) => version,
        (None, Some(from)) if from == template => here.spec.version.as_str(),
        (None, Some(_)) => return true,
        (None, None) => return false,
    };
    let current = here.status.as_ref().and_then(|status| status.current_version.as_deref());
    current != Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{local, mca, status};

    #[test]
    fn only_what_the_cluster_contradicts_is_early() {
        let early = |desired: &str, applied: Option<&str>, current: Option<&str>| {
            early(&noted(desired, applied), &here(current)).is_some()
        };
        assert!(early("metrics-1.5.0", Some("metrics-1.5.0"), Some("1.4.0")));
        assert!(early("metrics-1.5.0", Some("metrics-1.5.0"), None));
        assert!(!early("metrics-1.5.0", Some("metrics-1.5.0"), Some("1.5.0")));
        assert!(!early("metrics-1.5.0", Some("metrics-1.4.0"), Some("1.4.0")), "not noted");
        assert!(!early("metrics-1.5.0", None, Some("1.4.0")));
        assert!(!early("blue", Some("blue"), Some("1.4.0")), "it tells no version");
    }

    #[test]
    fn a_template_that_tells_no_version_is_known_by_the_annotation() {
        let mut here = here(Some("1.4.0"));
        here.annotations_mut().insert(annotation::TEMPLATE.to_owned(), "blue".to_owned());
        assert!(early(&noted("blue", Some("blue")), &here).is_some(), "1.5.0 is not there");
        assert!(early(&noted("green", Some("green")), &here).is_some(), "it did not even come");
        here.status = Some(status(json!({"currentVersion": "1.5.0"})));
        assert!(early(&noted("blue", Some("blue")), &here).is_none());
    }

    #[test]
    fn everything_else_in_the_list_stays_as_it_is() {
        let mca = noted("metrics-1.5.0", Some("metrics-1.5.0"));
        let mut expected = mca.status.clone().unwrap().config_references;
        expected[1].as_object_mut().unwrap().remove("lastAppliedConfig");
        assert_eq!(early(&mca, &here(None)).unwrap().list, expected);
    }

    #[test]
    fn a_list_with_an_entry_that_ocm_would_not_survive_is_not_written() {
        let mut mca = noted("metrics-1.5.0", Some("metrics-1.5.0"));
        let list = &mut mca.status.as_mut().unwrap().config_references;
        list[0].as_object_mut().unwrap().remove("desiredConfig");
        assert_eq!(early(&mca, &here(None)), None);
    }

    /// 1.5.0 is asked for.
    fn here(current: Option<&str>) -> ManagedAddOn {
        let mut add_on = local("metrics");
        add_on.status = Some(status(json!({"phase": "Verifying", "currentVersion": current})));
        add_on
    }

    fn noted(desired: &str, applied: Option<&str>) -> ManagedClusterAddOn {
        let config = |name: &str| json!({"name": name, "specHash": "abc"});
        let mut mca = mca("metrics", "u1");
        mca.status = serde_json::from_value(json!({"configReferences": [
            {"group": GROUP, "resource": "addondeploymentconfigs", "name": "x", "namespace": "y",
             "desiredConfig": {"name": "x", "namespace": "y", "specHash": "d"},
             "lastAppliedConfig": {"name": "x", "namespace": "y", "specHash": "d"}, "lastObservedGeneration": 1},
            {"group": GROUP, "resource": "addontemplates", "name": desired, "lastObservedGeneration": 1,
             "desiredConfig": config(desired), "lastAppliedConfig": applied.map(config)},
        ]}))
        .unwrap();
        mca
    }
}
