//! OCI repositories: where an artifact lies.

/// A registry and the name of a repository there, as in `registry.example.com/addons/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Host of the registry, with its port if it has one.
    pub registry: String,
    /// Name of the repository, such as `addons/metrics`.
    pub name: String,
}

impl Repository {
    /// Parses `<registry>/<name>`. There is no default registry for names without one.
    ///
    /// # Errors
    /// A message for a text without a registry, or with more than a repository: a scheme, a tag or a digest.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (registry, name) = text.split_once('/').unwrap_or((text, ""));
        if text.contains("://") {
            return Err(format!("{text:?} has a scheme; leave it out"));
        }
        if !is_registry(registry) {
            return Err(format!(
                "{text:?} must begin with a registry, as in registry.example.com/addons/metrics"
            ));
        }
        if name.contains([':', '@']) {
            return Err(format!(
                "{text:?} has a tag or digest; only source.oci.digest says which artifact"
            ));
        }
        if !name.split('/').all(is_component) {
            return Err(format!(
                "{text:?} is not a repository; names are lowercase letters and digits, with . _ - between them"
            ));
        }
        Ok(Self { registry: registry.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

/// Returns whether the first part of a name is a registry. By the convention of container tools it has a dot or a port, or
/// is `localhost`.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    is_host(host)
        && port.is_none_or(is_port)
        && (port.is_some() || host.contains(['.', '[']) || host == "localhost")
}

fn is_host(host: &str) -> bool {
    let ipv6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match ipv6 {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        }),
    }
}

fn is_port(port: &str) -> bool {
    !port.starts_with('+') && port.parse::<u16>().is_ok()
}

/// Returns whether the text is a part of a name by the OCI distribution specification: lowercase letters and digits, with
/// separators only between them.
fn is_component(text: &str) -> bool {
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ends = (separators.next(), separators.next_back());
    let is_separator =
        |part: &str| matches!(part, "" | "." | "_" | "__") || part.bytes().all(|c| c == b'-');
    ends == (Some(""), Some("")) && separators.all(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_begins_with_its_registry() {
        for (text, registry, name) in [
            ("registry.example.com/addons/metrics", "registry.example.com", "addons/metrics"),
            ("localhost/a", "localhost", "a"),
            ("registry:5000/a-b/c__d/e.f", "registry:5000", "a-b/c__d/e.f"),
            ("192.0.2.1:5000/a", "192.0.2.1:5000", "a"),
            ("[::1]:5000/a", "[::1]:5000", "a"),
            ("[::1]/a", "[::1]", "a"),
        ] {
            let expected = Repository { registry: registry.into(), name: name.into() };
            assert_eq!(Repository::parse(text), Ok(expected));
        }
        for (text, word) in [
            ("addons/metrics", "must begin with a registry"),
            ("metrics", "must begin with a registry"),
            ("", "must begin with a registry"),
            ("a b.example.com/c", "must begin with a registry"),
            ("user@example.com/c", "must begin with a registry"),
            ("example.com:port/c", "must begin with a registry"),
            ("example.com:99999/c", "must begin with a registry"),
            ("[::zz]/a", "must begin with a registry"),
            ("https://example.com/c", "scheme"),
            ("oci://example.com/c", "scheme"),
            ("example.com/c:v1", "tag"),
            ("example.com/c@sha256:00", "tag or digest"),
            ("example.com", "not a repository"),
            ("example.com/", "not a repository"),
            ("example.com/a//b", "not a repository"),
            ("example.com/../b", "not a repository"),
            ("example.com/A", "not a repository"),
            ("example.com/a?b", "not a repository"),
            ("example.com/-a", "not a repository"),
            ("example.com/a-", "not a repository"),
            ("example.com/a..b", "not a repository"),
            ("example.com/a___b", "not a repository"),
            ("example.com:+1/a", "must begin with a registry"),
        ] {
            let error = Repository::parse(text).expect_err(text);
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }
}
