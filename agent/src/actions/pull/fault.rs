//! Faults of a pull.

use std::error::Error;

use lifecycle::{Fault, Reason, printable};

/// Returns a `PullFailed` that is likely gone at the next attempt.
pub fn transient(message: impl Into<String>) -> Fault {
    Fault::transient(Reason::PullFailed, message)
}

/// Returns a `PullFailed` that would occur again at the next attempt.
pub fn permanent(message: impl Into<String>) -> Fault {
    Fault::new(Reason::PullFailed, message)
}

/// Returns a `PullFailed` of an HTTP error. Only an error of the request itself is permanent.
pub fn of_http(error: &reqwest::Error) -> Fault {
    let is_permanent = error.is_redirect() || error.is_builder();
    if is_permanent { permanent(describe(error)) } else { transient(describe(error)) }
}

/// Returns the whole chain of causes, without the URL, which may carry a signature.
pub fn describe(error: &reqwest::Error) -> String {
    let mut text =
        String::from(if error.is_connect() { "no connection" } else { "request failed" });
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&text)
}
