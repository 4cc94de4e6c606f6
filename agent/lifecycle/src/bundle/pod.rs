//! Pods of a bundle, as the controllers of its workloads will create them.

use serde_json::{Value, json};

use crate::kind::KnownKind;
use crate::object::Object;

/// Returns a pod as the workload's controller creates it. None for an object that keeps no pods, or none at the moment.
pub fn sample_pod(workload: &Object) -> Option<Value> {
    let kind = KnownKind::of(workload).filter(|kind| kind.keeps_pods())?;
    if workload.0.pointer("/spec/replicas") == Some(&json!(0)) {
        return None;
    }
    let mut pod = workload.0.pointer(kind.pod_template()?).filter(|it| it.is_object())?.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = KnownKind::Pod.name().into();
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    Some(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_of_a_workload_is_its_template() {
        let pod = |kind: &str, replicas: u32| {
            let template = json!({"spec": {"containers": []}});
            sample_pod(&Object(json!({
                "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"},
                "spec": {"replicas": replicas, "template": template},
            })))
        };
        let expected =
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "spec": {"containers": []}});
        assert_eq!(pod("Deployment", 1), Some(expected));
        assert_eq!(pod("Deployment", 0), None);
        assert_eq!(pod("ControllerRevision", 1), None);
        let without_spec = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}});
        assert_eq!(sample_pod(&Object(without_spec)), None);
    }
}
