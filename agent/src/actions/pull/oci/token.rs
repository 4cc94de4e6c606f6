//! Fetches a token from a registry's token server, by the distribution project's token specification.

use lifecycle::{Fault, printable};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::timeout;

use super::challenge::Bearer;
use crate::actions::pull::fault::{of_http, permanent, transient};
use crate::actions::pull::settings::PullSettings;
use crate::actions::pull::transfer::{STALL_TIMEOUT, send, status_fault};

/// Maximum size of a response in bytes. Tokens have some kilobytes.
const MAX_BYTES: usize = 64 * 1024;

#[derive(Deserialize)]
struct TokenResponse {
    /// By the distribution project's specification.
    token: Option<String>,
    /// The same by OAuth 2.0.
    access_token: Option<String>,
}

/// Returns the Authorization header with a token, or the status by which the server denies one. Without credentials the
/// request is anonymous.
///
/// # Errors
/// `PullFailed`.
pub async fn fetch(
    client: &Client,
    url: Url,
    credentials: Option<&HeaderValue>,
) -> Result<Result<HeaderValue, StatusCode>, Fault> {
    let host = host_of(&url);
    let fetching = async {
        let mut request = client.get(url);
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        let response = send(request, 0).await?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Ok(Err(status)),
            status => return Err(status_fault(status)),
        }
        let body = timeout(STALL_TIMEOUT, read_body(response)).await;
        let body = body.unwrap_or_else(|_| Err(transient("the response is too slow")))?;
        bearer_header(&body).map(Ok).ok_or_else(|| permanent("no token in the response"))
    };
    let message = |fault: &Fault| printable(&format!("token server {host}: {}", fault.message));
    fetching.await.map_err(|fault| Fault { message: message(&fault), ..fault })
}

/// Returns the URL of a token. Passwords and tokens are sent unencrypted only to servers that the owner named.
///
/// # Errors
/// `PullFailed` for an invalid or insecure token server.
pub fn url(settings: &PullSettings, bearer: &Bearer, repository: &str) -> Result<Url, Fault> {
    let pull = format!("repository:{repository}:pull");
    let scope = bearer.scope.as_deref().unwrap_or(&pull);
    let service = bearer.service.as_deref().map(|service| ("service", service));
    let params = service.into_iter().chain([("scope", scope)]);
    let refused = |why: &str| permanent(format!("the registry's token server {why}"));
    let url =
        Url::parse_with_params(&bearer.realm, params).map_err(|_| refused("has an invalid URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("has a user name or a password in its URL"));
    }
    let host = host_of(&url);
    match url.scheme() {
        "https" => Ok(url),
        "http" if settings.is_plain_http(&host) => Ok(url),
        _ => Err(refused(&format!("{host} has no https; see --plain-http-registry"))),
    }
}

/// Returns host and port; the scheme's default port is omitted.
pub fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or("(no host)");
    printable(&url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| of_http(&error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_BYTES {
            return Err(permanent(format!("the response is larger than {MAX_BYTES} bytes")));
        }
    }
    Ok(bytes)
}

fn bearer_header(body: &[u8]) -> Option<HeaderValue> {
    let TokenResponse { token, access_token } = serde_json::from_slice(body).ok()?;
    let token = [token, access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_only_to_https_servers_and_those_that_are_named() {
        let plain = ["plain.example.com:5000", "other.example.com"].map(str::to_owned);
        let settings =
            PullSettings { plain_http_registries: plain.into(), ..PullSettings::default() };
        let url_of = |realm: &str| {
            let bearer = Bearer { realm: realm.to_owned(), service: None, scope: None };
            url(&settings, &bearer, "a/b").map(String::from).map_err(|fault| fault.message)
        };
        let scope = "scope=repository%3Aa%2Fb%3Apull";
        for realm in [
            "https://any.example.com/token",
            "http://plain.example.com:5000/token",
            "http://OTHER.example.com:80/token",
        ] {
            assert!(url_of(realm).is_ok_and(|url| url.ends_with(scope)), "{realm}");
        }
        for (realm, words) in [
            ("http://plain.example.com/token", "plain.example.com has no https"),
            ("http://any.example.com/token", "any.example.com has no https"),
            ("file:///etc/passwd", "has no https"),
            ("https://u:hunter2@any.example.com/", "a user name or a password"),
            ("/token", "has an invalid URL"),
        ] {
            let message = url_of(realm).expect_err(realm);
            assert!(message.contains(words) && !message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn a_token_may_have_either_name() {
        for body in [r#"{"token": "a"}"#, r#"{"token": "", "access_token": "a"}"#] {
            let header = bearer_header(body.as_bytes()).expect(body);
            assert!(header == "Bearer a" && header.is_sensitive());
        }
        for body in [r#"{}"#, r#"{"token": "a\nb"}"#, "<html>", ""] {
            assert_eq!(bearer_header(body.as_bytes()), None, "{body}");
        }
    }
}
