//! How a call fails: in time, told whole, and sorted by what can be done about it.

use std::error::Error;
use std::time::Duration;

use kube::core::Status;

/// For a whole answer, or for the beginning of a watch. A server that is slower than this is no better than none.
pub const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
#[error("hear from the API server within {} s", ANSWER.as_secs())]
pub struct TooSlow;

/// A call that answers or fails within [`ANSWER`].
pub async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(ANSWER, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(TooSlow.into())),
    }
}

/// An error with everything that led to it, on one line. What a cause only repeats is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // Of an answer, kube itself would print the whole, twice.
        let status = error.downcast_ref().and_then(answer);
        let words = match status {
            Some(status) => format!("{} ({})", status.message, status.code),
            None => error.to_string(),
        };
        if !told.contains(&words) {
            told += if told.is_empty() { "" } else { ": " };
            told += &words;
        }
        next = error.source().filter(|_| status.is_none());
    }
    told
}

/// The server's own words, where it answered.
pub fn answer(error: &kube::Error) -> Option<&Status> {
    let kube::Error::Api(status) = error else { return None };
    Some(status)
}

/// The object is another one than was read.
pub fn is_conflict(error: &kube::Error) -> bool {
    has_code(error, 409)
}

pub fn is_not_found(error: &kube::Error) -> bool {
    has_code(error, 404)
}

/// There is no such object: where the kind is not served for a moment, the answer has the same code but no name.
pub fn is_absent(error: &kube::Error, name: &str) -> bool {
    let named = |status: &Status| status.details.as_ref().is_some_and(|it| it.name == name);
    is_not_found(error) && answer(error).is_some_and(named)
}

pub fn is_forbidden(error: &kube::Error) -> bool {
    has_code(error, 403)
}

/// By code, not by kube's own `is_…`: those see only the reason, which a proxy's answer or a plain 404 has not.
fn has_code(error: &kube::Error, code: u16) -> bool {
    answer(error).is_some_and(|status| status.code == code)
}

/// The server understood and will not have it, however often it is asked.
pub fn refusal(error: &kube::Error) -> Option<&str> {
    let status = answer(error)?;
    let refused = matches!(status.code, 400 | 422) || status.message.starts_with(NOT_TYPED);
    refused.then_some(status.message.as_str())
}

/// How a server-side apply with an unknown field or a value of another type is refused: as an internal error, 500.
const NOT_TYPED: &str = "failed to create typed patch object";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("open the door")]
        struct Door(#[source] std::io::Error);
        let inner = std::io::Error::other("no key");
        assert_eq!(chain(&Door(inner)), "open the door: no key");
        let error = kube::Error::Service(TooSlow.into());
        assert_eq!(chain(&error).matches("10 s").count(), 1);
        let error = kube::Error::Api(Status::failure("no room", "X").with_code(507).boxed());
        assert_eq!(chain(&error), "no room (507)");
    }

    #[test]
    fn a_refusal_is_told_from_trouble() {
        let answered = |code| kube::Error::Api(Status::failure("why", "").with_code(code).boxed());
        assert_eq!([400, 422].map(|code| refusal(&answered(code)).is_some()), [true; 2]);
        for code in [403, 404, 409, 429, 500, 503] {
            assert_eq!(refusal(&answered(code)), None);
        }
        assert_eq!(refusal(&kube::Error::Service(TooSlow.into())), None);
        let words =
            "failed to create typed patch object (/x): .spec.y: field not declared in schema";
        let untyped = kube::Error::Api(Status::failure(words, "").with_code(500).boxed());
        assert_eq!(refusal(&untyped), Some(words));
        assert!(is_conflict(&answered(409)));
        assert!(is_not_found(&answered(404)));
        assert!(is_forbidden(&answered(403)));
    }
}
