//! Admission webhooks of a bundle: which services answer for them, and which could lock the agent out.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kind::ADMISSION_GROUP;
use crate::names::GROUP;
use crate::object::Object;
use crate::reason::{Fault, Reason};

/// Rejects a webhook that could refuse writes of the agent's own ledger: after that nothing could be undone.
///
/// # Errors
/// `InvalidObject`.
pub fn reject_lockout(object: &Object) -> Result<(), Fault> {
    match webhooks(object).find(|webhook| locks_out(webhook)) {
        None => Ok(()),
        Some(webhook) => Err(Fault::new(
            Reason::InvalidObject,
            format!(
                "{}: webhook {} could refuse the agent's own ledger; leave {GROUP} out of its rules or set \
                 failurePolicy to Ignore",
                object.key(),
                webhook.get("name").and_then(Value::as_str).unwrap_or_default()
            ),
        )),
    }
}

fn locks_out(webhook: &Value) -> bool {
    let fails = webhook.get("failurePolicy").and_then(Value::as_str) != Some("Ignore");
    fails && items(webhook.get("rules")).any(matches_ledger)
}

/// `ManagedAddOn`s are cluster-scoped, so that no selector of namespaces excludes them.
fn matches_ledger(rule: &Value) -> bool {
    let has = |field: &str, values: &[&str]| {
        items(rule.get(field)).filter_map(Value::as_str).any(|value| values.contains(&value))
    };
    rule.get("scope").and_then(Value::as_str) != Some("Namespaced")
        && has("apiGroups", &["*", GROUP])
        && has("operations", &["*", "CREATE", "UPDATE", "DELETE"])
        && has(
            "resources",
            &["*", "*/*", "*/status", "managedaddons", "managedaddons/*", "managedaddons/status"],
        )
}

/// Returns namespace and name of the services that answer for a webhook configuration. Empty for every other object.
pub fn services(object: &Object) -> BTreeSet<(String, String)> {
    let services = webhooks(object).filter_map(|webhook| {
        let service = webhook.pointer("/clientConfig/service")?;
        let text = |field| service.get(field)?.as_str().map(str::to_owned);
        Some((text("namespace")?, text("name")?))
    });
    services.collect()
}

/// States the failure policy where a webhook configuration leaves it to the API server, so that a write closes a webhook that
/// was opened.
pub fn state_failure_policy(object: &mut Object) {
    if object.group() != ADMISSION_GROUP {
        return;
    }
    let webhooks = object.0.get_mut("webhooks").and_then(Value::as_array_mut);
    for webhook in webhooks.into_iter().flatten().filter_map(Value::as_object_mut) {
        webhook.entry("failurePolicy").or_insert_with(|| "Fail".into());
    }
}

/// The webhooks of a webhook configuration; none of any other object.
fn webhooks(object: &Object) -> impl Iterator<Item = &Value> {
    items(object.0.get("webhooks").filter(|_| object.group() == ADMISSION_GROUP))
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(policy: &str, rule: Value) -> Object {
        Object(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "w"},
            "webhooks": [{"name": "x", "failurePolicy": policy, "rules": [rule]}],
        }))
    }

    #[test]
    fn a_webhook_must_not_lock_the_agent_out() {
        let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource], "operations": ["*"]});
        for (policy, rule, is_rejected) in [
            ("Fail", rule("*", "*"), true),
            ("Fail", rule(GROUP, "managedaddons/status"), true),
            ("Ignore", rule("*", "*"), false),
            ("Fail", rule("apps", "*"), false),
            ("Fail", rule("*", "pods"), false),
        ] {
            let webhook = webhook(policy, rule.clone());
            assert_eq!(reject_lockout(&webhook).is_err(), is_rejected, "{rule}");
        }
    }

    #[test]
    fn a_failure_policy_is_stated_where_it_was_left_out() {
        let mut hooks = webhook("Ignore", json!({}));
        hooks.0["webhooks"].as_array_mut().expect("a list").push(json!({"name": "y"}));
        state_failure_policy(&mut hooks);
        assert_eq!(hooks.0["webhooks"][0]["failurePolicy"], "Ignore");
        assert_eq!(hooks.0["webhooks"][1]["failurePolicy"], "Fail");
    }

    #[test]
    fn the_services_of_a_webhook_are_listed() {
        let mut hook = webhook("Fail", json!({}));
        hook.0["webhooks"][0]["clientConfig"] = json!({"service": {"namespace": "n", "name": "s"}});
        assert_eq!(services(&hook), BTreeSet::from([("n".to_owned(), "s".to_owned())]));
        hook.0["webhooks"][0]["clientConfig"] = json!({"url": "https://example.com"});
        assert!(services(&hook).is_empty());
    }
}
