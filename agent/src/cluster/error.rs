//! Turns errors of the API server into faults: the one place that judges what a refusal means.

use std::collections::BTreeSet;

use kube::core::Status;
use lifecycle::{Fault, KnownKind, ObjectKey, Obstacle, Reason};

/// Replaces the API server's message about a Secret, which may quote its values.
const WITHHELD: &str = "refused; the API server's message may quote the Secret and is withheld: \
     kubectl apply --dry-run=server shows it";

/// Returns the fault for a request about one of the add-on's objects that was refused or had no answer.
pub fn to_object_fault(key: &ObjectKey, error: &kube::Error) -> Fault {
    let kube::Error::Api(status) = error else {
        return Fault::transient(Reason::CheckFailed, format!("{key}: {error}"));
    };
    let (reason, transient) = judge(status);
    let message = match Obstacle::of(&status.message) {
        _ if !key.is(KnownKind::Secret) => status.message.clone(),
        None => WITHHELD.to_owned(),
        Some(obstacle) => format!("{obstacle}: {WITHHELD}"),
    };
    Fault { transient, ..Fault::new(reason, format!("{key}: {message}")) }
}

/// Returns the fault for a request about anything else, introduced by `context`. Such kinds are always served, so a 404
/// that names no object proves nothing and is transient.
pub fn to_fault(context: &str, error: &kube::Error) -> Fault {
    let kube::Error::Api(status) = error else {
        return Fault::transient(Reason::CheckFailed, format!("{context}: {error}"));
    };
    let (reason, transient) = match judge(status) {
        (Reason::UnknownKind, _) => (Reason::CheckFailed, true),
        judged => judged,
    };
    Fault { transient, ..Fault::new(reason, format!("{context}: {}", status.message)) }
}

/// Returns the reason of a refusal, and whether it is transient.
fn judge(status: &Status) -> (Reason, bool) {
    let is_terminating = status.message.contains("being terminated");
    match status.code {
        400 | 413 | 415 => (Reason::ObjectRefused, false),
        401 => (Reason::Forbidden, true),
        403 if is_terminating => (Reason::NamespaceMissing, true),
        403 if is_about_rights(&status.message) => (Reason::Forbidden, false),
        403 if status.message.contains("exceeded quota: ") => (Reason::QuotaExceeded, false),
        403 => (Reason::ObjectRefused, false),
        404 if is_about_namespace(status) => (Reason::NamespaceMissing, false),
        404 => (Reason::UnknownKind, false),
        409 | 408 | 429 => (Reason::CheckFailed, true),
        422 if is_immutable(&status.message) => (Reason::ImmutableField, false),
        422 => (Reason::ObjectRefused, false),
        500 if is_about_schema(&status.message) => (Reason::ObjectRefused, false),
        _ => (Reason::CheckFailed, true),
    }
}

/// Returns whether RBAC refused the request. RBAC names who cannot do what; admission describes what is wrong with the object,
/// in words of its own.
fn is_about_rights(message: &str) -> bool {
    (message.contains(" is forbidden: User \"") && message.contains("\" cannot "))
        || message.contains("is attempting to grant RBAC permissions")
}

fn is_about_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

/// Server-side apply answers 500 for a field that the kind does not have, or that it cannot read.
fn is_about_schema(message: &str) -> bool {
    ["failed to create typed patch object", "failed to convert new object"]
        .iter()
        .any(|words| message.contains(words))
}

/// Returns whether a field cannot be changed. The API server has no code for it, only these words.
fn is_immutable(message: &str) -> bool {
    [
        "field is immutable",
        "may not change once set",
        "cannot change roleRef",
        "updates to statefulset spec for fields other than",
        "spec is immutable after creation",
        "updates to parameters are forbidden",
        "updates to provisioner are forbidden",
        "updates to reclaimPolicy are forbidden",
        "updates to volumeBindingMode are forbidden",
        "may not be changed",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// Returns whether the API server refused the content of the object.
pub fn is_invalid(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// Returns the texts that two items of a list have and only one may have.
pub fn duplicates(error: &kube::Error) -> BTreeSet<String> {
    const WORDS: &str = "Duplicate value: \"";
    let kube::Error::Api(status) = error else { return BTreeSet::new() };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let messages = causes.map(|cause| cause.message.as_str());
    let quoted = messages.filter_map(|message| message.split_once(WORDS)?.1.split_once('"'));
    quoted.map(|(text, _)| text.to_owned()).collect()
}

/// Returns whether quota or Pod Security refused a pod. They refuse it to every creator.
pub fn is_about_pods(status: &Status) -> bool {
    let words = ["exceeded quota: ", "violates PodSecurity "];
    status.code == 403 && words.iter().any(|words| status.message.contains(words))
}

/// Returns whether the answer is a 404: the object or its kind does not exist.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Returns whether the object of this name does not exist. A 404 that does not name it means that its kind is not served,
/// which also happens while its definition changes.
pub fn is_absent(error: &kube::Error, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let is_named = status.details.as_ref().is_some_and(|details| details.name == name);
    status.code == 404 && (is_named || status.message.contains(&format!("\"{name}\"")))
}

/// Returns whether a failed look-up means that the API server does not know the kind. Otherwise it had no answer.
pub fn is_unknown_kind(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Discovery(_)) || is_not_found(error)
}

/// Returns whether a precondition failed: someone else changed the object, or it exists already.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, message: &str, reason: Reason, transient: bool) {
        let key = ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: None,
            name: "a".into(),
        };
        let status = Status { code, message: message.into(), ..Status::default() };
        let fault = to_object_fault(&key, &kube::Error::Api(Box::new(status)));
        assert_eq!((fault.reason, fault.transient), (reason, transient), "{code} {message}");
    }

    #[test]
    fn each_refusal_has_its_reason() {
        check(403, "configmaps is forbidden: User \"x\" cannot patch", Reason::Forbidden, false);
        check(
            403,
            "admission webhook \"x\" denied the request: this cannot be",
            Reason::ObjectRefused,
            false,
        );
        check(
            403,
            "configmaps \"a\" is forbidden: exceeded quota: few, requested: count/configmaps=1",
            Reason::QuotaExceeded,
            false,
        );
        check(
            403,
            "unable to create new content in namespace x because it is being terminated",
            Reason::NamespaceMissing,
            true,
        );
        check(
            422,
            "spec.selector: Invalid value: field is immutable",
            Reason::ImmutableField,
            false,
        );
        check(422, "spec.replicas: Invalid value: -1", Reason::ObjectRefused, false);
        check(500, "failed calling webhook", Reason::CheckFailed, true);
        check(
            500,
            "failed to create typed patch object (a/a; /v1, Kind=ConfigMap): .x: field not declared in schema",
            Reason::ObjectRefused,
            false,
        );
        check(
            500,
            "failed to convert new object (a/a; /v1, Kind=Secret) to proper version: illegal base64 data",
            Reason::ObjectRefused,
            false,
        );
        check(429, "too many requests", Reason::CheckFailed, true);
        check(409, "the object has been modified", Reason::CheckFailed, true);
    }

    #[test]
    fn a_404_about_a_kind_that_is_always_served_is_transient() {
        let status =
            Status { code: 404, message: "404 page not found".into(), ..Status::default() };
        let fault = to_fault("it could not be read", &kube::Error::Api(Box::new(status)));
        assert_eq!((fault.reason, fault.transient), (Reason::CheckFailed, true));
    }

    #[test]
    fn only_a_404_that_names_the_object_means_that_it_is_absent() {
        let error = |code, message: &str| {
            let status = Status { code, message: message.into(), ..Status::default() };
            kube::Error::Api(Box::new(status))
        };
        assert!(is_absent(&error(404, "configmaps \"a\" not found"), "a"));
        assert!(!is_absent(&error(404, "the server could not find the requested resource"), "x"));
        assert!(!is_absent(&error(404, "404 page not found"), "x"));
        assert!(!is_absent(&error(403, "configmaps \"a\" is forbidden"), "a"));
    }

    #[test]
    fn the_message_about_a_secret_is_withheld() {
        let key = ObjectKey {
            group: String::new(),
            kind: "Secret".into(),
            namespace: None,
            name: "a".into(),
        };
        let status = Status {
            code: 422,
            message: "data: Invalid value: \"hunter2\"".into(),
            ..Status::default()
        };
        let fault = to_object_fault(&key, &kube::Error::Api(Box::new(status)));
        assert!(!fault.message.contains("hunter2"));
    }
}
