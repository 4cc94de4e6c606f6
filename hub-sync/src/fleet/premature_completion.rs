//! OCM's premature completion: it records that a version is in place although its `ManagedAddOn` does not show it. Pure.
//!
//! Now and then the klusterlet reports the old version's health for the new one. OCM's rollout then counts the cluster as
//! done, and with a soak the cluster keeps its place in the rollout for ever.

use kube::ResourceExt;
use lifecycle::ManagedAddOn;
use lifecycle::names::annotation;
use serde_json::Value;

use crate::assignments::template::version_in_name;
use crate::ocm::{GROUP, ManagedClusterAddOn};

/// A record of OCM that the cluster contradicts.
#[derive(Clone, Debug, PartialEq)]
pub struct PrematureCompletion {
    /// The assigned configuration: `desiredConfig` of the record.
    pub desired: Value,
    /// `status.configReferences` without the record.
    pub corrected: Vec<Value>,
}

/// Returns OCM's premature completion of an add-on, if there is one.
pub fn premature_completion(
    mca: &ManagedClusterAddOn,
    add_on: &ManagedAddOn,
) -> Option<PrematureCompletion> {
    let mut references = mca.status.as_ref()?.config_references.clone();
    // OCM crashes on an entry without it.
    if !references.iter().all(|reference| reference["desiredConfig"].is_object()) {
        return None;
    }
    let reference = references.iter_mut().find(|reference| {
        let template = reference["desiredConfig"]["name"].as_str().unwrap_or_default();
        is_template(reference)
            && reference["lastAppliedConfig"] == reference["desiredConfig"]
            && is_contradicted(mca.name(), template, add_on)
    })?;
    let desired = reference["desiredConfig"].clone();
    reference.as_object_mut()?.remove("lastAppliedConfig");
    Some(PrematureCompletion { desired, corrected: references })
}

fn is_template(reference: &Value) -> bool {
    reference["group"] == GROUP && reference["resource"] == "addontemplates"
}

/// Returns whether the template's version is not the available one. A template whose version is unknown is not
/// contradicted.
fn is_contradicted(name: &str, template: &str, add_on: &ManagedAddOn) -> bool {
    let written_from = add_on.annotations().get(annotation::TEMPLATE);
    let version = match (version_in_name(name, template), written_from) {
        (Some(version), _) => version,
        (None, Some(written_from)) if written_from == template => add_on.spec.version.as_str(),
        (None, Some(_)) => return true,
        (None, None) => return false,
    };
    let current = add_on.status.as_ref().and_then(|status| status.current_version.as_deref());
    current != Some(version)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{local, mca, status};

    #[test]
    fn a_completion_is_premature_only_if_the_cluster_contradicts_it() {
        let is_premature = |desired: &str, applied: Option<&str>, current: Option<&str>| {
            premature_completion(&recorded(desired, applied), &add_on(current)).is_some()
        };
        assert!(is_premature("metrics-1.5.0", Some("metrics-1.5.0"), Some("1.4.0")));
        assert!(is_premature("metrics-1.5.0", Some("metrics-1.5.0"), None));
        assert!(!is_premature("metrics-1.5.0", Some("metrics-1.5.0"), Some("1.5.0")));
        assert!(!is_premature("metrics-1.5.0", Some("metrics-1.4.0"), Some("1.4.0")));
        assert!(!is_premature("metrics-1.5.0", None, Some("1.4.0")));
        assert!(!is_premature("blue", Some("blue"), Some("1.4.0")), "its version is unknown");
    }

    #[test]
    fn the_annotation_gives_the_version_of_a_template_without_one_in_its_name() {
        let mut add_on = add_on(Some("1.4.0"));
        add_on.annotations_mut().insert(annotation::TEMPLATE.to_owned(), "blue".to_owned());
        let is_premature = |template: &str, add_on: &ManagedAddOn| {
            premature_completion(&recorded(template, Some(template)), add_on).is_some()
        };
        assert!(is_premature("blue", &add_on), "1.5.0 is not available");
        assert!(is_premature("green", &add_on), "it did not even arrive");
        add_on.status = Some(status(json!({"currentVersion": "1.5.0"})));
        assert!(!is_premature("blue", &add_on));
    }

    #[test]
    fn everything_else_in_the_list_stays_as_it_is() {
        let mca = recorded("metrics-1.5.0", Some("metrics-1.5.0"));
        let mut expected = mca.status.clone().unwrap().config_references;
        expected[1].as_object_mut().unwrap().remove("lastAppliedConfig");
        assert_eq!(premature_completion(&mca, &add_on(None)).unwrap().corrected, expected);
    }

    #[test]
    fn a_list_with_an_entry_on_which_ocm_would_crash_is_not_written() {
        let mut mca = recorded("metrics-1.5.0", Some("metrics-1.5.0"));
        let references = &mut mca.status.as_mut().unwrap().config_references;
        references[0].as_object_mut().unwrap().remove("desiredConfig");
        assert_eq!(premature_completion(&mca, &add_on(None)), None);
    }

    /// 1.5.0 is assigned.
    fn add_on(current: Option<&str>) -> ManagedAddOn {
        let mut add_on = local("metrics");
        add_on.status = Some(status(json!({"phase": "Verifying", "currentVersion": current})));
        add_on
    }

    fn recorded(desired: &str, applied: Option<&str>) -> ManagedClusterAddOn {
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
