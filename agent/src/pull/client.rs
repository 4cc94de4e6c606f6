//! The client that fetches bundles: whom it trusts, and which redirects it follows.

use std::path::Path;
use std::time::Duration;

use lifecycle::Fault;
use reqwest::{Certificate, Client, ClientBuilder, Url};

use super::{lasting, words};

const REDIRECTS: usize = 5;

/// One for each pull, so that authorities that have changed are read again. It trusts the system's certificates and
/// those in the file `ca_bundle`; in an image without any, plain `http` still works.
///
/// # Errors
/// `PullFailed` where `ca_bundle` cannot be read, or holds no certificate or a bad one; also for plain `http`.
pub fn client(ca_bundle: Option<&Path>) -> Result<Client, Fault> {
    match ca_bundle {
        Some(file) => trusting(file),
        None => builder().build().or_else(|error| {
            tracing::warn!(
                error = words(&error),
                "no trusted certificates: https sources will fail"
            );
            let client = builder().tls_certs_only([]).build();
            client.map_err(|error| lasting(format!("no client for bundles: {}", words(&error))))
        }),
    }
}

fn trusting(file: &Path) -> Result<Client, Fault> {
    let refused = |why: &str| {
        lasting(format!(
            "the certificate authorities in {} (--ca-bundle) cannot be used: {why}",
            file.display()
        ))
    };
    let bytes = std::fs::read(file).map_err(|error| refused(&error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|error| refused(&words(&error)))?;
    if found.is_empty() {
        return Err(refused("it has none in PEM"));
    }
    builder().tls_certs_merge(found).build().map_err(|error| refused(&words(&error)))
}

fn builder() -> ClientBuilder {
    Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(redirects())
        .user_agent(concat!("addon-agent/", env!("CARGO_PKG_VERSION")))
}

fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| match follow(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(why) => attempt.error(why),
    })
}

/// Never from https to http: the digest would still hold, but the request may carry a signed URL.
fn follow(before: &[Url], next: &Url) -> Result<(), &'static str> {
    let was_secure = before.last().is_some_and(|url| url.scheme() == "https");
    if before.len() > REDIRECTS {
        return Err("too many redirects");
    }
    if was_secure && next.scheme() != "https" {
        return Err("redirected from https to http");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[&str], next: &str, followed: Result<(), &str>) {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let before: Vec<Url> = before.iter().copied().map(url).collect();
        assert_eq!(follow(&before, &url(next)), followed, "{before:?} to {next}");
    }

    #[test]
    fn redirects_never_leave_https_and_end() {
        check(&["http://a/"], "https://a/", Ok(()));
        check(&["https://a/"], "https://b/", Ok(()));
        check(&["https://a/"], "http://a/", Err("redirected from https to http"));
        check(&["http://a/", "https://a/"], "http://a/", Err("redirected from https to http"));
        check(&["http://a/"; REDIRECTS], "http://a/", Ok(()));
        check(&["http://a/"; REDIRECTS + 1], "http://a/", Err("too many redirects"));
    }
}
