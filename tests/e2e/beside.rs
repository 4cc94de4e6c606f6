//! The other two ways beside a fleet, in the same clusters at the same time: one cluster pinned to a version, and an
//! add-on that only one cluster has, without a ClusterManagementAddOn.

use anyhow::{Result, bail, ensure};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testbed::bundle::{Bundle, READY, Spec};
use testbed::ocm::Fleet;
use testbed::wait::until;

use crate::bed::{Bed, ONE, TWO};
use crate::fleet::{self, PATIENCE, until_available};
use testbed::Telling;

const NOTES: &str = "notes";
const GROUP: &str = "addon.open-cluster-management.io";

pub async fn pinned(telling: &Telling, bed: &Bed) -> Result<()> {
    telling.chapter("One cluster of the fleet is pinned to an earlier version, and let go again");
    let fleet = Fleet::new(&bed.hub, fleet::ADD_ON);
    fleet.pin(TWO, Some("1.0.0")).await?;
    until_available(&bed.two, "1.0.0").await?;
    let one = bed.one.add_on(fleet::ADD_ON).status().await?;
    ensure!(one.current_version.as_deref() == Some("1.1.0"), "cluster one runs {one:?}");
    telling.line("cluster two runs 1.0.0, cluster one still 1.1.0");
    fleet.pin(TWO, None).await?;
    until_available(&bed.two, "1.1.0").await?;
    telling.line("cluster two is back at 1.1.0");
    Ok(())
}

pub async fn stand_alone(telling: &Telling, bed: &Bed) -> Result<()> {
    telling.chapter("Beside it an add-on that has no ClusterManagementAddOn");
    let fleet = Fleet::new(&bed.hub, NOTES);
    for version in ["1.0.0", "1.1.0"] {
        fleet.template(&spec(version)).await?;
    }
    for version in ["1.0.0", "1.1.0"] {
        assign(bed, version).await?;
        bed.one.add_on(NOTES).until_available(version).await?;
        until_reported(bed, version).await?;
        telling.line(&format!("cluster one runs {NOTES} {version}, and the hub knows"));
    }
    bed.hub.add_ons(ONE).delete(NOTES, &DeleteParams::default()).await?;
    bed.one.add_on(NOTES).until_gone().await?;
    telling.line("its ManagedClusterAddOn was deleted, and it is uninstalled");
    Ok(())
}

async fn assign(bed: &Bed, version: &str) -> Result<()> {
    let template = format!("{NOTES}-{version}");
    let config = json!({"group": GROUP, "resource": "addontemplates", "name": template});
    let add_on = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"), "kind": "ManagedClusterAddOn",
        "metadata": {"name": NOTES, "namespace": ONE}, "spec": {"configs": [config]},
    });
    bed.hub.plane.apply_yaml(&add_on.to_string()).await
}

async fn until_reported(bed: &Bed, version: &str) -> Result<()> {
    let kind = "lifecycle.open-cluster-management.io/CurrentVersion";
    until(&format!("the hub to know that {NOTES} runs in {version}"), PATIENCE, || async {
        let add_on = bed.hub.add_on(ONE, NOTES).await?.unwrap_or_default();
        let conditions = add_on["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let current = conditions.iter().find(|condition| condition["type"] == kind);
        match current.map(|condition| &condition["message"]) {
            Some(Value::String(current)) if current == version => Ok(Some(())),
            other => bail!("{other:?}"),
        }
    })
    .await
}

fn spec(version: &str) -> Spec {
    let bundle = Bundle::new().namespace(NOTES).config("notes", version).deployment("notes", READY);
    Spec::inline(version, &bundle).namespace(NOTES)
}
