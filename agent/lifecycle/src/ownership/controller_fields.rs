//! Fields that a controller owns by design, although manifests have them: exported objects, and templates that leave a place
//! for the controller to fill. Setting them starts a fight that nobody wins, so bundles are read without them.

use serde_json::Value;

use crate::kind::KnownKind;
use crate::object::Object;

/// One row of the table.
struct Row {
    /// The kind; `None` for every kind.
    kind: Option<KnownKind>,
    /// JSON pointer to the field. `*` stands for every item of a list.
    field: &'static str,
    condition: Condition,
}

/// When the controller owns the field.
enum Condition {
    Always,
    /// The object has this field.
    Field(&'static str),
    /// The object has one of the annotations by which a controller is asked to inject a certificate authority.
    InjectedAuthority,
}

/// The annotations of cert-manager's cainjector and of OpenShift's service CA operator.
const INJECTION: [&str; 4] = [
    "cert-manager.io/inject-ca-from",
    "cert-manager.io/inject-ca-from-secret",
    "cert-manager.io/inject-apiserver-ca",
    "service.beta.openshift.io/inject-cabundle",
];

const ROWS: [Row; 12] = [
    // The controller that aggregates ClusterRoles fills them in.
    Row {
        kind: Some(KnownKind::ClusterRole),
        field: "/rules",
        condition: Condition::Field("/aggregationRule"),
    },
    // kubectl compares with it; server-side apply does not use it.
    always(None, "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"),
    always(None, "/metadata/annotations/deployment.kubernetes.io~1revision"),
    always(None, "/metadata/annotations/deployment.kubernetes.io~1revision-history"),
    always(None, "/metadata/annotations/deployment.kubernetes.io~1desired-replicas"),
    always(None, "/metadata/annotations/deployment.kubernetes.io~1max-replicas"),
    always(None, "/metadata/annotations/deprecated.daemonset.template.generation"),
    // With these a new claim would count as bound, and lost.
    always(CLAIM, "/metadata/annotations/pv.kubernetes.io~1bind-completed"),
    always(CLAIM, "/metadata/annotations/pv.kubernetes.io~1bound-by-controller"),
    injected("/webhooks/*/clientConfig/caBundle"),
    injected("/spec/conversion/webhook/clientConfig/caBundle"),
    injected("/spec/caBundle"),
];

const CLAIM: Option<KnownKind> = Some(KnownKind::PersistentVolumeClaim);

const fn always(kind: Option<KnownKind>, field: &'static str) -> Row {
    Row { kind, field, condition: Condition::Always }
}

const fn injected(field: &'static str) -> Row {
    Row { kind: None, field, condition: Condition::InjectedAuthority }
}

/// Removes the fields that a controller owns.
pub(crate) fn remove(object: &mut Object) {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.applies_to(object)).collect();
    for row in rows {
        let path: Vec<&str> = row.field.split('/').skip(1).collect();
        remove_at(&mut object.0, &path);
    }
}

/// Returns whether a controller owns the field at a JSON pointer.
pub(crate) fn contains(object: &Object, pointer: &str) -> bool {
    ROWS.iter().any(|row| is_match(row.field, pointer) && row.applies_to(object))
}

impl Row {
    fn applies_to(&self, object: &Object) -> bool {
        let has_condition = match self.condition {
            Condition::Always => true,
            Condition::Field(pointer) => {
                object.0.pointer(pointer).is_some_and(|value| !value.is_null())
            }
            Condition::InjectedAuthority => {
                INJECTION.iter().any(|name| object.annotation(name).is_some())
            }
        };
        has_condition && self.kind.is_none_or(|kind| object.is(kind))
    }
}

fn remove_at(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([], _) => {}
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter_mut().for_each(|item| remove_at(item, rest));
        }
        ([field], Value::Object(fields)) => _ = fields.remove(&unescape(field)),
        ([field, rest @ ..], Value::Object(fields)) => {
            if let Some(below) = fields.get_mut(&unescape(field)) {
                remove_at(below, rest);
            }
        }
        (_, _) => {}
    }
}

fn unescape(field: &str) -> String {
    field.replace("~1", "/").replace("~0", "~")
}

fn is_match(pattern: &str, pointer: &str) -> bool {
    let (mut pattern, mut pointer) = (pattern.split('/'), pointer.split('/'));
    loop {
        match (pattern.next(), pointer.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one == other => {}
            (_, _) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn removed(mut object: Value) -> Value {
        object["metadata"]["name"] = json!("a");
        let mut object = Object(object);
        remove(&mut object);
        object.0
    }

    #[test]
    fn the_rules_of_a_role_are_the_controllers_only_if_it_aggregates() {
        let role = |aggregation: Value| {
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {}, "aggregationRule": aggregation, "rules": [],
            })
        };
        assert!(removed(role(json!({"clusterRoleSelectors": []}))).get("rules").is_none());
        assert!(removed(role(Value::Null)).get("rules").is_some());
    }

    #[test]
    fn annotations_of_an_exported_object_go_and_others_stay() {
        let annotations = json!({
            "deployment.kubernetes.io/revision": "3", "example.com/mine": "1",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
        });
        let metadata = json!({"annotations": annotations});
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata});
        let left = removed(object);
        assert_eq!(left["metadata"]["annotations"], json!({"example.com/mine": "1"}));
    }

    #[test]
    fn an_authority_is_the_injectors_only_if_one_is_asked() {
        let webhooks = |annotations: Value| {
            removed(json!({
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingWebhookConfiguration", "metadata": {"annotations": annotations},
                "webhooks": [{"name": "a", "clientConfig": {"caBundle": "Cg==", "url": "u"}}],
            }))
        };
        let asked = webhooks(json!({"cert-manager.io/inject-ca-from": "shop/cert"}));
        assert_eq!(asked["webhooks"][0]["clientConfig"], json!({"url": "u"}));
        let own = webhooks(json!({}));
        assert_eq!(own["webhooks"][0]["clientConfig"]["caBundle"], "Cg==");
    }

    #[test]
    fn every_row_finds_the_field_that_it_removes() {
        for row in &ROWS {
            assert!(is_match(row.field, &row.field.replace('*', "0")), "{}", row.field);
        }
        assert!(!is_match("/webhooks/*/clientConfig", "/webhooks/0/name"));
        assert!(!is_match("/spec", "/spec/caBundle"));
    }
}
