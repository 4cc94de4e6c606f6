//! What the hub is given so that OCM delivers the agent, and what holds when it takes the agent away again.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use lifecycle::names::FINALIZER;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{AddOn, ControlPlane, Hub, Managed};

use crate::harness::Bed;

const HUB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/hub");
const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/agent");

/// A policy is in force some seconds after it was written.
const IN_FORCE: Duration = Duration::from_secs(60);

pub async fn the_hub_takes_its_manifests(_: &Bed) -> Result<()> {
    let hub = Hub::start("taken-hub", "edge").await?;
    for _ in 0..2 {
        hub.plane.kubectl(&["apply", "--server-side", "--force-conflicts", "-k", HUB]).await?;
    }
    let template = ["get", "addontemplate", "addon-lifecycle-0.1.0", "-o", "json"];
    let template: Value = serde_json::from_str(&hub.plane.kubectl(&template).await?)?;
    let manifests = template.pointer("/spec/agentSpec/workload/manifests");
    let kinds = manifests.and_then(Value::as_array).context("no manifests")?;
    let kinds: BTreeSet<_> =
        kinds.iter().filter_map(|manifest| manifest["kind"].as_str()).collect();
    ensure!(kinds.contains("Deployment") && kinds.contains("Job"), "{kinds:?}");
    Ok(())
}

pub async fn templates_that_no_agent_could_follow_are_refused(_: &Bed) -> Result<()> {
    let hub = Hub::start("refusing-hub", "edge").await?;
    hub.plane.apply_yaml(include_str!("../../manifests/hub/admission.yaml")).await?;
    let refused = |words: &'static str, name: &str, manifests: Value| {
        let (plane, name) = (&hub.plane, name.to_owned());
        async move {
            match plane.apply_yaml(&template(&name, manifests).to_string()).await {
                Ok(()) => bail!("{name} was taken; it should be refused with: {words}"),
                Err(error) => {
                    let told = format!("{error:#}");
                    ensure!(told.contains(words), "{name}: {told}");
                    Ok(())
                }
            }
        }
    };
    let one = |version: &str| add_on("shop", version, json!({"inline": {"manifests": "e30="}}));
    until("the policy to be in force", IN_FORCE, || async {
        hub.plane.kubectl(&["delete", "addontemplate", "--all"]).await?;
        refused("not a semantic version", "shop-v1.0.0", json!([one("v1.0.0")])).await?;
        Ok(Some(()))
    })
    .await?;
    let both =
        json!({"inline": {"manifests": "e30="}, "http": {"url": "https://x", "sha256": "00"}});
    let table = [
        ("\"1.0\" of the ManagedAddOn", "shop-1.0", json!([one("1.0")])),
        (
            "not a semantic version",
            "shop-x",
            json!([{"apiVersion": one("1.0.0")["apiVersion"], "kind": "ManagedAddOn", "metadata": {"name": "shop"}}]),
        ),
        (
            "must be named by add-on and version: \"shop-1.0.0\"",
            "shop-1.0.1",
            json!([one("1.0.0")]),
        ),
        ("needs exactly one of", "shop-1.0.0", json!([add_on("shop", "1.0.0", json!({}))])),
        ("needs exactly one of", "shop-1.0.0", json!([add_on("shop", "1.0.0", both)])),
        (
            "the ManagedAddOn is named \"store\"",
            "shop-1.0.0",
            json!([add_on("store", "1.0.0", one("1.0.0")["spec"]["source"].clone())]),
        ),
        ("carries nothing else", "shop-1.0.0", json!([one("1.0.0"), config_map()])),
        ("carries nothing else", "shop-1.0.0", json!([one("1.0.0"), one("1.0.0")])),
    ];
    for (words, name, manifests) in table {
        refused(words, name, manifests).await?;
    }
    for version in ["1.0.0", "2.0.0-rc.1"] {
        let good = template(&format!("shop-{version}"), json!([one(version)]));
        hub.plane.apply_yaml(&good.to_string()).await.context(version)?;
    }
    let mut edited = one("1.0.0");
    edited["spec"]["policy"] = json!({"soak": "1s"});
    refused("cannot be changed", "shop-1.0.0", json!([edited])).await?;
    refused("cannot be changed", "shop-1.0.0", json!([config_map()])).await?;
    plain_templates_are_left_alone(&hub.plane).await
}

/// As from OCM 1.2 on, where one group of all agents has the rights in each cluster's namespace.
pub async fn an_agent_writes_for_its_own_cluster_only(_: &Bed) -> Result<()> {
    let hub = Hub::start("shared-rights", "edge").await?;
    for manifests in [
        include_str!("../../manifests/hub/rbac.yaml"),
        include_str!("../../manifests/hub/admission.yaml"),
        RIGHTS_OF_ALL,
    ] {
        hub.plane.apply_yaml(manifests).await?;
    }
    until("the policy to be in force", IN_FORCE, || async {
        match as_agent(&hub.plane, "annotate lease shop -n other --overwrite a=b").await {
            Err(error) if format!("{error:#}").contains("its own cluster only") => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await?;
    as_agent(&hub.plane, "annotate lease shop -n edge a=b").await?;
    let status = "patch managedclusteraddon shop -n edge --subresource=status --type=merge -p";
    let given = r#"{"status":{"registrations":[{"signerName":"example.com/signer"}]}}"#;
    let words: Vec<&str> = status.split(' ').chain([given]).collect();
    hub.plane.kubectl(&words).await?;
    let conditions = r#"{"status":{"healthCheck":{"mode":"Lease"}}}"#;
    as_agent(&hub.plane, &format!("{status} {conditions}")).await?;
    for (command, words) in [
        (format!("{status} {{\"status\":{{\"registrations\":[]}}}}"), "registrations"),
        ("annotate lease managed-cluster-lease -n edge a=b".to_owned(), "the klusterlet's"),
    ] {
        let refused = as_agent(&hub.plane, &command).await;
        let told =
            format!("{:#}", refused.err().with_context(|| format!("{command} was let through"))?);
        ensure!(told.contains(words), "{told}");
    }
    Ok(())
}

/// With the groups that OCM's registration agent asks for.
async fn as_agent(plane: &ControlPlane, command: &str) -> Result<String> {
    let groups = ["cluster:edge:addon:addon-lifecycle", "addon:addon-lifecycle"];
    let groups = groups.map(|group| format!("--as-group=system:open-cluster-management:{group}"));
    let who = ["--as=agent", &groups[0], &groups[1]];
    let words: Vec<&str> = who.into_iter().chain(command.split(' ')).collect();
    plane.kubectl(&words).await
}

const RIGHTS_OF_ALL: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: all-agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: addon-lifecycle-agent}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:open-cluster-management:addon:addon-lifecycle'}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: shop, namespace: other}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: shop, namespace: edge}
---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: managed-cluster-lease, namespace: edge}
---
apiVersion: addon.open-cluster-management.io/v1alpha1
kind: ManagedClusterAddOn
metadata: {name: shop, namespace: edge}
spec: {}
";

/// What carries no ManagedAddOn is none of the policy's business.
async fn plain_templates_are_left_alone(plane: &ControlPlane) -> Result<()> {
    for manifests in [json!([config_map()]), json!([config_map(), config_map()])] {
        plane.apply_yaml(&template("anything", manifests).to_string()).await?;
    }
    Ok(())
}

pub async fn removing_the_agent_first_neither_hangs_nor_loses_anything(_: &Bed) -> Result<()> {
    let (managed, shop) = with_shop("farewell", shop_bundle()).await?;
    managed.run_command(&["release-finalizers"]).await?;
    let finalizers = shop.get().await?.context("gone")?.metadata.finalizers.unwrap_or_default();
    ensure!(!finalizers.iter().any(|finalizer| finalizer == FINALIZER), "{finalizers:?}");
    // The agent is still there, as it is until OCM is done with it; it must not hold on again.
    shop.annotate("retry", Some("now")).await?;
    managed.until_unready("another agent", IN_FORCE).await?;
    shop.delete().await?;
    shop.until_gone().await?;
    ensure!(shop.image("shop", "web").await?.is_some(), "the add-on was uninstalled");
    let secrets =
        managed.kubectl("get secrets -n open-cluster-management-agent-addon -o name").await?;
    ensure!(secrets.contains("release-shop-"), "what was retained is lost: {secrets}");

    // The Job that stopped it is gone, and OCM has not taken the agent away yet. It says so for a while only.
    let delete = "delete lease addon-lifecycle-agent -n open-cluster-management-agent-addon";
    let says_so = managed.until_unready("has just been deleted", IN_FORCE);
    tokio::try_join!(says_so, managed.kubectl(delete))?;
    Ok(())
}

/// As docs/install.md says, where OCM did not deliver it: with the definition go the `ManagedAddOn`s, and nobody is left who
/// would uninstall.
pub async fn removed_by_hand_in_the_right_order_it_leaves_what_runs(_: &Bed) -> Result<()> {
    let (managed, shop) = with_shop("by-hand", shop_bundle()).await?;
    managed.run_command(&["release-finalizers"]).await?;
    let delete = ["delete", "--ignore-not-found", "--timeout=60s", "-k", AGENT];
    managed.plane.kubectl(&delete).await?;
    let definitions = managed.kubectl("get crd -o name").await?;
    ensure!(!definitions.contains("managedaddons"), "{definitions}");
    ensure!(shop.image("shop", "web").await?.is_some(), "the add-on was uninstalled");
    Ok(())
}

/// As on a cluster that leaves its hub, where all add-ons go at once.
pub async fn what_is_being_uninstalled_goes_before_the_agent(_: &Bed) -> Result<()> {
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
    });
    let (managed, shop) = with_shop("leaving", shop_bundle().object(held)).await?;
    shop.delete().await?;
    shop.until_phase(Phase::Removing).await?;

    let command = ["release-finalizers"];
    let let_go = async {
        until("the command to wait", IN_FORCE, || async {
            let log = std::fs::read_to_string(managed.command_log(&command)).unwrap_or_default();
            Ok(log.contains("waiting for the agent to uninstall").then_some(()))
        })
        .await?;
        let free =
            r#"patch configmap held -n shop --type merge -p {"metadata":{"finalizers":null}}"#;
        managed.kubectl(free).await
    };
    tokio::try_join!(managed.run_command(&command), let_go)?;
    shop.until_gone().await?;
    ensure!(shop.image("shop", "web").await?.is_none(), "the add-on is still there");
    Ok(())
}

/// An add-on that runs, and the agent that brought it.
async fn with_shop(cluster: &str, bundle: Bundle) -> Result<(Managed, AddOn)> {
    let managed = Managed::start_with_agent(cluster).await?;
    let shop = managed.add_on("shop");
    shop.assign(&Spec::inline("1.0.0", &bundle).namespace("shop")).await?;
    shop.until_available("1.0.0").await?;
    Ok((managed, shop))
}

fn shop_bundle() -> Bundle {
    Bundle::new().namespace("shop").deployment("web", READY)
}

fn template(name: &str, manifests: Value) -> Value {
    json!({
        "apiVersion": "addon.open-cluster-management.io/v1alpha1", "kind": "AddOnTemplate",
        "metadata": {"name": name},
        "spec": {"addonName": "shop", "agentSpec": {"workload": {"manifests": manifests}}},
    })
}

fn add_on(name: &str, version: &str, source: Value) -> Value {
    json!({
        "apiVersion": "lifecycle.open-cluster-management.io/v1alpha1", "kind": "ManagedAddOn",
        "metadata": {"name": name},
        "spec": {"version": version, "source": source},
    })
}

fn config_map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain", "namespace": "shop"}})
}
