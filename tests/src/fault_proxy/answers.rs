//! Answers of the proxy in the place of the real server.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use serde_json::json;

use super::Refusal;

/// A port on which no process listens.
const CLOSED_PORT: &str = "http://127.0.0.1:1/";

/// Returns the answer with which an API server refuses a request.
pub fn refusal(refusal: Refusal, verb: &str, path: &str) -> Response<Bytes> {
    let (code, reason, message) = match refusal {
        Refusal::ServerError => (500, "InternalError", "injected: an internal error".to_owned()),
        Refusal::Unavailable | Refusal::Later => {
            (503, "ServiceUnavailable", "injected: unavailable".to_owned())
        }
        Refusal::Moved => (302, "Found", "injected: moved".to_owned()),
        Refusal::Busy => (429, "TooManyRequests", "injected: too many requests".to_owned()),
        Refusal::Conflict => (409, "Conflict", "injected: the object has been modified".to_owned()),
        Refusal::Unauthenticated => (401, "Unauthorized", "Unauthorized".to_owned()),
        // The words that distinguish RBAC's refusals from others.
        Refusal::Forbidden => {
            (403, "Forbidden", format!("x is forbidden: User \"injected\" cannot {verb} {path}"))
        }
        // As for a kind that is not served. No API server reports an existing object as not found.
        Refusal::NotFound => {
            (404, "NotFound", "the server could not find the requested resource".to_owned())
        }
        Refusal::Garbage => return garbage(),
    };
    let status = status(code, reason, &message);
    let mut answer = Response::builder().status(code).header(CONTENT_TYPE, "application/json");
    if matches!(refusal, Refusal::Busy | Refusal::Later) {
        answer = answer.header(RETRY_AFTER, "1");
    }
    if refusal == Refusal::Moved {
        answer = answer.header(LOCATION, CLOSED_PORT);
    }
    answer.body(status.to_string().into()).expect("these headers are well formed")
}

/// Returns the event with which an API server ends a watch whose resourceVersion has expired.
pub fn gone() -> Bytes {
    let status = status(410, "Expired", "injected: too old resource version");
    format!("{}\n", json!({"type": "ERROR", "object": status})).into()
}

fn garbage() -> Response<Bytes> {
    let answer = Response::builder().header(CONTENT_TYPE, "application/json");
    answer.body("<html>welcome to the hotel's network</html>\n".into()).expect("well formed")
}

fn status(code: u16, reason: &str, message: &str) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}
