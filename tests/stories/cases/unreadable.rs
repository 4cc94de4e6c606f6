//! Removals in which something cannot be read: it is kept, and the removal ends.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec, workload};
use testbed::wait::until;

use crate::TIMEOUT;
use crate::harness::Shared;
use crate::prerequisites::{crd, custom_resource};

/// While an aggregated API is down, nobody can say what it has in a namespace.
pub async fn a_namespace_stays_while_an_aggregated_api_is_down(_: &Shared) -> Result<()> {
    let managed = testbed::Managed::start_with_agent("aggregated").await?;
    let name = "shop";
    let add_on = managed.add_on(name);
    managed.plane.apply_yaml(&api_service().to_string()).await?;
    until("discovery to show the API as stale", TIMEOUT, || async {
        let groups = "get --raw /apis/aggregated.example.com/v1";
        Ok(managed.kubectl(groups).await.is_err().then_some(()))
    })
    .await?;
    let bundle = Bundle::new().namespace(name).config("settings", "1");
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.config(name, "settings").await?.is_none(), "the ConfigMap was kept");
    ensure!(add_on.object("v1", "Namespace", "", name).await?.is_some(), "the Namespace went");
    let events =
        managed.kubectl("get events --all-namespaces --field-selector reason=Kept").await?;
    ensure!(events.contains("v1.aggregated.example.com could not be read"), "{events}");
    Ok(())
}

fn api_service() -> Value {
    json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1.aggregated.example.com"},
        "spec": {
            "group": "aggregated.example.com", "version": "v1", "insecureSkipTLSVerify": true,
            "groupPriorityMinimum": 1000, "versionPriority": 15,
            "service": {"namespace": "default", "name": "nobody"},
        },
    })
}

/// Objects are listed as they are stored, so that a conversion webhook which was removed is not needed.
pub async fn an_uninstall_needs_no_conversion_webhook(shared: &Shared) -> Result<()> {
    let name = "converted";
    let add_on = shared.managed().await?.add_on(name);
    let mut definition = crd("Dial", "convert.example.com");
    // The version that is not stored comes first.
    definition["spec"]["versions"][0]["served"] = json!(true);
    definition["spec"]["conversion"] = json!({"strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"],
        "clientConfig": {"service": {"namespace": name, "name": "nobody"}},
    }});
    let dial = custom_resource("Dial", "convert.example.com", "main");
    let bundle = Bundle::new().namespace(name).object(definition).object(dial);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    let definition = add_on
        .object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "",
            "dials.convert.example.com",
        )
        .await?;
    ensure!(definition.is_none(), "the definition was kept");
    Ok(())
}

/// A StatefulSet whose policy deletes its claims is removed without them.
pub async fn claims_stay_although_a_stateful_set_would_take_them_along(
    shared: &Shared,
) -> Result<()> {
    let name = "claimed";
    let managed = shared.managed().await?;
    let add_on = managed.add_on(name);
    let mut set = workload("StatefulSet", "db", READY);
    set["spec"]["persistentVolumeClaimRetentionPolicy"] = json!({"whenDeleted": "Delete"});
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": "claimed",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }]);
    managed.plane.apply_yaml(&super::volume("claimed").to_string()).await?;
    let bundle = Bundle::new().namespace(name).object(set);
    add_on.assign(&Spec::inline("1.0.0", &bundle).namespace(name)).await?;
    add_on.until_available("1.0.0").await?;
    let claim = || add_on.object("v1", "PersistentVolumeClaim", name, "data-db-0");
    until("the StatefulSet to own its claim", TIMEOUT, || async {
        let claim = claim().await?;
        let owners = claim.as_ref().and_then(|claim| claim.pointer("/metadata/ownerReferences"));
        Ok(owners.is_some().then_some(()))
    })
    .await?;
    add_on.delete().await?;
    add_on.until_gone().await?;
    ensure!(add_on.object("apps/v1", "StatefulSet", name, "db").await?.is_none());
    let claim = claim().await?;
    let claim = claim.ok_or_else(|| anyhow::anyhow!("the claim went"))?;
    ensure!(claim.pointer("/metadata/deletionTimestamp").is_none(), "the claim goes");
    ensure!(claim.pointer("/metadata/ownerReferences").is_none(), "{claim}");
    Ok(())
}
