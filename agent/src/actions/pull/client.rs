//! The client that fetches bundles: whom it trusts, and which redirects it follows.

use std::path::Path;
use std::time::Duration;

use lifecycle::Fault;
use reqwest::{Certificate, Client, ClientBuilder, Url};

use super::{lasting, owner_files, words};

const REDIRECTS: usize = 5;

/// How far redirects are followed.
#[derive(Clone, Copy)]
pub enum Redirects {
    Anywhere,
    /// Only on the server that was asked: an answer that leads elsewhere is the answer. For requests with credentials:
    /// after two redirects reqwest sends the headers of the first request again, whoever they go to.
    AtHome,
}

/// One for each pull, so that authorities that have changed are read again. It trusts the system's certificates and
/// those in the file `ca_bundle`; in an image without any, plain `http` still works.
///
/// # Errors
/// `PullFailed` where `ca_bundle` cannot be read, or holds no certificate or a bad one; also for plain `http`.
pub async fn client(ca_bundle: Option<&Path>, redirects: Redirects) -> Result<Client, Fault> {
    match ca_bundle {
        Some(file) => trusting(file, redirects).await,
        None => builder(redirects).build().or_else(|error| {
            tracing::warn!(
                error = words(&error),
                "no trusted certificates: https sources will fail"
            );
            let client = builder(redirects).tls_certs_only([]).build();
            client.map_err(|error| lasting(format!("no client for bundles: {}", words(&error))))
        }),
    }
}

async fn trusting(file: &Path, redirects: Redirects) -> Result<Client, Fault> {
    let refused = |why: &str| {
        lasting(format!(
            "the certificate authorities in {} (--ca-bundle) cannot be used: {why}",
            file.display()
        ))
    };
    let bytes = owner_files::read(file).await.map_err(|error| refused(&error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes).map_err(|error| refused(&words(&error)))?;
    if found.is_empty() {
        return Err(refused("it has none in PEM"));
    }
    builder(redirects).tls_certs_merge(found).build().map_err(|error| refused(&words(&error)))
}

fn builder(redirects: Redirects) -> ClientBuilder {
    Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .redirect(policy(redirects))
        // The URL before may carry a signature.
        .referer(false)
        .user_agent(concat!("addon-agent/", env!("CARGO_PKG_VERSION")))
}

fn policy(redirects: Redirects) -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(move |attempt| {
        let leaves = leaves_home(attempt.previous(), attempt.url());
        match (redirects, follow(attempt.previous(), attempt.url())) {
            (Redirects::AtHome, _) if leaves => attempt.stop(),
            (_, Ok(())) => attempt.follow(),
            (_, Err(why)) => attempt.error(why),
        }
    })
}

fn leaves_home(before: &[Url], next: &Url) -> bool {
    before.first().is_none_or(|first| first.origin() != next.origin())
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
    fn another_host_port_or_scheme_is_not_home() {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let leaves = |next| leaves_home(&[url("https://a/v2/"), url("https://a/v3/")], &url(next));
        assert!(!leaves("https://a:443/b"));
        for elsewhere in ["https://b/", "https://a:444/", "http://a/", "https://a.b/"] {
            assert!(leaves(elsewhere), "{elsewhere}");
        }
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
