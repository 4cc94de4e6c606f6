//! A token from the server that a registry names, by the distribution project's token specification.

use lifecycle::{Fault, printable};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::timeout;

use super::challenge::Bearer;
use crate::actions::pull::transfer::{STALL, may_pass, send};
use crate::actions::pull::{PullSettings, lasting, transient, words};

/// Bytes. Tokens are some kilobytes.
const LARGEST: usize = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    /// By the distribution project's specification.
    token: Option<String>,
    /// The same, by OAuth 2.0's.
    access_token: Option<String>,
}

/// With the credentials, or as anybody; none where the server lets neither have one, as `Err` of the status.
pub async fn fetch(
    client: &Client,
    url: Url,
    credentials: Option<&HeaderValue>,
) -> Result<Result<HeaderValue, StatusCode>, Fault> {
    let host = host(&url);
    let of_the_server = |fault: Fault| Fault {
        message: printable(&format!("the token server {host}: {}", fault.message)),
        ..fault
    };
    let mut request = client.get(url);
    if let Some(credentials) = credentials {
        request = request.header(AUTHORIZATION, credentials);
    }
    let response = send(request, 0).await.map_err(of_the_server)?;
    match response.status() {
        StatusCode::OK => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Ok(Err(status)),
        status => {
            let message = format!("it answers {status}");
            let fault = if may_pass(status) { transient(&message) } else { lasting(message) };
            return Err(of_the_server(fault));
        }
    }
    let answer = timeout(STALL, bounded(response)).await;
    let answer = answer.unwrap_or_else(|_| Err(transient("it sends too slowly")));
    let token = header(&answer.map_err(of_the_server)?);
    token.map(Ok).ok_or_else(|| of_the_server(lasting("it sends no token".into())))
}

/// Where the token is. Neither a password nor a token goes over a line that others read, unless the owner said so.
pub fn url(sources: &PullSettings, bearer: &Bearer, repository: &str) -> Result<Url, Fault> {
    let pull = format!("repository:{repository}:pull");
    let scope = bearer.scope.as_deref().unwrap_or(&pull);
    let service = bearer.service.as_deref().map(|service| ("service", service));
    let params = service.into_iter().chain([("scope", scope)]);
    let refused = |why: &str| lasting(format!("the registry's token server {why}"));
    let url = Url::parse_with_params(&bearer.realm, params).map_err(|_| refused("has no URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("has a name or a password in its URL"));
    }
    let host = host(&url);
    match url.scheme() {
        "https" => Ok(url),
        "http" if sources.is_plain(&host) => Ok(url),
        _ => Err(refused(&format!("{host} has no https; see --plain-http-registry"))),
    }
}

/// With its port unless that is the usual one.
pub fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("nowhere");
    printable(&url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transient(&words(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(lasting(format!("it sends more than {LARGEST} bytes")));
        }
    }
    Ok(bytes)
}

fn header(answer: &[u8]) -> Option<HeaderValue> {
    let Answer { token, access_token } = serde_json::from_slice(answer).ok()?;
    let token = [token, access_token].into_iter().flatten().find(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_goes_to_no_other_plain_server() {
        let sources = PullSettings::plain(&["plain.example.com:5000", "other.example.com"]);
        let asked = |realm: &str| {
            let bearer = Bearer { realm: realm.to_owned(), service: None, scope: None };
            url(&sources, &bearer, "a/b").map(String::from).map_err(|fault| fault.message)
        };
        let scope = "scope=repository%3Aa%2Fb%3Apull";
        for realm in [
            "https://any.example.com/token",
            "http://plain.example.com:5000/token",
            "http://OTHER.example.com:80/token",
        ] {
            assert!(asked(realm).is_ok_and(|url| url.ends_with(scope)), "{realm}");
        }
        for (realm, words) in [
            ("http://plain.example.com/token", "plain.example.com has no https"),
            ("http://any.example.com/token", "any.example.com has no https"),
            ("file:///etc/passwd", "has no https"),
            ("https://u:hunter2@any.example.com/", "a name or a password"),
            ("/token", "has no URL"),
        ] {
            let said = asked(realm).expect_err(realm);
            assert!(said.contains(words) && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn either_name_of_a_token_is_taken() {
        for answer in [r#"{"token": "a"}"#, r#"{"token": "", "access_token": "a"}"#] {
            let header = header(answer.as_bytes()).expect(answer);
            assert!(header == "Bearer a" && header.is_sensitive());
        }
        for answer in [r#"{}"#, r#"{"token": "a\nb"}"#, "<html>", ""] {
            assert_eq!(header(answer.as_bytes()), None, "{answer}");
        }
    }
}
