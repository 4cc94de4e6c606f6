//! Credentials for a registry, from the `config.json` that Docker, Podman and Kubernetes use.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lifecycle::Fault;
use lifecycle::bundle::repository::Repository;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use crate::actions::pull::fault::permanent;
use crate::actions::pull::owner_files;

/// Names under which Docker Hub's credentials are stored.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The content of `~/.docker/config.json`, and of a Secret of type `kubernetes.io/dockerconfigjson`.
#[derive(Deserialize)]
struct Config {
    auths: Option<BTreeMap<String, Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    /// Base64 of user name, colon and password.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// Returns the Authorization header for a repository; `None` if the file does not exist or has no entry for it.
///
/// # Errors
/// `PullFailed` if the file cannot be used. The message repeats nothing of its content.
pub async fn find(
    file: Option<&Path>,
    repository: &Repository,
) -> Result<Option<HeaderValue>, Fault> {
    let Some(file) = file else { return Ok(None) };
    let failed = |why: &str| {
        let file = file.display();
        permanent(format!("the credentials in {file} (--registry-config) cannot be used: {why}"))
    };
    let bytes = match owner_files::read(file).await {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&error.to_string())),
    };
    let config: Config = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        failed(&format!("not a Docker config.json, see line {line}, column {column}"))
    })?;
    let Some(entry) = best_entry(&config, repository) else { return Ok(None) };
    let registry = &repository.registry;
    let missing = || failed(&format!("no user name and password for {registry}"));
    basic_header(entry).map(Some).ok_or_else(missing)
}

/// Docker leaves an entry empty if a credential helper has the credentials.
fn is_empty(entry: &Entry) -> bool {
    let fields = [&entry.auth, &entry.username, &entry.password];
    fields.into_iter().flatten().all(String::is_empty)
}

/// Returns the entry with the longest key that is a prefix of the repository. This is the kubelet's rule, without its
/// wildcards.
fn best_entry<'a>(config: &'a Config, repository: &Repository) -> Option<&'a Entry> {
    let matching = config.auths.iter().flatten().filter_map(|(key, entry)| {
        let path = matching_path(strip_url(key), repository)?;
        (!is_empty(entry)).then_some((path.len(), entry))
    });
    matching.max_by_key(|(length, _)| *length).map(|(_, entry)| entry)
}

/// Strips scheme and API version, since old keys are URLs: `https://index.docker.io/v1/`.
fn strip_url(key: &str) -> &str {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let is_host = |rest: &&str| !rest.contains('/');
    key.strip_suffix("/v1").or(key.strip_suffix("/v2")).filter(is_host).unwrap_or(key)
}

/// Returns the part of a key after the registry; `None` if the key is for other repositories.
fn matching_path<'a>(key: &'a str, repository: &Repository) -> Option<&'a str> {
    let (registry, path) = key.split_once('/').unwrap_or((key, ""));
    let is_hub = |name: &str| DOCKER_HUB.contains(&name);
    let is_same_registry =
        registry == repository.registry || (is_hub(registry) && is_hub(&repository.registry));
    let rest = repository.name.strip_prefix(path)?;
    let is_prefix = path.is_empty() || rest.is_empty() || rest.starts_with('/');
    (is_same_registry && is_prefix).then_some(path)
}

fn basic_header(entry: &Entry) -> Option<HeaderValue> {
    let auth = entry.auth.as_ref().filter(|auth| !auth.is_empty());
    let pair = match (auth, &entry.username, &entry.password) {
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
    fn the_longest_matching_key_wins() {
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
    fn an_invalid_file_is_reported_without_its_content() {
        for content in [
            r#"{"auths": "hunter2"}"#,
            r#"{"auths": {"a.b": {"auth": {"hunter2": 1}}}}"#,
            "hunter2",
        ] {
            let message = find_in(content, "a.b/c").expect_err(content);
            assert!(message.contains("line 1") && !message.contains("hunter2"), "{message}");
        }
        let message = find_in(CONFIG, "odd.example.com/a").expect_err("no base64");
        assert!(message.contains("odd.example.com"), "{message}");
        let repository = Repository::parse("a.b/c").expect("a repository");
        assert_eq!(block_on(find(Some(Path::new("/none/such")), &repository)), Ok(None));
        assert_eq!(find_in(r#"{"auths": null}"#, "a.b/c"), Ok(None));
    }
}
