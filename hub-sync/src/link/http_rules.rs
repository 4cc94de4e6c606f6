//! Rules about requests to the hub and its responses. Pure.

use std::time::Duration;

use http::header::{HeaderMap, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use kube::client::Body;

/// Longest pause that a hub can ask for. Afterwards it gets requests again.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Returns whether a request is a watch, whose response may take for ever.
pub fn is_watch(request: &Request<Body>) -> bool {
    let mut query = request.uri().query().unwrap_or_default().split('&');
    query.any(|pair| pair == "watch=true")
}

/// Turns a redirection into an error. No hub redirects; a portal or proxy on the way does, and its page is no object.
pub fn reject_redirection<B>(mut response: Response<B>) -> Response<B> {
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response
}

/// Returns the pause that an overloaded hub asks for. Kubernetes gives seconds; the date form of the header is ignored.
pub fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_watch_has_the_parameter_watch() {
        let is_watch = |uri: &str| is_watch(&Request::get(uri).body(Body::empty()).unwrap());
        assert!(is_watch("/apis/x/v1/y?watch=true&resourceVersion=1"));
        assert!(is_watch("/apis/x/v1/y?resourceVersion=1&watch=true"));
        assert!(!is_watch("/apis/x/v1/y?limit=500"));
        assert!(!is_watch("/apis/x/v1/y"));
    }

    #[test]
    fn only_an_overloaded_hub_can_ask_for_a_pause() {
        let pause = |status: u16, value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            retry_after(StatusCode::from_u16(status).unwrap(), &headers)
                .map(|pause| pause.as_secs())
        };
        assert_eq!(pause(429, "7"), Some(7));
        assert_eq!(pause(503, "7"), Some(7));
        assert_eq!(pause(429, "99999999999"), Some(300));
        assert_eq!(pause(200, "7"), None);
        assert_eq!(pause(429, "Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }
}
