//! The delivery of the agent by OCM: the manifests for the hub, their admission policies, and the removal of the agent.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::Phase;
use lifecycle::names::FINALIZER;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec};
use testbed::wait::until;
use testbed::{AddOn, ControlPlane, Hub, Managed};

use crate::harness::Shared;

const HUB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/hub");
const AGENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/agent");

/// Longest time until a new admission policy takes effect.
const POLICY_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn the_hub_accepts_its_manifests(_: &Shared) -> Result<()> {
    let hub = Hub::start("accepting-hub", "edge").await?;
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

pub async fn templates_that_no_agent_could_use_are_refused(_: &Shared) -> Result<()> {
    let hub = Hub::start("refusing-hub", "edge").await?;
    hub.plane.apply_yaml(include_str!("../../manifests/hub/admission.yaml")).await?;
    let expect_refusal = |words: &'static str, name: &str, manifests: Value| {
        let (plane, name) = (&hub.plane, name.to_owned());
        async move {
            match plane.apply_yaml(&template(&name, manifests).to_string()).await {
                Ok(()) => bail!("{name} was accepted; it should be refused with: {words}"),
                Err(error) => {
                    let message = format!("{error:#}");
                    ensure!(message.contains(words), "{name}: {message}");
                    Ok(())
                }
            }
        }
    };
    let one = |version: &str| add_on("shop", version, json!({"inline": {"manifests": "e30="}}));
    until("the policy to take effect", POLICY_TIMEOUT, || async {
        hub.plane.kubectl(&["delete", "addontemplate", "--all"]).await?;
        expect_refusal("not a semantic version", "shop-v1.0.0", json!([one("v1.0.0")])).await?;
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
        expect_refusal(words, name, manifests).await?;
    }
    for version in ["1.0.0", "2.0.0-rc.1"] {
        let valid = template(&format!("shop-{version}"), json!([one(version)]));
        hub.plane.apply_yaml(&valid.to_string()).await.context(version)?;
    }
    let mut edited = one("1.0.0");
    edited["spec"]["policy"] = json!({"soak": "1s"});
    expect_refusal("cannot be changed", "shop-1.0.0", json!([edited])).await?;
    expect_refusal("cannot be changed", "shop-1.0.0", json!([config_map()])).await?;
    check_plain_templates(&hub.plane).await
}

/// From OCM 1.2 on, one group of all agents has the permissions in each cluster's namespace.
pub async fn an_agent_writes_for_its_own_cluster_only(_: &Shared) -> Result<()> {
    let hub = Hub::start("shared-rights", "edge").await?;
    for manifests in [
        include_str!("../../manifests/hub/rbac.yaml"),
        include_str!("../../manifests/hub/admission.yaml"),
        RIGHTS_OF_ALL,
    ] {
        hub.plane.apply_yaml(manifests).await?;
    }
    until("the policy to take effect", POLICY_TIMEOUT, || async {
        match as_agent(&hub.plane, "annotate lease shop -n other --overwrite a=b").await {
            Err(error) if format!("{error:#}").contains("its own cluster only") => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await?;
    as_agent(&hub.plane, "annotate lease shop -n edge a=b").await?;
    let status = "patch managedclusteraddon shop -n edge --subresource=status --type=merge -p";
    let registration = r#"{"status":{"registrations":[{"signerName":"example.com/signer"}]}}"#;
    let words: Vec<&str> = status.split(' ').chain([registration]).collect();
    hub.plane.kubectl(&words).await?;
    let conditions = r#"{"status":{"healthCheck":{"mode":"Lease"}}}"#;
    as_agent(&hub.plane, &format!("{status} {conditions}")).await?;
    for (command, words) in [
        (format!("{status} {{\"status\":{{\"registrations\":[]}}}}"), "registrations"),
        ("annotate lease managed-cluster-lease -n edge a=b".to_owned(), "the klusterlet's"),
    ] {
        let result = as_agent(&hub.plane, &command).await;
        let error = result.err().with_context(|| format!("{command} was accepted"))?;
        let message = format!("{error:#}");
        ensure!(message.contains(words), "{message}");
    }
    Ok(())
}

/// Runs kubectl with the groups that OCM's registration agent requests.
async fn as_agent(plane: &ControlPlane, command: &str) -> Result<String> {
    let groups = ["cluster:edge:addon:addon-lifecycle", "addon:addon-lifecycle"];
    let groups = groups.map(|group| format!("--as-group=system:open-cluster-management:{group}"));
    let identity = ["--as=agent", &groups[0], &groups[1]];
    let words: Vec<&str> = identity.into_iter().chain(command.split(' ')).collect();
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

/// The policy accepts every template without a ManagedAddOn.
async fn check_plain_templates(plane: &ControlPlane) -> Result<()> {
    for manifests in [json!([config_map()]), json!([config_map(), config_map()])] {
        plane.apply_yaml(&template("anything", manifests).to_string()).await?;
    }
    Ok(())
}

pub async fn removing_the_agent_first_neither_hangs_nor_loses_anything(_: &Shared) -> Result<()> {
    let (managed, shop) = install_shop("farewell", shop_bundle()).await?;
    managed.run_command(&["release-finalizers"]).await?;
    let finalizers = shop.get().await?.context("gone")?.metadata.finalizers.unwrap_or_default();
    ensure!(!finalizers.iter().any(|finalizer| finalizer == FINALIZER), "{finalizers:?}");
    // The agent still runs, as it does until OCM has removed it. It must not add its finalizer again.
    shop.annotate("retry", Some("now")).await?;
    managed.until_unready("another agent", POLICY_TIMEOUT).await?;
    shop.delete().await?;
    shop.until_gone().await?;
    ensure!(shop.image("shop", "web").await?.is_some(), "the add-on was uninstalled");
    let secrets =
        managed.kubectl("get secrets -n open-cluster-management-agent-addon -o name").await?;
    ensure!(secrets.contains("release-shop-"), "the retained release is lost: {secrets}");

    // The Job that stopped the agent is gone, and OCM has not removed the agent yet. That is reported for a while only.
    let delete = "delete lease addon-lifecycle-agent -n open-cluster-management-agent-addon";
    let reported = managed.until_unready("has just been deleted", POLICY_TIMEOUT);
    tokio::try_join!(reported, managed.kubectl(delete))?;
    Ok(())
}

/// The steps of docs/install.md for an agent that OCM did not deliver. The deletion of the CRD deletes the `ManagedAddOn`s,
/// and no agent is left to uninstall.
pub async fn an_agent_that_is_removed_by_hand_leaves_its_add_ons_running(_: &Shared) -> Result<()> {
    let (managed, shop) = install_shop("by-hand", shop_bundle()).await?;
    managed.run_command(&["release-finalizers"]).await?;
    let delete = ["delete", "--ignore-not-found", "--timeout=60s", "-k", AGENT];
    managed.plane.kubectl(&delete).await?;
    let crds = managed.kubectl("get crd -o name").await?;
    ensure!(!crds.contains("managedaddons"), "{crds}");
    ensure!(shop.image("shop", "web").await?.is_some(), "the add-on was uninstalled");
    Ok(())
}

/// On a cluster that leaves its hub all add-ons are removed at once.
pub async fn running_uninstalls_finish_before_the_agent_is_removed(_: &Shared) -> Result<()> {
    let held = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
    });
    let (managed, shop) = install_shop("leaving", shop_bundle().object(held)).await?;
    shop.delete().await?;
    shop.until_phase(Phase::Removing).await?;

    let command = ["release-finalizers"];
    let unblock = async {
        until("the command to wait", POLICY_TIMEOUT, || async {
            let log = std::fs::read_to_string(managed.command_log(&command)).unwrap_or_default();
            Ok(log.contains("waiting for the agent to uninstall").then_some(()))
        })
        .await?;
        let patch =
            r#"patch configmap held -n shop --type merge -p {"metadata":{"finalizers":null}}"#;
        managed.kubectl(patch).await
    };
    tokio::try_join!(managed.run_command(&command), unblock)?;
    shop.until_gone().await?;
    ensure!(shop.image("shop", "web").await?.is_none(), "the add-on was not uninstalled");
    Ok(())
}

/// Starts an agent and installs an add-on.
async fn install_shop(cluster: &str, bundle: Bundle) -> Result<(Managed, AddOn)> {
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
