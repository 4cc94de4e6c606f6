//! Bundles that are no bundles, or too much of one.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lifecycle::Reason;
use serde_json::json;
use testbed::bundle::Spec;
use testbed::file_server::{Behavior, FileServer};

use super::running_add_on::{NEW, Running};
use crate::harness::Bed;

pub async fn refuses_what_is_not_yaml(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "not-yaml").await?;
    let nested = format!("a: {}1{}", "[".repeat(1000), "]".repeat(1000));
    for (text, word) in [
        ("<html><body>Sign in\t</body>: %", "not YAML"),
        ("metadata:\n\tname: a", "not YAML"),
        ("metadata: {{ .Values.name }}", "not YAML"),
        ("just words", "no object"),
        (nested.as_str(), "not YAML"),
    ] {
        running.refuses(&Spec::text(NEW, text), Reason::InvalidBundle, &[word]).await?;
    }
    running.mended().await
}

/// Which of the two was meant, nobody can know.
pub async fn refuses_duplicate_keys(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "duplicate-keys").await?;
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  one: a\n  one: b\n";
    let words = ["not YAML", "one"];
    running.refuses(&Spec::text(NEW, text), Reason::InvalidBundle, &words).await?;
    running.mended().await
}

pub async fn refuses_an_alias_bomb(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "alias-bomb").await?;
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (before, name) in ('a'..='i').zip('b'..='j') {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 9].join(","));
    }
    running.refuses(&Spec::text(NEW, &bomb), Reason::InvalidBundle, &["not YAML"]).await?;
    running.mended().await
}

/// Served, and packed into a few kilobytes of the assignment.
pub async fn refuses_fifty_megabytes_of_yaml(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "fifty-megabytes").await?;
    let huge = "a: b\n---\n".repeat(50 * 1024 * 1024 / 9);
    let server = FileServer::start().await?;
    let url = server.serve("/huge.yaml", huge.as_bytes(), Behavior::Normal);
    let words = ["8388608"];
    running.refuses(&Spec::http(NEW, &url, b""), Reason::BundleTooLarge, &words).await?;
    running.refuses(&Spec::text(NEW, &huge), Reason::BundleTooLarge, &words).await?;
    running.mended().await
}

/// It could not be kept to go back to.
pub async fn refuses_what_no_secret_can_hold(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-secret").await?;
    let mut bundle = running.good("new");
    for number in 0..3 {
        bundle = bundle.config(&format!("noise-{number}"), &noise(number, 500_000));
    }
    let yaml = bundle.yaml();
    let server = FileServer::start().await?;
    let url = server.serve("/noise.yaml", yaml.as_bytes(), Behavior::Normal);
    let spec = Spec::http(NEW, &url, yaml.as_bytes());
    running.refuses(&spec, Reason::BundleTooLarge, &["1000000", "split"]).await?;
    running.mended().await
}

pub async fn refuses_objects_without_one_identity(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-identity").await?;
    let generated = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "any-"},
    });
    let twice = running.good("new").config("twice", "a").config("twice", "b");
    let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}});
    let kindless = json!({"apiVersion": "v1", "metadata": {"name": "lonely"}});
    for (bundle, reason, words) in [
        (twice, Reason::DuplicateObject, ["ConfigMap", "twice"]),
        (
            running.good("new").object(generated),
            Reason::InvalidObject,
            ["ConfigMap", "generateName"],
        ),
        (running.good("new").object(nameless), Reason::InvalidObject, ["ConfigMap", "no name"]),
        (running.good("new").object(kindless), Reason::InvalidObject, ["lonely", "no kind"]),
    ] {
        running.refuses(&Spec::inline(NEW, &bundle), reason, &words).await?;
    }
    running.mended().await
}

pub async fn refuses_an_empty_bundle(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "empty").await?;
    for text in ["", "# nothing\n---\n---\n", "{apiVersion: v1, kind: List, items: []}"] {
        let words = ["holds no objects"];
        running.refuses(&Spec::text(NEW, text), Reason::EmptyBundle, &words).await?;
    }
    running.mended().await
}

pub async fn refuses_a_sharply_shrunk_bundle_unless_it_is_meant(bed: &Bed) -> Result<()> {
    let mut large = super::running_add_on::good("shrunk", "old");
    for number in 0..12 {
        large = large.config(&format!("more-{number}"), "old");
    }
    let running = Running::with(bed, "shrunk", large).await?;
    let small = Spec::inline(NEW, &running.good("new"));
    let words = ["3 objects", "15", "allow-shrink"];
    running.refuses(&small, Reason::BundleShrunk, &words).await?;
    ensure!(running.add_on.config("shrunk", "more-0").await?.is_some(), "pruned");
    running.add_on.annotate("allow-shrink", Some("1.6.0")).await?;
    let other = Spec::inline("1.5.1", &running.good("new"));
    running.refuses(&other, Reason::BundleShrunk, &words).await?;
    running.add_on.annotate("allow-shrink", Some("1.5.1")).await?;
    running.add_on.annotate("retry", Some("it is meant")).await?;
    running.runs("1.5.1", "new").await?;
    ensure!(running.add_on.config("shrunk", "more-0").await?.is_none(), "not pruned");
    Ok(())
}

const SECRET: &str = "correct-horse-battery-staple";

/// Whichever step refuses it: the parser, the dry run, the check for others' objects.
pub async fn tells_nobody_what_a_refused_secret_holds(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "told-nobody").await?;
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
        running.refuses(&Spec::text(NEW, &secret(&fields)), reason, &[]).await?;
    }
    silent(&running).await?;
    running.mended().await
}

/// Neither status, events nor the agent's log hold the secret, plain or as the API server keeps it.
async fn silent(running: &Running<'_>) -> Result<()> {
    let status = serde_json::to_string(&running.add_on.status().await?)?;
    let get = ["get", "events", "--all-namespaces", "--output=json"];
    let events = running.managed.plane.kubectl(&get).await?;
    let log = running.managed.agent_log();
    ensure!(events.contains(&running.add_on.name), "no events at all");
    ensure!(log.contains(&running.add_on.name), "no log at all");
    for (place, text) in [("status", status), ("events", events), ("log", log)] {
        for form in [SECRET.to_owned(), BASE64_STANDARD.encode(SECRET)] {
            let line = text.lines().find(|line| line.contains(&form));
            ensure!(line.is_none(), "told by the {place}: {}", line.context("a line")?);
        }
    }
    Ok(())
}

/// What no packer makes smaller.
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
