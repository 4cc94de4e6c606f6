//! The HTTP client that pulls bundles: which servers it trusts, and which redirects it follows.

use std::path::Path;
use std::time::Duration;

use lifecycle::Fault;
use reqwest::{Certificate, Client, ClientBuilder, Url};

use super::fault::{describe, permanent};
use super::owner_files;

const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Which redirects are followed.
#[derive(Clone, Copy)]
pub enum Redirects {
    AnyServer,
    /// A redirect to another server is returned as the response. This is for requests with credentials: after two
    /// redirects reqwest sends the headers of the first request again, to any server.
    SameServer,
}

/// Returns a client for one pull, so that changed certificate authorities take effect. It trusts the system's
/// certificates and those in the file `ca_bundle`. In an image without certificates, plain `http` still works.
///
/// # Errors
/// `PullFailed` if `ca_bundle` cannot be read, or holds no certificate or an invalid one; also for plain `http`.
pub async fn new(ca_bundle: Option<&Path>, redirects: Redirects) -> Result<Client, Fault> {
    match ca_bundle {
        Some(file) => with_ca_bundle(file, redirects).await,
        None => builder(redirects).build().or_else(|error| without_certificates(redirects, &error)),
    }
}

async fn with_ca_bundle(file: &Path, redirects: Redirects) -> Result<Client, Fault> {
    let failed = |why: &str| {
        let file = file.display();
        permanent(format!(
            "the certificate authorities in {file} (--ca-bundle) cannot be used: {why}"
        ))
    };
    let bytes = owner_files::read(file).await.map_err(|error| failed(&error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|error| failed(&describe(&error)))?;
    if found.is_empty() {
        return Err(failed("no certificate in PEM format"));
    }
    builder(redirects).tls_certs_merge(found).build().map_err(|error| failed(&describe(&error)))
}

fn without_certificates(redirects: Redirects, error: &reqwest::Error) -> Result<Client, Fault> {
    tracing::warn!(error = describe(error), "no trusted certificates; https sources will fail");
    let client = builder(redirects).tls_certs_only([]).build();
    client.map_err(|error| {
        permanent(format!("could not create an HTTP client: {}", describe(&error)))
    })
}

fn builder(redirects: Redirects) -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirect_policy(redirects))
        // The previous URL may carry a signature.
        .referer(false)
        .user_agent(concat!("addon-agent/", env!("CARGO_PKG_VERSION")))
}

fn redirect_policy(redirects: Redirects) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let is_foreign = changes_server(attempt.previous(), attempt.url());
        match (redirects, check_redirect(attempt.previous(), attempt.url())) {
            (Redirects::SameServer, _) if is_foreign => attempt.stop(),
            (_, Ok(())) => attempt.follow(),
            (_, Err(why)) => attempt.error(why),
        }
    })
}

fn changes_server(previous: &[Url], next: &Url) -> bool {
    previous.first().is_none_or(|first| first.origin() != next.origin())
}

/// Refuses a redirect from https to http: the digest would still be verified, but the request may carry a signed URL.
fn check_redirect(previous: &[Url], next: &Url) -> Result<(), &'static str> {
    let was_secure = previous.last().is_some_and(|url| url.scheme() == "https");
    if previous.len() > MAX_REDIRECTS {
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

    fn check(previous: &[&str], next: &str, expected: Result<(), &str>) {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let previous: Vec<Url> = previous.iter().copied().map(url).collect();
        assert_eq!(check_redirect(&previous, &url(next)), expected, "{previous:?} to {next}");
    }

    #[test]
    fn another_host_port_or_scheme_is_another_server() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let previous = [url("https://a/v2/"), url("https://a/v3/")];
        let changes = |next| changes_server(&previous, &url(next));
        assert!(!changes("https://a:443/b"));
        for other in ["https://b/", "https://a:444/", "http://a/", "https://a.b/"] {
            assert!(changes(other), "{other}");
        }
    }

    #[test]
    fn redirects_never_lead_from_https_to_http_and_are_limited() {
        check(&["http://a/"], "https://a/", Ok(()));
        check(&["https://a/"], "https://b/", Ok(()));
        check(&["https://a/"], "http://a/", Err("redirected from https to http"));
        check(&["http://a/", "https://a/"], "http://a/", Err("redirected from https to http"));
        check(&["http://a/"; MAX_REDIRECTS], "http://a/", Ok(()));
        check(&["http://a/"; MAX_REDIRECTS + 1], "http://a/", Err("too many redirects"));
    }
}
