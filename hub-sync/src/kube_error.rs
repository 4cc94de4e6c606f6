//! Errors of API calls: a time limit for every call, the text of an error, and what kind of error it is.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;

/// Time limit for a whole response, or for the beginning of a watch. A slower server is of no more use than none.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Beginning of the message with which a server-side apply is refused for an unknown field or a value of the wrong type.
/// The code is 500, as for an internal error.
const UNTYPED_PATCH: &str = "failed to create typed patch object";

/// The API server did not respond within [`RESPONSE_TIMEOUT`].
#[derive(Debug, thiserror::Error)]
#[error("no response from the API server within {} s", RESPONSE_TIMEOUT.as_secs())]
pub struct TimedOut;

/// Limits a call to [`RESPONSE_TIMEOUT`]. Afterwards it fails with [`TimedOut`].
pub async fn with_timeout<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(RESPONSE_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service(TimedOut.into())),
    }
}

/// Returns an error and all its sources on one line. A source that repeats what is there already is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // kube prints a status in full, and twice.
        let status = error.downcast_ref().and_then(status);
        let message = match status {
            Some(status) => format!("{} ({})", status.message, status.code),
            None => error.to_string(),
        };
        if !text.contains(&message) {
            text += if text.is_empty() { "" } else { ": " };
            text += &message;
        }
        next = error.source().filter(|_| status.is_none());
    }
    text
}

/// Returns the server's response to a failed call; `None` if the server did not respond.
pub fn status(error: &kube::Error) -> Option<&Status> {
    let kube::Error::Api(status) = error else { return None };
    Some(status)
}

/// Returns whether the object changed since it was read.
pub fn is_conflict(error: &kube::Error) -> bool {
    has_code(error, 409)
}

/// Returns whether the object, or its kind, does not exist.
pub fn is_not_found(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// Returns whether the object of this name does not exist. A server that does not serve the kind for a moment responds
/// with the same code, but without the name.
pub fn is_object_missing(error: &kube::Error, name: &str) -> bool {
    let has_name = |status: &Status| status.details.as_ref().is_some_and(|it| it.name == name);
    is_not_found(error) && status(error).is_some_and(has_name)
}

/// Returns whether a permission is missing.
pub fn is_forbidden(error: &kube::Error) -> bool {
    has_code(error, 403)
}

/// By code. kube's own `is_…` look at the reason only, which a proxy's response or a plain 404 does not have.
fn has_code(error: &kube::Error, code: u16) -> bool {
    status(error).is_some_and(|status| status.code == code)
}

/// Returns the server's message if it refused the content of the request: another attempt would end the same way.
pub fn refusal(error: &kube::Error) -> Option<&str> {
    let status = status(error)?;
    let is_refused = matches!(status.code, 400 | 422) || status.message.starts_with(UNTYPED_PATCH);
    is_refused.then_some(status.message.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_appears_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("open the door")]
        struct Door(#[source] std::io::Error);
        let inner = std::io::Error::other("no key");
        assert_eq!(chain(&Door(inner)), "open the door: no key");
        let error = kube::Error::Service(TimedOut.into());
        assert_eq!(chain(&error).matches("10 s").count(), 1);
        let error = kube::Error::Api(Status::failure("no room", "X").with_code(507).boxed());
        assert_eq!(chain(&error), "no room (507)");
    }

    #[test]
    fn a_refusal_of_the_content_is_no_transient_error() {
        let failed = |code| kube::Error::Api(Status::failure("why", "").with_code(code).boxed());
        assert_eq!([400, 422].map(|code| refusal(&failed(code)).is_some()), [true; 2]);
        for code in [403, 404, 409, 429, 500, 503] {
            assert_eq!(refusal(&failed(code)), None);
        }
        assert_eq!(refusal(&kube::Error::Service(TimedOut.into())), None);
        let message =
            "failed to create typed patch object (/x): .spec.y: field not declared in schema";
        let untyped = kube::Error::Api(Status::failure(message, "").with_code(500).boxed());
        assert_eq!(refusal(&untyped), Some(message));
        assert!(is_conflict(&failed(409)));
        assert!(is_not_found(&failed(404)));
        assert!(is_forbidden(&failed(403)));
    }
}
