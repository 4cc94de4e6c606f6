//! Assignments that are invalid, or that ask for an upgrade or downgrade that is not allowed.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use serde_json::{Value, json};
use testbed::bundle::Spec;

use super::running_add_on::{NEW, OLD, RunningAddOn};
use crate::harness::Shared;

pub async fn the_api_server_refuses_invalid_assignments(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-assignment").await?;
    let good = Spec::inline(NEW, &running.working_bundle("new"));
    let inline = good.0["source"]["inline"].clone();
    let http = |sha256: &str| json!({"http": {"url": "http://example.com/", "sha256": sha256}});
    let oci = |digest| json!({"oci": {"repository": "example.com/a", "digest": digest}});
    for version in ["latest", "v1.2.3", "1.2", "1.02.3", "1.2.3-", "1.2.3 ", ""] {
        expect_api_refusal(&running, good.clone().with("version", json!(version)), "version")
            .await?;
    }
    let digest = "a".repeat(64);
    for (source, field) in [
        (json!({}), "spec.source"),
        (json!({"inline": inline, "http": http(&digest)["http"]}), "exactly one of"),
        (http(&format!("sha256:{digest}")), "sha256"),
        (http(&"A".repeat(64)), "sha256"),
        (http(&"a".repeat(63)), "sha256"),
        (http(""), "sha256"),
        (oci(json!(digest)), "digest"),
        (oci(json!(format!("sha512:{digest}"))), "digest"),
        (oci(json!(null)), "digest"),
    ] {
        expect_api_refusal(&running, good.clone().with("source", source), field).await?;
    }
    for repository in ["https://example.com/a", "example.com/a:v1", "addons/a", "example.com/A"] {
        let digest = format!("sha256:{digest}");
        let source = json!({"oci": {"repository": repository, "digest": digest}});
        let words = "not a registry and repository";
        expect_api_refusal(&running, good.clone().with("source", source), words).await?;
    }
    for (field, value) in [
        ("soak", json!("soon")),
        ("soak", json!("90")),
        ("timeout", json!("1d")),
        ("timeout", json!("-5m")),
        ("timeout", json!(90)),
        ("onFailure", json!("Retry")),
        ("onUnsafe", json!("hold")),
        ("upgrades", json!("Major")),
        ("downgrades", json!("")),
        ("deletion", json!("Keep")),
        ("adopt", json!("yes")),
        ("windows", json!(vec![json!({"schedule": "0 2 * * 6", "duration": "4h"}); 17])),
        ("windows", json!([{"schedule": "0 2 * * 6", "duration": "a while"}])),
        ("windows", json!([{"schedule": "0 2 * * 6"}])),
    ] {
        expect_api_refusal(&running, good.clone().policy(field, value), field).await?;
    }
    running.upgrade().await
}

pub async fn the_api_server_refuses_reserved_names(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "reserved-name").await?;
    let reserved = running.managed.add_on("managed-cluster-lease");
    let result = reserved.assign(&Spec::inline(NEW, &running.working_bundle("new"))).await;
    let refusal = result.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(
        refusal.contains("the names managed-cluster-lease and addon-lifecycle-agent are reserved"),
        "{refusal}"
    );
    ensure!(reserved.get().await?.is_none());
    running.ensure_untouched().await
}

/// Three nested loops over a hundred elements would take seconds.
const NESTED: &str = "object.a.all(x, object.a.all(y, x != y))";

/// The fields match the patterns of the API, but they make no sense.
pub async fn meaningless_fields_are_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "no-meaning").await?;
    let good = Spec::inline(NEW, &running.working_bundle("new"));
    let inline = |manifests| json!({"inline": {"manifests": manifests}});
    let huge = "99999999999999999999.0.0";
    let bad = Reason::InvalidAssignment;
    let window = |schedule, duration, zone| json!([{"schedule": schedule, "duration": duration, "timeZone": zone}]);
    let base = |versions| json!([{"addOn": "base", "versions": versions}]);
    let rule = |current| json!([{"apiVersion": "example.com/v1", "kind": "A", "current": current}]);
    for (spec, reason, word) in [
        (good.clone().with("version", json!(huge)), Reason::InvalidVersion, huge),
        (
            good.clone().with("upgradeFrom", json!("newer")),
            Reason::InvalidAssignment,
            "upgradeFrom",
        ),
        (
            good.clone().with("kubernetes", json!("1.x.y.z")),
            Reason::InvalidAssignment,
            "kubernetes",
        ),
        (good.clone().policy("timeout", "999999h"), Reason::InvalidAssignment, "policy.timeout"),
        (good.clone().with("source", inline("?")), Reason::InvalidAssignment, "not base64"),
        (good.clone().with("source", inline("aGVsbG8=")), Reason::InvalidAssignment, "not gzip"),
        (good.clone().with("health", rule("object.status.ready ==")), bad, "is not CEL"),
        (good.clone().with("health", rule("status.ready")), bad, "status is unknown"),
        (good.clone().with("health", rule(NESTED)), bad, "in a loop"),
        (good.clone().with("requires", base("newer")), bad, "requires base"),
        (good.clone().policy("windows", window("soon", "4h", "UTC")), bad, "policy.windows"),
        (good.clone().policy("windows", window("0 0 30 2 *", "4h", "UTC")), bad, "never occurs"),
        (good.clone().policy("windows", window("0 2 * * 6", "0s", "UTC")), bad, "from one minute"),
        (good.clone().policy("windows", window("0 2 * * 6", "4h", "Mars/Base")), bad, "Mars/Base"),
    ] {
        running.expect_rejection(&spec, reason, &[word]).await?;
    }
    running.upgrade().await
}

pub async fn a_downgrade_that_the_policy_forbids_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "step-down").await?;
    let older = Spec::inline("1.3.0", &running.working_bundle("older"));
    let words = ["1.3.0", OLD];
    running.expect_rejection(&older, Reason::DowngradeNotAllowed, &words).await?;
    let never = older.clone().policy("downgrades", "Never");
    running.expect_rejection(&never, Reason::DowngradeNotAllowed, &["1.3.0", OLD, "Never"]).await?;
    let prerelease = Spec::inline("1.4.0-rc.1", &running.working_bundle("older"));
    running.expect_rejection(&prerelease, Reason::DowngradeNotAllowed, &["1.4.0-rc.1"]).await?;
    running.upgrade_to(&older.policy("downgrades", "Any"), "older").await
}

pub async fn an_upgrade_that_the_policy_forbids_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "step-up").await?;
    for (version, upgrades) in
        [("2.0.0", "Minor"), ("2.0.0", "Patch"), ("1.5.0", "Patch"), ("1.4.1", "None")]
    {
        let spec =
            Spec::inline(version, &running.working_bundle("new")).policy("upgrades", upgrades);
        running
            .expect_rejection(&spec, Reason::UpgradeNotAllowed, &[OLD, version, upgrades])
            .await?;
    }
    let patch = Spec::inline("1.4.1", &running.working_bundle("new")).policy("upgrades", "Patch");
    running.upgrade_to(&patch, "new").await
}

pub async fn a_version_that_cannot_follow_the_current_one_is_rejected(
    shared: &Shared,
) -> Result<()> {
    let running = RunningAddOn::start(shared, "upgrade-from").await?;
    let follows = |range: &str| {
        Spec::inline(NEW, &running.working_bundle("new")).with("upgradeFrom", json!(range))
    };
    let words = [">=1.2.0, <1.4.0", OLD];
    running.expect_rejection(&follows(words[0]), Reason::UpgradePathNotSupported, &words).await?;
    running.upgrade_to(&follows(">=1.2.0, <1.5.0"), "new").await
}

pub async fn a_version_for_another_kubernetes_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "kubernetes-range").await?;
    let needs =
        |range: Value| Spec::inline(NEW, &running.working_bundle("new")).with("kubernetes", range);
    let server = running.managed.plane.admin().apiserver_version().await?;
    let server = server.git_version.trim_start_matches('v').to_owned();
    let words = [">=1.99", server.as_str()];
    running
        .expect_rejection(&needs(json!(">=1.99")), Reason::KubernetesNotSupported, &words)
        .await?;
    running.upgrade_to(&needs(json!(">=1.28, <2")), "new").await
}

pub async fn the_current_version_with_other_content_is_rejected(shared: &Shared) -> Result<()> {
    let running = RunningAddOn::start(shared, "other-content").await?;
    let same = Spec::inline(OLD, &running.working_bundle("new"));
    running.expect_rejection(&same, Reason::DigestChanged, &[OLD, "sha256:"]).await?;
    running.upgrade().await?;
    // The content of the previous version is known too.
    running.assign(&same).await?;
    let status = running.add_on.until_phase(lifecycle::Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some(Reason::DigestChanged.name()), "{:?}", status.message);
    Ok(())
}

async fn expect_api_refusal(running: &RunningAddOn<'_>, spec: Spec, word: &str) -> Result<()> {
    let result = running.assign(&spec).await;
    let refusal = result.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refusal.contains(word), "the response to {} was {refusal:?}", spec.0);
    running.ensure_untouched().await
}
