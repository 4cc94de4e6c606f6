//! Bundles from a real registry, pushed with oras as users do.

use std::fs;

use anyhow::{Result, ensure};
use lifecycle::{Phase, Reason, digest};
use serde_json::json;
use testbed::bundle::Spec;
use testbed::file_server::{Behavior, FileServer};
use testbed::registry::{self, PASSWORD, Registry};
use testbed::{AddOn, Managed};

use crate::harness::Shared;

/// Name of the repository, of the add-on and of its namespace.
const SHOP: &str = "shop";

/// The file with the Namespace, as `oras push` takes it.
const NAMESPACE: (&str, &str) =
    ("namespace.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}");

pub async fn a_rollback_does_not_need_the_registry(_: &Shared) -> Result<()> {
    let registry = Registry::start().await?;
    let (_managed, add_on) = start_shop("artifacts", &registry, &[]).await?;
    let old = push(&registry, "1.0.0").await?;
    install(&add_on, &old, "1.0.0").await?;
    let new = push(&registry, "1.1.0").await?;
    install(&add_on, &new, "1.1.0").await?;
    let status = add_on.status().await?;
    let digests = status.history.iter().filter_map(|entry| entry.digest.clone());
    let pushed = [&new, &old].map(|spec| spec.0["source"]["oci"]["digest"].as_str());
    ensure!(digests.map(Some).eq(pushed.map(|digest| digest.map(str::to_owned))));
    drop(registry);
    install(&add_on, &old, "1.0.0").await
}

pub async fn a_registry_gets_the_credentials_that_it_requires(_: &Shared) -> Result<()> {
    let mut registry = Registry::start().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.json");
    let tokens = FileServer::start().await?;
    let config = file.to_string_lossy();
    let more = ["--registry-config", &config, "--plain-http-registry", &tokens.host()];
    let (_managed, add_on) = start_shop("credentials", &registry, &more).await?;
    let (first, second, third) = (
        push(&registry, "1.0.0").await?,
        push(&registry, "1.1.0").await?,
        push(&registry, "1.2.0").await?,
    );
    install(&add_on, &first, "1.0.0").await?;

    registry.require_password().await?;
    let host = registry.host();
    let rejection = Rejection { running: "1.0.0", reason: Reason::PullFailed };
    rejection
        .expect(&add_on, &as_version(&second, "1.0.1"), "credentials are required (401")
        .await?;
    fs::write(&file, registry::docker_config("registry.example.com", PASSWORD))?;
    rejection.expect(&add_on, &as_version(&second, "1.0.2"), "has none for 127.0.0.1").await?;
    fs::write(&file, registry::docker_config(&host, "sardine"))?;
    rejection.expect(&add_on, &as_version(&second, "1.0.3"), "were rejected (401").await?;
    fs::write(&file, registry::docker_config(&host, PASSWORD))?;
    install(&add_on, &second, "1.1.0").await?;

    fs::remove_file(&file)?;
    let answer = registry.require_token(&tokens.url("/token"), SHOP).await?;
    let query = format!("/token?{}", Registry::token_query(SHOP));
    tokens.serve(&query, answer.to_string().as_bytes(), Behavior::Normal);
    install(&add_on, &third, "1.2.0").await?;
    ensure!(tokens.ranges(&query).len() == 1, "more than one token for all files");
    Ok(())
}

pub async fn the_target_of_a_redirection_gets_no_credentials(_: &Shared) -> Result<()> {
    let (mut registry, storage) = (Registry::start().await?, FileServer::start().await?);
    let spec = push(&registry, "1.0.0").await?;
    registry.require_password().await?;
    registry.redirect_blobs(&storage.url("/")).await?;
    let [first, second] = [NAMESPACE.1, &settings("1.0.0")].map(Registry::path_in_storage);
    storage.serve(&first, NAMESPACE.1.as_bytes(), Behavior::Normal);
    let last = storage.serve("/elsewhere", settings("1.0.0").as_bytes(), Behavior::Normal);
    storage.serve(&second, b"", Behavior::Redirect(last));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("config.json");
    fs::write(&file, registry::docker_config(&registry.host(), PASSWORD))?;
    let more = ["--registry-config", &file.to_string_lossy()];
    let (_managed, add_on) = start_shop("redirected", &registry, &more).await?;
    install(&add_on, &spec, "1.0.0").await?;
    for path in [first.as_str(), &second, "/elsewhere"] {
        ensure!(storage.authorizations(path) == [None], "{path} got credentials");
    }
    Ok(())
}

pub async fn an_artifact_that_is_no_bundle_is_rejected(_: &Shared) -> Result<()> {
    let registry = Registry::start().await?;
    let (_managed, add_on) = start_shop("no-bundle", &registry, &[]).await?;
    install(&add_on, &push(&registry, "1.0.0").await?, "1.0.0").await?;
    let tar = format!("{}ustar", "x".repeat(257));
    let compressed = ("all.yaml:application/vnd.example.tar+gzip", NAMESPACE.1);
    for (number, (files, reason, words)) in [
        (&[NAMESPACE, ("b.yaml", "a: 1\na: 2")] as &[_], Reason::InvalidBundle, "b.yaml: not YAML"),
        (&[NAMESPACE, ("all.tar", &tar)], Reason::InvalidBundle, "all.tar: an archive"),
        (&[compressed], Reason::InvalidBundle, "all.yaml is compressed"),
        (
            &[("README.md", "# Shop\n\nIt sells.")],
            Reason::InvalidBundle,
            "README.md: document 1 is not an object",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let digest = registry.push(SHOP, files).await?;
        let spec = artifact(&registry, &format!("1.0.{}", number + 1), &digest);
        Rejection { running: "1.0.0", reason }.expect(&add_on, &spec, words).await?;
    }
    let missing = artifact(&registry, "1.1.0", &digest(b"none"));
    let rejection = Rejection { running: "1.0.0", reason: Reason::PullFailed };
    rejection.expect(&add_on, &missing, "no manifest with digest sha256:").await
}

pub async fn content_that_a_registry_corrupted_is_rejected(_: &Shared) -> Result<()> {
    let registry = Registry::start().await?;
    let (_managed, add_on) = start_shop("spoilt", &registry, &[]).await?;
    install(&add_on, &push(&registry, "1.0.0").await?, "1.0.0").await?;
    let spec = push(&registry, "1.1.0").await?;
    let good = settings("1.1.0");
    registry.corrupt(&good, &settings("9.9.9"))?;
    let rejection = Rejection { running: "1.0.0", reason: Reason::PullFailed };
    rejection
        .expect(&add_on, &as_version(&spec, "1.0.1"), "settings.yaml has the digest sha256:")
        .await?;
    registry.corrupt(&good, &"x".repeat(10_000))?;
    rejection.expect(&add_on, &as_version(&spec, "1.0.2"), "settings.yaml is larger").await?;
    registry.corrupt(&good, &good)?;
    install(&add_on, &spec, "1.1.0").await
}

/// A web server plays a registry whose connections break.
pub async fn an_interrupted_download_is_resumed(_: &Shared) -> Result<()> {
    let files = FileServer::start().await?;
    let host = files.host();
    let managed = Managed::start("cut-artifact").await?;
    managed.start_agent(&["--plain-http-registry", &host]).await?;
    let add_on = managed.add_on(SHOP);
    let text = format!("{}\n---\n{}", NAMESPACE.1, settings("1.0.0"));
    let layer = json!({"digest": digest(text.as_bytes()), "size": text.len()});
    let manifest = json!({"schemaVersion": 2, "layers": [layer]}).to_string();
    let path =
        |kind: &str, content: &str| format!("/v2/{SHOP}/{kind}/{}", digest(content.as_bytes()));
    let (manifest_path, blob_path) = (path("manifests", &manifest), path("blobs", &text));
    files.serve(&manifest_path, manifest.as_bytes(), Behavior::Status(503, 2));
    files.serve(&blob_path, text.as_bytes(), Behavior::Cut(50));
    let spec = Spec::oci("1.0.0", &format!("{host}/{SHOP}"), &digest(manifest.as_bytes()));
    install(&add_on, &spec.namespace(SHOP), "1.0.0").await?;
    ensure!(files.ranges(&manifest_path) == [None, None, None]);
    ensure!(files.ranges(&blob_path) == [None, Some("bytes=50-".to_owned())]);
    Ok(())
}

/// Starts a cluster whose agent uses plain HTTP for the registry.
async fn start_shop(name: &str, registry: &Registry, more: &[&str]) -> Result<(Managed, AddOn)> {
    let managed = Managed::start(name).await?;
    let host = registry.host();
    managed.start_agent(&[&["--plain-http-registry", &host], more].concat()).await?;
    let add_on = managed.add_on(SHOP);
    Ok((managed, add_on))
}

async fn push(registry: &Registry, version: &str) -> Result<Spec> {
    let files = [NAMESPACE, ("settings.yaml", &settings(version))];
    let digest = registry.push(SHOP, &files).await?;
    Ok(artifact(registry, version, &digest))
}

fn settings(version: &str) -> String {
    let name = "metadata: {name: settings}";
    format!("{{apiVersion: v1, kind: ConfigMap, {name}, data: {{value: {version}}}}}")
}

fn artifact(registry: &Registry, version: &str, digest: &str) -> Spec {
    Spec::oci(version, &registry.repository(SHOP), digest).namespace(SHOP)
}

fn as_version(spec: &Spec, version: &str) -> Spec {
    spec.clone().with("version", json!(version))
}

async fn install(add_on: &AddOn, spec: &Spec, version: &str) -> Result<()> {
    add_on.assign(spec).await?;
    add_on.until_available(version).await?;
    ensure_runs(add_on, version).await
}

/// The rejection of a version while another one runs untouched.
struct Rejection<'a> {
    running: &'a str,
    reason: Reason,
}

impl Rejection<'_> {
    async fn expect(&self, add_on: &AddOn, spec: &Spec, words: &str) -> Result<()> {
        add_on.assign(spec).await?;
        let status = add_on.until_phase(Phase::Rejected).await?;
        let message = status.message.unwrap_or_default();
        let reason = status.reason.unwrap_or_default();
        ensure!(reason == self.reason.name(), "{reason}: {message}");
        ensure!(message.contains(words) && !message.contains(PASSWORD), "no {words:?}: {message}");
        ensure_runs(add_on, self.running).await
    }
}

async fn ensure_runs(add_on: &AddOn, version: &str) -> Result<()> {
    let settings = add_on.config(SHOP, "settings").await?;
    ensure!(settings.as_deref() == Some(version), "{settings:?} runs, not {version}");
    Ok(())
}
