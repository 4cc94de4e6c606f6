//! Assignments that are wrong in themselves, or that ask for a step that is not allowed.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use serde_json::{Value, json};
use testbed::bundle::Spec;

use super::running_add_on::{NEW, OLD, Running};
use crate::harness::Bed;

pub async fn the_api_refuses_what_is_no_assignment(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-assignment").await?;
    let good = Spec::inline(NEW, &running.good("new"));
    let inline = good.0["source"]["inline"].clone();
    let http = |sha256: &str| json!({"http": {"url": "http://example.com/", "sha256": sha256}});
    let oci = |digest| json!({"oci": {"repository": "example.com/a", "digest": digest}});
    for version in ["latest", "v1.2.3", "1.2", "1.02.3", "1.2.3-", "1.2.3 ", ""] {
        refused_by_the_api(&running, good.clone().with("version", json!(version)), "version")
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
        refused_by_the_api(&running, good.clone().with("source", source), field).await?;
    }
    for repository in ["https://example.com/a", "example.com/a:v1", "addons/a", "example.com/A"] {
        let digest = format!("sha256:{digest}");
        let source = json!({"oci": {"repository": repository, "digest": digest}});
        let words = "not a registry and repository";
        refused_by_the_api(&running, good.clone().with("source", source), words).await?;
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
        refused_by_the_api(&running, good.clone().policy(field, value), field).await?;
    }
    running.mended().await
}

pub async fn the_api_refuses_the_reserved_name(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "reserved-name").await?;
    let reserved = running.managed.add_on("managed-cluster-lease");
    let answer = reserved.assign(&Spec::inline(NEW, &running.good("new"))).await;
    let refusal = answer.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(
        refusal.contains("the names managed-cluster-lease and addon-lifecycle-agent are reserved"),
        "{refusal}"
    );
    ensure!(reserved.get().await?.is_none());
    running.untouched().await
}

/// Three such loops over a hundred things would take seconds.
const NESTED: &str = "object.a.all(x, object.a.all(y, x != y))";

/// What the API's patterns let through and no one can act on.
pub async fn refuses_fields_without_meaning(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "no-meaning").await?;
    let good = Spec::inline(NEW, &running.good("new"));
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
        (good.clone().policy("windows", window("0 0 30 2 *", "4h", "UTC")), bad, "never comes"),
        (good.clone().policy("windows", window("0 2 * * 6", "0s", "UTC")), bad, "from one minute"),
        (good.clone().policy("windows", window("0 2 * * 6", "4h", "Mars/Base")), bad, "Mars/Base"),
    ] {
        running.refuses(&spec, reason, &[word]).await?;
    }
    running.mended().await
}

pub async fn refuses_a_step_down_that_the_policy_forbids(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "step-down").await?;
    let older = Spec::inline("1.3.0", &running.good("older"));
    let words = ["1.3.0", OLD];
    running.refuses(&older, Reason::DowngradeNotAllowed, &words).await?;
    let never = older.clone().policy("downgrades", "Never");
    running.refuses(&never, Reason::DowngradeNotAllowed, &["1.3.0", OLD, "Never"]).await?;
    let prerelease = Spec::inline("1.4.0-rc.1", &running.good("older"));
    running.refuses(&prerelease, Reason::DowngradeNotAllowed, &["1.4.0-rc.1"]).await?;
    running.goes_on_to(&older.policy("downgrades", "Any"), "older").await
}

pub async fn refuses_a_step_up_that_the_policy_forbids(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "step-up").await?;
    for (version, upgrades) in
        [("2.0.0", "Minor"), ("2.0.0", "Patch"), ("1.5.0", "Patch"), ("1.4.1", "None")]
    {
        let spec = Spec::inline(version, &running.good("new")).policy("upgrades", upgrades);
        running.refuses(&spec, Reason::UpgradeNotAllowed, &[OLD, version, upgrades]).await?;
    }
    let patch = Spec::inline("1.4.1", &running.good("new")).policy("upgrades", "Patch");
    running.goes_on_to(&patch, "new").await
}

pub async fn refuses_a_version_that_cannot_follow_the_running_one(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "upgrade-from").await?;
    let follows =
        |range: &str| Spec::inline(NEW, &running.good("new")).with("upgradeFrom", json!(range));
    let words = [">=1.2.0, <1.4.0", OLD];
    running.refuses(&follows(words[0]), Reason::UpgradePathNotSupported, &words).await?;
    running.goes_on_to(&follows(">=1.2.0, <1.5.0"), "new").await
}

pub async fn refuses_a_version_for_another_kubernetes(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "kubernetes-range").await?;
    let needs = |range: Value| Spec::inline(NEW, &running.good("new")).with("kubernetes", range);
    let server = running.managed.plane.admin().apiserver_version().await?;
    let server = server.git_version.trim_start_matches('v').to_owned();
    let words = [">=1.99", server.as_str()];
    running.refuses(&needs(json!(">=1.99")), Reason::KubernetesNotSupported, &words).await?;
    running.goes_on_to(&needs(json!(">=1.28, <2")), "new").await
}

pub async fn refuses_the_running_version_with_other_content(bed: &Bed) -> Result<()> {
    let running = Running::start(bed, "other-content").await?;
    let same = Spec::inline(OLD, &running.good("new"));
    running.refuses(&same, Reason::DigestChanged, &[OLD, "sha256:"]).await?;
    running.mended().await?;
    // The version before is known here too.
    running.assign(&same).await?;
    let status = running.add_on.until_phase(lifecycle::Phase::Rejected).await?;
    ensure!(status.reason.as_deref() == Some(Reason::DigestChanged.name()), "{:?}", status.message);
    Ok(())
}

async fn refused_by_the_api(running: &Running<'_>, spec: Spec, word: &str) -> Result<()> {
    let answer = running.assign(&spec).await;
    let refusal = answer.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refusal.contains(word), "{} was answered with {refusal:?}", spec.0);
    running.untouched().await
}
