//! Bundles that cannot be parsed, that are too large or that are incomplete.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lifecycle::Reason;
use serde_json::json;
use testbed::bundle::Spec;
use testbed::file_server::{Behavior, FileServer};

use super::running_add_on::{NEW, RunningAddOn};
use crate::harness::Shared;

pub async fn a_bundle_that_is_not_yaml_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "not-yaml").await?;
    let nested = format!("a: {}1{}", "[".repeat(1000), "]".repeat(1000));
    for (text, word) in [
        ("<html><body>Sign in\t</body>: %", "not YAML"),
        ("metadata:\n\tname: a", "not YAML"),
        ("metadata: {{ .Values.name }}", "not YAML"),
        ("just words", "not an object"),
        (nested.as_str(), "not YAML"),
    ] {
        running.expect_rejection(&Spec::text(NEW, text), Reason::InvalidBundle, &[word]).await?;
    }
    running.upgrade().await
}

/// Nothing says which of the two is meant.
pub async fn duplicate_keys_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "duplicate-keys").await?;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  one: a\n  one: b\n";
    let words = ["not YAML", "one"];
    running.expect_rejection(&Spec::text(NEW, text), Reason::InvalidBundle, &words).await?;
    running.upgrade().await
}

pub async fn an_alias_bomb_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "alias-bomb").await?;
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (before, name) in ('a'..='i').zip('b'..='j') {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","));
    }
    running.expect_rejection(&Spec::text(NEW, &bomb), Reason::InvalidBundle, &["not YAML"]).await?;
    running.upgrade().await
}

/// From a server, and compressed to a few kilobytes in the assignment.
pub async fn fifty_megabytes_of_yaml_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "fifty-megabytes").await?;
    let huge = "a: b\n---\n".repeat(50 * 1024 * 1024 / 9);
    let server = FileServer::start().await?;
    let url = server.serve("/huge.yaml", huge.as_bytes(), Behavior::Normal);
    let words = ["8388608"];
    running.expect_rejection(&Spec::http(NEW, &url, b""), Reason::BundleTooLarge, &words).await?;
    running.expect_rejection(&Spec::text(NEW, &huge), Reason::BundleTooLarge, &words).await?;
    running.upgrade().await
}

/// It could not be retained for a rollback.
pub async fn a_release_that_no_secret_can_hold_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-secret").await?;
    let mut bundle = running.working_bundle("new");
    for number in 0..3 {
        bundle = bundle.config(&format!("noise-{number}"), &noise(number, 500_000));
    }
    let yaml = bundle.yaml();
    let server = FileServer::start().await?;
    let url = server.serve("/noise.yaml", yaml.as_bytes(), Behavior::Normal);
    let spec = Spec::http(NEW, &url, yaml.as_bytes());
    running.expect_rejection(&spec, Reason::BundleTooLarge, &["1000000", "split"]).await?;
    running.upgrade().await
}

pub async fn objects_without_a_unique_identity_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-identity").await?;
    let generated = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "any-"},
    });
    let twice = running.working_bundle("new").config("twice", "a").config("twice", "b");
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let kindless = json!({"apiVersion": "v1", "metadata": {"name": "lonely"}});
    for (bundle, reason, words) in [
        (twice, Reason::DuplicateObject, ["ConfigMap", "twice"]),
        (
            running.working_bundle("new").object(generated),
            Reason::InvalidObject,
            ["ConfigMap", "generateName"],
        ),
        (
            running.working_bundle("new").object(nameless),
            Reason::InvalidObject,
            ["ConfigMap", "no name"],
        ),
        (
            running.working_bundle("new").object(kindless),
            Reason::InvalidObject,
            ["lonely", "no kind"],
        ),
    ] {
        running.expect_rejection(&Spec::inline(NEW, &bundle), reason, &words).await?;
    }
    running.upgrade().await
}

pub async fn an_empty_bundle_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "empty").await?;
    for text in ["", "# nothing\n---\n---\n", "{apiVersion: v1, kind: List, items: []}"] {
        let words = ["has no objects"];
        running.expect_rejection(&Spec::text(NEW, text), Reason::EmptyBundle, &words).await?;
    }
    running.upgrade().await
}

pub async fn a_sharply_shrunk_bundle_is_rejected_unless_it_is_allowed(
    shared: &Shared,
) -> Result<()> {
    let mut large = super::running_add_on::working_bundle("shrunk", "old");
    for number in 0..12 {
        large = large.config(&format!("more-{number}"), "old");
    }
    let running = RunningAddOn::with(shared, "shrunk", large).await?;
    let small = Spec::inline(NEW, &running.working_bundle("new"));
    let words = ["3 objects", "15", "allow-shrink"];
    running.expect_rejection(&small, Reason::BundleShrunk, &words).await?;
    ensure!(running.add_on.config("shrunk", "more-0").await?.is_some(), "pruned");
    running.add_on.annotate("allow-shrink", Some("1.6.0")).await?;
    let other = Spec::inline("1.5.1", &running.working_bundle("new"));
    running.expect_rejection(&other, Reason::BundleShrunk, &words).await?;
    running.add_on.annotate("allow-shrink", Some("1.5.1")).await?;
    running.add_on.annotate("retry", Some("it is allowed")).await?;
    running.until_running("1.5.1", "new").await?;
    ensure!(running.add_on.config("shrunk", "more-0").await?.is_none(), "not pruned");
    Ok(())
}

const SECRET: &str = "correct-horse-battery-staple";

/// It is rejected by the parser or by the dry run.
pub async fn the_content_of_a_rejected_secret_is_not_disclosed(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "undisclosed").await?;
    let secret = |fields: &str| {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: password}}\n{fields}\n")
    };
    for (fields, reason) in [
        (format!("stringData:\n  word: {SECRET}\n  word: {SECRET}"), Reason::InvalidBundle),
        (format!("stringData:\n  word: {SECRET}\n\tmore: {SECRET}"), Reason::InvalidBundle),
        (format!("data: {{word: {SECRET}}}"), Reason::ObjectRefused),
        (format!("stringData: {{word: [{SECRET}]}}"), Reason::ObjectRefused),
        (format!("stringData: {{'{SECRET} ': a}}"), Reason::ObjectRefused),
        (format!("type: {SECRET}\nimmutable: {SECRET}"), Reason::ObjectRefused),
    ] {
        running.expect_rejection(&Spec::text(NEW, &secret(&fields)), reason, &[]).await?;
    }
    ensure_not_disclosed(&running).await?;
    running.upgrade().await
}

/// Fails if status, events or the agent's log contain the secret, plain or in base64.
async fn ensure_not_disclosed(running: &RunningAddOn<'_>) -> Result<()> {
    let status = serde_json::to_string(&running.add_on.status().await?)?;
    let get = ["get", "events", "--all-namespaces", "--output=json"];
    let events = running.managed.plane.kubectl(&get).await?;
    let log = running.managed.agent_log();
    ensure!(events.contains(&running.add_on.name), "no events at all");
    ensure!(log.contains(&running.add_on.name), "no log at all");
    for (place, text) in [("status", status), ("events", events), ("log", log)] {
        for form in [SECRET.to_owned(), BASE64_STANDARD.encode(SECRET)] {
            let line = text.lines().find(|line| line.contains(&form));
            ensure!(line.is_none(), "disclosed by the {place}: {}", line.context("a line")?);
        }
    }
    Ok(())
}

/// Returns text that cannot be compressed.
fn noise(seed: usize, length: usize) -> String {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length * 3 / 4 {
        let digest = lifecycle::digest(format!("{seed} {}", bytes.len()).as_bytes());
        let hex = digest.trim_start_matches("sha256:").as_bytes();
        bytes.extend(
            hex.chunks(2)
                .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()),
        );
    }
    BASE64_STANDARD.encode(bytes)
}
