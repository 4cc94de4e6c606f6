//! What a refusal of the API server means: one place turns its errors into reasons.

use kube::core::Status;
use lifecycle::{Fault, ObjectKey, Reason};

/// A refusal or a broken connection while something was done to an object.
pub fn of_object(key: &ObjectKey, error: &kube::Error) -> Fault {
    let said = |words: &str| {
        // The API server quotes values in its messages.
        if key.kind == "Secret" {
            "refused; the API server's words may quote it and are withheld: kubectl apply --dry-run=server tells them".to_owned()
        } else {
            words.to_owned()
        }
    };
    let kube::Error::Api(status) = error else {
        return Fault::transient(Reason::CheckFailed, format!("{key}: {error}"));
    };
    let (reason, transient) = judge(status);
    Fault { transient, ..Fault::new(reason, format!("{key}: {}", said(&status.message))) }
}

/// The same for what is not one of the add-on's objects. Such kinds are always served: a 404 that does not say what is
/// missing says nothing.
pub fn of(what: &str, error: &kube::Error) -> Fault {
    let kube::Error::Api(status) = error else {
        return Fault::transient(Reason::CheckFailed, format!("{what}: {error}"));
    };
    let (reason, transient) = match judge(status) {
        (Reason::UnknownKind, _) => (Reason::CheckFailed, true),
        judged => judged,
    };
    Fault { transient, ..Fault::new(reason, format!("{what}: {}", status.message)) }
}

fn judge(status: &Status) -> (Reason, bool) {
    let ends = status.message.contains("being terminated");
    match status.code {
        400 | 413 | 415 => (Reason::ObjectRefused, false),
        401 => (Reason::Forbidden, true),
        403 if ends => (Reason::NamespaceMissing, true),
        403 if is_about_rights(&status.message) => (Reason::Forbidden, false),
        403 if status.message.contains("exceeded quota: ") => (Reason::QuotaExceeded, false),
        403 => (Reason::ObjectRefused, false),
        404 if names_namespace(status) => (Reason::NamespaceMissing, false),
        404 => (Reason::UnknownKind, false),
        409 | 408 | 429 => (Reason::CheckFailed, true),
        422 if is_immutable(&status.message) || is_filled_in(status) => {
            (Reason::ImmutableField, false)
        }
        422 => (Reason::ObjectRefused, false),
        500 if is_about_schema(&status.message) => (Reason::ObjectRefused, false),
        _ => (Reason::CheckFailed, true),
    }
}

/// RBAC says who cannot do what; admission says what is wrong with the object, in words of its own.
fn is_about_rights(message: &str) -> bool {
    (message.contains(" is forbidden: User \"") && message.contains("\" cannot "))
        || message.contains("is attempting to grant RBAC permissions")
}

fn names_namespace(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|details| details.kind == "namespaces")
}

/// Server-side apply answers 500 for a field that the kind does not have, or that it cannot read.
fn is_about_schema(message: &str) -> bool {
    ["failed to create typed patch object", "failed to convert new object"]
        .iter()
        .any(|words| message.contains(words))
}

/// The API server has no code for it, only these words.
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

/// A field that the API server filled in for another type of the strategy stays beside the new type. Of another mistake
/// beside it, creating the object anew would be refused, too.
fn is_filled_in(status: &Status) -> bool {
    let says = |message: &str| message.contains("may not be specified when strategy");
    let causes = status.details.iter().flat_map(|details| &details.causes);
    says(&status.message) && causes.into_iter().all(|cause| says(&cause.message))
}

/// Quota or Pod Security refuses pods, whoever makes them.
pub fn is_about_pods(status: &Status) -> bool {
    let words = ["exceeded quota: ", "violates PodSecurity "];
    status.code == 403 && words.iter().any(|words| status.message.contains(words))
}

pub fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// The object of this name is not there. A 404 that does not name it says that its kind is not served, as it also is not
/// while its definition changes.
pub fn is_absent(error: &kube::Error, name: &str) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let named = status.details.as_ref().is_some_and(|details| details.name == name);
    status.code == 404 && (named || status.message.contains(&format!("\"{name}\"")))
}

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
        let fault = of_object(&key, &kube::Error::Api(Box::new(status)));
        assert_eq!((fault.reason, fault.transient), (reason, transient), "{code} {message}");
    }

    #[test]
    fn refusals_are_told_apart() {
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
    fn a_404_about_what_is_always_served_passes() {
        let status =
            Status { code: 404, message: "404 page not found".into(), ..Status::default() };
        let fault = of("it could not be read", &kube::Error::Api(Box::new(status)));
        assert_eq!((fault.reason, fault.transient), (Reason::CheckFailed, true));
    }

    #[test]
    fn only_a_404_that_names_an_object_says_that_it_is_absent() {
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
    fn nothing_about_a_secret_is_repeated() {
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
        assert!(!of_object(&key, &kube::Error::Api(Box::new(status))).message.contains("hunter2"));
    }
}
