//! Reads on the hub what a `ManagedClusterAddOn` asks for.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::{Api, Client};
use lifecycle::{Fault, Reason};

use crate::assignments::template;
use crate::assignments::tracker::Lookup;
use crate::kube_error::{is_forbidden, is_not_found};
use crate::ocm::{AddOnTemplate, ClusterManagementAddOn, ManagedClusterAddOn};

/// Lookups at the same time, for the moment in which all are new: the link may be slow.
const CONCURRENT_LOOKUPS: usize = 4;

/// Looks several up at the same time; the order of the results is open. An error is of the connection: it will pass.
pub fn look_up_all(
    hub: &Client,
    mcas: Vec<Arc<ManagedClusterAddOn>>,
) -> impl Stream<Item = (Arc<ManagedClusterAddOn>, kube::Result<Lookup>)> {
    let lookups = mcas.into_iter().map(async |mca| {
        let lookup = look_up(hub, &mca).await;
        (mca, lookup)
    });
    futures::stream::iter(lookups).buffer_unordered(CONCURRENT_LOOKUPS)
}

async fn look_up(hub: &Client, mca: &ManagedClusterAddOn) -> kube::Result<Lookup> {
    if let Err(fault) = template::check_name(mca.name()) {
        return Ok(Lookup::Rejected { fault, version: None });
    }
    match is_fleet(hub, mca).await {
        Ok(true) => return Ok(Lookup::Fleet),
        Ok(false) => {}
        Err(error) => {
            let fault = forbidden(&format!("the ClusterManagementAddOn {}", mca.name()), error)?;
            return Ok(Lookup::Rejected { fault, version: None });
        }
    }
    look_up_template(hub, mca).await
}

async fn is_fleet(hub: &Client, mca: &ManagedClusterAddOn) -> kube::Result<bool> {
    if mca.is_owned_by_fleet() {
        return Ok(true);
    }
    let api: Api<ClusterManagementAddOn> = Api::all(hub.clone());
    Ok(api.get_metadata_opt(mca.name()).await?.is_some())
}

async fn look_up_template(hub: &Client, mca: &ManagedClusterAddOn) -> kube::Result<Lookup> {
    let name = match template::template_name(mca) {
        Ok(Some(name)) => name,
        Ok(None) => return Ok(Lookup::NoTemplate),
        Err(fault) => return Ok(Lookup::Rejected { fault, version: None }),
    };
    let version = template::version_in_name(mca.name(), name).map(str::to_owned);
    let fault = match Api::<AddOnTemplate>::all(hub.clone()).get(name).await {
        Ok(template) => match template::desired_add_on(mca, &template) {
            Ok(desired) => return Ok(Lookup::Desired(desired)),
            Err(fault) => fault,
        },
        Err(error) if is_not_found(&error) => {
            let message = format!("the hub has no AddOnTemplate {name}");
            Fault::new(Reason::UnknownTemplate, message)
        }
        Err(error) => forbidden(&format!("the AddOnTemplate {name}"), error)?,
    };
    Ok(Lookup::Rejected { fault, version })
}

/// Returns the fault for a missing permission, which the hub's owner has to grant. Other errors will pass.
fn forbidden(object: &str, error: kube::Error) -> kube::Result<Fault> {
    let message = format!("the agent has no permission to read {object} on the hub");
    if is_forbidden(&error) { Ok(Fault::new(Reason::Forbidden, message)) } else { Err(error) }
}
