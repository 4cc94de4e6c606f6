//! Credentials for a registry, from the file that Docker, Podman and Kubernetes keep them in.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lifecycle::Fault;
use lifecycle::bundle::oci_manifest::Repository;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::actions::pull::{lasting, owner_files};

/// Names under which Docker Hub's credentials are kept.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// `~/.docker/config.json`, and the content of a Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(Deserialize)]
struct Config {
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    /// Base64 of name and password, with a colon between them.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// The Authorization header for a repository; none where the file is not there or has nothing for it.
///
/// # Errors
/// `PullFailed` where the file cannot be used. Of its content, nothing is repeated.
pub async fn find(
    file: Option<&Path>,
    repository: &Repository,
) -> Result<Option<HeaderValue>, Fault> {
    let Some(file) = file else { return Ok(None) };
    let refused = |why: &str| {
        lasting(format!(
            "the credentials in {} (--registry-config) cannot be used: {why}",
            file.display()
        ))
    };
    let bytes = match owner_files::read(file).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(&error.to_string())),
    };
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        refused(&format!("it is not Docker's config.json at line {line}, column {column}"))
    })?;
    let Some(entry) = best(&config, repository) else { return Ok(None) };
    let registry = &repository.registry;
    let missing = || refused(&format!("there is no name and password for {registry}"));
    header(entry).map(Some).ok_or_else(missing)
}

/// Where a helper has the credentials, Docker leaves the entry empty.
fn is_empty(entry: &Entry) -> bool {
    let given = [&entry.auth, &entry.username, &entry.password];
    given.into_iter().flatten().all(String::is_empty)
}

/// The longest key that the repository begins with, as the kubelet takes it; without its wildcards.
fn best<'a>(config: &'a Config, repository: &Repository) -> Option<&'a Entry> {
    let fitting = config.auths.iter().flatten().filter_map(|(key, entry)| {
        let path = path_of(bare(key), repository)?;
        (!is_empty(entry)).then_some((path.len(), entry))
    });
    fitting.max_by_key(|(length, _)| *length).map(|(_, entry)| entry)
}

/// Old keys are URLs: `https://index.docker.io/v1/`.
fn bare(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let is_host = |rest: &&str| !rest.contains('/');
    key.strip_suffix("/v1").or(key.strip_suffix("/v2")).filter(is_host).unwrap_or(key)
}

/// What a key says beyond the registry; none where it is for other repositories.
fn path_of<'a>(key: &'a str, repository: &Repository) -> Option<&'a str> {
    let (registry, path) = key.split_once('/').unwrap_or((key, ""));
    let is_hub = |name: &str| DOCKER_HUB.contains(&name);
    let is_here =
        registry == repository.registry || (is_hub(registry) && is_hub(&repository.registry));
    let rest = repository.name.strip_prefix(path)?;
    let fits = path.is_empty() || rest.is_empty() || rest.starts_with('/');
    (is_here && fits).then_some(path)
}

fn header(entry: &Entry) -> Option<HeaderValue> {
    let given = entry.auth.as_ref().filter(|auth| !auth.is_empty());
    let pair = match (given, &entry.username, &entry.password) {
        (Some(auth), _, _) => STANDARD.decode(auth.trim()).ok()?,
        (None, Some(name), Some(password)) => format!("{name}:{password}").into_bytes(),
        (None, _, _) => return None,
    };
    let mut header = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CONFIG: &str = r#"{"auths": {
        "registry.example.com": {"auth": "d2lkZTphCg=="},
        "registry.example.com/team/a": {"username": "narrow", "password": "b"},
        "https://index.docker.io/v1/": {"auth": "aHViOmM="},
        "docker.io/team": {"username": "team", "password": "c"},
        "other.example.com/team/v1": {"username": "first", "password": "c"},
        "http://insecure.example.com:5000": {"auth": "cGxhaW46ZA=="},
        "odd.example.com": {"auth": "?"},
        "empty.example.com": {}
    }}"#;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(future)
    }

    fn find_in(content: &str, repository: &str) -> Result<Option<String>, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        let repository = Repository::parse(repository).expect("a repository");
        let found = block_on(find(Some(file.path()), &repository)).map_err(|f| f.message)?;
        Ok(found.map(|header| {
            assert!(header.is_sensitive());
            let encoded = header.to_str().expect("text").strip_prefix("Basic ").expect("Basic");
            let pair = String::from_utf8(STANDARD.decode(encoded).expect("base64")).expect("text");
            pair.split(':').next().unwrap_or_default().to_owned()
        }))
    }

    #[test]
    fn the_longest_key_that_fits_is_taken() {
        for (repository, name) in [
            ("registry.example.com/a", Some("wide")),
            ("registry.example.com/team/ab", Some("wide")),
            ("registry.example.com/team/a", Some("narrow")),
            ("registry.example.com/team/a/b", Some("narrow")),
            ("docker.io/library/a", Some("hub")),
            ("docker.io/team/a", Some("team")),
            ("other.example.com/team/v1", Some("first")),
            ("other.example.com/team/v2", None),
            ("insecure.example.com:5000/a", Some("plain")),
            ("insecure.example.com/a", None),
            ("registry.example.com:443/a", None),
            ("other.example.com/a", None),
            ("empty.example.com/a", None),
        ] {
            let found = find_in(CONFIG, repository);
            assert_eq!(found, Ok(name.map(str::to_owned)), "{repository}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_without_its_content() {
        for content in [
            r#"{"auths": "hunter2"}"#,
            r#"{"auths": {"a.b": {"auth": {"hunter2": 1}}}}"#,
            "hunter2",
        ] {
            let said = find_in(content, "a.b/c").expect_err(content);
            assert!(said.contains("line 1") && !said.contains("hunter2"), "{said}");
        }
        let said = find_in(CONFIG, "odd.example.com/a").expect_err("no base64");
        assert!(said.contains("odd.example.com"), "{said}");
        let repository = Repository::parse("a.b/c").expect("a repository");
        assert_eq!(block_on(find(Some(Path::new("/none/such")), &repository)), Ok(None));
        assert_eq!(find_in(r#"{"auths": null}"#, "a.b/c"), Ok(None));
    }
}
