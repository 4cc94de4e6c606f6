//! OCM replaces the certificates of the agents for the hub, and the agents continue with the new ones.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use kube::api::DeleteParams;
use testbed::Progress;
use testbed::wait::until;

use crate::bed::{Bed, Cluster, secrets};
use crate::delivery;
use crate::fleet::TIMEOUT;

/// The deletion of the Secret makes OCM sign a certificate at once. By itself it does so at the end of a certificate's life.
pub async fn renew_certificates(progress: &Progress, bed: &Bed) -> Result<()> {
    progress.heading("The agents' certificates for the hub are replaced");
    for cluster in [&bed.one, &bed.two] {
        let before = credentials_in_use(bed, cluster)?;
        ensure!(!before.is_empty(), "the agent of {} sent no request to the hub", cluster.name);
        secrets(cluster).delete(delivery::SECRET, &DeleteParams::default()).await?;
        let what = format!("the agent of {} to use another certificate", cluster.name);
        until(&what, TIMEOUT, || async {
            let now = credentials_in_use(bed, cluster)?;
            if now.is_subset(&before) { bail!("{now:?}") } else { Ok(Some(())) }
        })
        .await?;
    }
    progress.line("OCM has signed new certificates, and both agents use them");
    Ok(())
}

/// Returns the certificates that an agent used on the hub, by the digest with which the API server identifies them.
fn credentials_in_use(bed: &Bed, cluster: &Cluster) -> Result<BTreeSet<String>> {
    let agent = format!(
        "system:open-cluster-management:cluster:{}:addon:{}:",
        cluster.name,
        delivery::ADD_ON
    );
    let events = bed.hub.plane.audit_containing(&agent)?;
    let credential = "/user/extra/authentication.kubernetes.io~1credential-id/0";
    let credentials = events.iter().filter_map(|event| event.pointer(credential)?.as_str());
    Ok(credentials.map(str::to_owned).collect())
}
