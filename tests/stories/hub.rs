//! Stand-alone mode with OCM's own types: assignments from a hub, and reports to it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::doc_runner::{DocRunner, section};
use testbed::wait::until;
use testbed::{Hub, Managed, Options};

use crate::harness::Shared;

/// Longest wait for a report. After an outage the agent's first attempt may be most of a minute away.
const REPORT_TIMEOUT: Duration = Duration::from_secs(120);

/// A hub and its cluster `edge`.
pub struct Pair {
    pub hub: Hub,
    pub managed: Managed,
}

impl Pair {
    async fn start(name: &str) -> Result<Self> {
        let pair = Self::without_agent(name).await?;
        pair.start_agent().await?;
        Ok(pair)
    }

    pub async fn without_agent(name: &str) -> Result<Self> {
        let hub = format!("{name}-hub");
        let (hub, managed) = tokio::try_join!(Hub::start(&hub, "edge"), Managed::start(name))?;
        Ok(Self { hub, managed })
    }

    pub async fn start_agent(&self) -> Result<()> {
        let kubeconfig = self.hub.kubeconfig()?;
        let kubeconfig = kubeconfig.to_string_lossy();
        let more = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", "edge"];
        self.managed.start_agent(&more).await
    }

    async fn template(&self, version: &str, image: &str) -> Result<()> {
        self.hub.template("shop", &format!("shop-{version}"), &spec(version, image)).await
    }

    async fn until_reported(&self, phase: &str) -> Result<Value> {
        until(&format!("a report of {phase} on the hub"), REPORT_TIMEOUT, || async {
            let report = self.hub.report("shop").await?;
            if report["phase"] == phase { Ok(Some(report)) } else { bail!("{report}") }
        })
        .await
    }

    async fn until_condition(&self, kind: &str, status: &str, reason: &str) -> Result<Value> {
        let kind = format!("lifecycle.open-cluster-management.io/{kind}");
        until(&format!("{kind} to be {status} {reason}"), REPORT_TIMEOUT, || async {
            let condition = self.hub.condition("shop", &kind).await?;
            let is_reached = condition["status"] == status && condition["reason"] == reason;
            if is_reached { Ok(Some(condition)) } else { bail!("{condition}") }
        })
        .await
    }
}

/// The installation without OCM, word for word. The agent's pod is simulated, and its program runs next to it.
pub async fn the_documented_installation_without_ocm_works(_: &Shared) -> Result<()> {
    let bare = Managed::start_bare(Options::full("by-the-book"));
    let (hub, managed) = tokio::try_join!(Hub::start("by-the-book-hub", "cluster1"), bare)?;
    let (cluster, install) = (&managed.plane, |begins| section("docs/install.md", begins));
    let runner = DocRunner::new(cluster)?;
    let step = install("## Without OCM")?;
    runner.write("manifests/edge/kustomization.yaml", step.block("yaml")?)?;
    runner.run(cluster, step.block("sh")?).await?;
    runner.run(cluster, install("## Rights of add-ons")?.block("sh")?).await?;
    let step = install("## A hub without OCM's delivery")?;
    runner.run(&hub.plane, step.block("sh")?).await?;
    runner.run(cluster, step.last_block("sh")?).await?;
    let ready = "-n open-cluster-management-agent-addon wait deployment/addon-agent --for=condition=Available --timeout=2m";
    managed.kubectl(ready).await?;
    let kubeconfig = runner.path("hub.kubeconfig");
    let kubeconfig = kubeconfig.to_string_lossy();
    managed.start_agent(&["--hub-kubeconfig", &kubeconfig, "--cluster-name", "cluster1"]).await?;
    hub.template("shop", "shop-1.0.0", &spec("1.0.0", READY)).await?;
    hub.assign("shop", "shop-1.0.0").await?;
    until("a report on the hub", REPORT_TIMEOUT, || async {
        let report = hub.report("shop").await?;
        if report["phase"] == "Available" { Ok(Some(())) } else { bail!("{report}") }
    })
    .await
}

fn spec(version: &str, image: &str) -> Spec {
    let bundle = Bundle::new().namespace("shop").deployment("web", image);
    Spec::inline(version, &bundle).namespace("shop")
}

pub async fn an_assignment_of_the_hub_is_installed_and_reported(_: &Shared) -> Result<()> {
    let pair = Pair::start("assigns").await?;
    pair.template("1.0.0", READY).await?;
    pair.hub.assign("shop", "shop-1.0.0").await?;
    let foreign = json!([{
        "type": "Available", "status": "True", "reason": "Foreign", "message": "foreign",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    pair.hub.set_conditions("shop", foreign).await?;
    let status = pair.managed.add_on("shop").until_available("1.0.0").await?;

    pair.until_reported("Available").await?;
    let lease = pair.hub.lease("shop").await?;
    let spec = lease.spec.context("no spec")?;
    let started = status.started_time.context("no start")?.0;
    ensure!(spec.acquire_time.context("no acquireTime")?.0 == started);
    ensure!(spec.renew_time.is_some() && spec.lease_transitions == Some(1));
    let owner = lease.metadata.owner_references.unwrap_or_default().pop().context("no owner")?;
    ensure!(owner.kind == "ManagedClusterAddOn" && owner.name == "shop");

    pair.until_condition("Rollout", "True", "Available").await?;
    for kind in ["CurrentVersion", "DesiredVersion"] {
        let kind = format!("lifecycle.open-cluster-management.io/{kind}");
        ensure!(pair.hub.condition("shop", &kind).await?["message"] == "1.0.0");
    }
    ensure!(pair.hub.condition("shop", "Available").await?["reason"] == "Foreign");
    ensure!(pair.hub.condition("shop", "Degraded").await?["status"] == "False");
    ensure!(pair.hub.condition("shop", "Progressing").await?["status"] == "False");
    until("the health lease", REPORT_TIMEOUT, || async {
        let namespace = "open-cluster-management-agent-addon";
        let lease = pair.managed.add_on("shop");
        let lease = lease.object("coordination.k8s.io/v1", "Lease", namespace, "shop").await?;
        Ok(lease.filter(|lease| lease.pointer("/spec/renewTime").is_some()).map(|_| ()))
    })
    .await
}

pub async fn an_offline_rollback_is_reported_once_when_the_hub_is_back(_: &Shared) -> Result<()> {
    let pair = Pair::start("offline").await?;
    let add_on = pair.managed.add_on("shop");
    pair.template("1.0.0", READY).await?;
    pair.hub
        .template("shop", "shop-1.1.0", &spec("1.1.0", NEVER_READY).policy("timeout", "4s"))
        .await?;
    pair.hub.assign("shop", "shop-1.0.0").await?;
    add_on.until_available("1.0.0").await?;
    pair.until_reported("Available").await?;
    pair.hub.assign("shop", "shop-1.1.0").await?;
    add_on.until("to be assigned 1.1.0", |s| s.desired_version.as_deref() == Some("1.1.0")).await?;
    pair.hub.plane.stop_api().await?;
    let before = count_reports(&pair.hub)?;
    let status = add_on.until_phase(Phase::RolledBack).await?;

    pair.hub.plane.start_api().await?;
    let reported = pair.until_reported("RolledBack").await?;
    ensure!(reported["completionTime"] == serde_json::to_value(&status.completion_time)?);
    let condition = pair.until_condition("Rollout", "False", "RolledBack").await?;
    let message = condition["message"].as_str().unwrap_or_default();
    ensure!(message.contains("1.0.0") && message.contains("1.1.0"), "{message}");
    ensure!(pair.hub.condition("shop", "Degraded").await?["status"] == "True");
    // Phases in between, such as RollingBack, are not reported.
    let count = count_reports(&pair.hub)? - before;
    ensure!(count == 1, "{count} reports");
    Ok(())
}

/// Returns how often the add-on's lease was written on the hub.
fn count_reports(hub: &Hub) -> Result<usize> {
    let events = hub.plane.audit()?;
    let writes = events.iter().filter(|event| {
        let verb = event["verb"].as_str().unwrap_or_default();
        event["objectRef"]["resource"] == "leases"
            && event["objectRef"]["name"] == "shop"
            && ["create", "update", "patch"].contains(&verb)
            && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300)
    });
    Ok(writes.count())
}

pub async fn an_assignment_without_a_valid_template_is_rejected_and_changes_nothing(
    _: &Shared,
) -> Result<()> {
    let pair = Pair::start("refused").await?;
    let add_on = pair.managed.add_on("shop");
    pair.template("1.0.0", READY).await?;
    pair.hub.assign("shop", "shop-1.0.0").await?;
    add_on.until_available("1.0.0").await?;

    pair.hub.assign("shop", "shop-9.9.9").await?;
    let reported = pair.until_reported("Rejected").await?;
    ensure!(reported["reason"] == "UnknownTemplate", "{reported}");
    ensure!(reported["currentVersion"] == "1.0.0");
    pair.until_condition("Rollout", "False", "Rejected").await?;

    let bad = spec("not-a-version", READY);
    pair.hub.template("shop", "shop-bad", &bad).await?;
    pair.hub.assign("shop", "shop-bad").await?;
    until("a report of the invalid version", REPORT_TIMEOUT, || async {
        let report = pair.hub.report("shop").await?;
        if report["reason"] == "InvalidVersion" { Ok(Some(())) } else { bail!("{report}") }
    })
    .await?;
    ensure!(add_on.status().await?.phase == Some(Phase::Available));
    pair.hub.assign("shop", "shop-1.0.0").await?;
    pair.until_reported("Available").await?;
    Ok(())
}

pub async fn a_template_with_plain_manifests_becomes_an_inline_bundle(_: &Shared) -> Result<()> {
    let pair = Pair::start("plain").await?;
    let manifests = json!([
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain", "namespace": "shop"}, "data": {"value": "{{ kept }}"}},
    ]);
    pair.hub.template_with("shop", "shop-2.1.0", manifests).await?;
    pair.hub.assign("shop", "shop-2.1.0").await?;
    let add_on = pair.managed.add_on("shop");
    add_on.until_available("2.1.0").await?;
    ensure!(add_on.config("shop", "plain").await?.as_deref() == Some("{{ kept }}"));
    Ok(())
}

pub async fn an_observed_deletion_uninstalls_and_an_absence_does_not(_: &Shared) -> Result<()> {
    let pair = Pair::start("deleted").await?;
    let add_on = pair.managed.add_on("shop");
    pair.template("1.0.0", READY).await?;
    pair.hub.assign("shop", "shop-1.0.0").await?;
    add_on.until_available("1.0.0").await?;

    pair.managed.stop_agent().await?;
    pair.hub.unassign("shop").await?;
    pair.start_agent().await?;
    let is_orphaned = |status: &lifecycle::ManagedAddOnStatus| {
        status.conditions.iter().any(|c| c.type_ == "Orphaned" && c.status == "True")
    };
    add_on.until("to be orphaned", is_orphaned).await?;
    ensure!(add_on.image("shop", "web").await?.is_some(), "uninstalled because of an absence");

    pair.hub.assign("shop", "shop-1.0.0").await?;
    add_on.until("to be assigned again", |status| !is_orphaned(status)).await?;
    pair.hub.unassign("shop").await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("v1", "Namespace", "", "shop").await?.is_none());
    Ok(())
}

pub async fn a_managed_add_on_that_hub_sync_did_not_write_is_left_alone(_: &Shared) -> Result<()> {
    let pair = Pair::start("others").await?;
    let add_on = pair.managed.add_on("shop");
    add_on.assign(&spec("1.0.0", READY)).await?;
    add_on.until_available("1.0.0").await?;
    pair.template("2.0.0", READY).await?;
    pair.hub.assign("shop", "shop-2.0.0").await?;
    let reported = pair.until_reported("Rejected").await?;
    ensure!(reported["currentVersion"] == "1.0.0", "{reported}");
    let object = add_on.get().await?.context("gone")?;
    ensure!(object.spec.version == "1.0.0");
    Ok(())
}

pub async fn the_hub_may_appear_later_and_its_credentials_may_change(_: &Shared) -> Result<()> {
    let (hub, managed) =
        tokio::try_join!(Hub::start("later-hub", "edge"), Managed::start("later"))?;
    let nobody = hub.plane.kubeconfig("nobody", &[])?;
    let kubeconfig = nobody.with_file_name("hub.kubeconfig");
    let path = kubeconfig.to_string_lossy();
    managed.start_agent(&["--hub-kubeconfig", &path, "--cluster-name", "edge"]).await?;
    // Without the file the agent takes local assignments.
    let local = managed.add_on("local");
    local.assign(&Spec::inline("1.0.0", &Bundle::new().namespace("local"))).await?;
    local.until_available("1.0.0").await?;

    hub.template("shop", "shop-1.0.0", &spec("1.0.0", READY)).await?;
    hub.assign("shop", "shop-1.0.0").await?;
    std::fs::write(&kubeconfig, exec_kubeconfig())?;
    until("the agent to reject exec", REPORT_TIMEOUT, || async {
        Ok(managed.agent_log().contains("unsupported exec in the kubeconfig").then_some(()))
    })
    .await?;
    std::fs::copy(&nobody, &kubeconfig)?;
    until("the hub to refuse nobody", REPORT_TIMEOUT, || async {
        let is_refused = hub.plane.audit()?.iter().any(|event| {
            event.pointer("/user/username").is_some_and(|user| user == "nobody")
                && event.pointer("/responseStatus/code").is_some_and(|code| code == 403)
        });
        Ok(is_refused.then_some(()))
    })
    .await?;
    std::fs::copy(hub.kubeconfig()?, &kubeconfig)?;
    managed.add_on("shop").until_available("1.0.0").await?;
    until("the metric to show the connection", REPORT_TIMEOUT, || async {
        let metrics = managed.metrics().await?;
        Ok(metrics.contains("addon_agent_hub_connected 1").then_some(()))
    })
    .await
}

fn exec_kubeconfig() -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "hub",
        "clusters": [{"name": "hub", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "hub", "context": {"cluster": "hub", "user": "agent"}}],
        "users": [{"name": "agent", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}}],
    })
    .to_string()
}
