//! The identities that OCM gave the agents are replaced, and they go on with the new ones.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use kube::api::DeleteParams;
use testbed::Progress;
use testbed::wait::until;

use crate::bed::{Bed, Site, secrets};
use crate::delivery;
use crate::fleet::PATIENCE;

/// By the hand of who replaces them before their time: OCM itself looks every five minutes, and at the end of their life.
pub async fn of_identities(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The agents' certificates for the hub are replaced");
    for site in [&bed.one, &bed.two] {
        let before = used(bed, site)?;
        ensure!(!before.is_empty(), "the agent of {} has asked the hub nothing", site.name);
        secrets(site).delete(delivery::SECRET, &DeleteParams::default()).await?;
        let what = format!("the agent of {} to ask with another certificate", site.name);
        until(&what, PATIENCE, || async {
            let now = used(bed, site)?;
            if now.is_subset(&before) { bail!("{now:?}") } else { Ok(Some(())) }
        })
        .await?;
    }
    progress.line("OCM has signed others, and both agents ask with them");
    Ok(())
}

/// The certificates with which an agent has asked the hub, by the digest by which the API server calls them.
fn used(bed: &Bed, site: &Site) -> Result<BTreeSet<String>> {
    let agent =
        format!("system:open-cluster-management:cluster:{}:addon:{}:", site.name, delivery::ADD_ON);
    let asked = bed.hub.plane.audit_containing(&agent)?;
    let credential = "/user/extra/authentication.kubernetes.io~1credential-id/0";
    let used = asked.iter().filter_map(|event| event.pointer(credential)?.as_str());
    Ok(used.map(str::to_owned).collect())
}
