//! The identities that OCM gave the agents end, and new ones take their place; the chapters after it show that they serve.

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest as Request;
use kube::Api;
use kube::api::ListParams;
use testbed::Telling;
use testbed::wait::until;

use crate::bed::{Bed, IDENTITIES_LAST, LASTING, ONE, TWO};
use crate::delivery;
use crate::fleet::PATIENCE;

pub async fn of_identities(telling: &Telling, bed: &Bed) -> Result<()> {
    telling.chapter(&format!(
        "The agents' certificates for the hub last {IDENTITIES_LAST}, and the first are over"
    ));
    let requests: Api<Request> = Api::all(bed.hub.plane.admin());
    for cluster in [ONE, TWO] {
        let label = "open-cluster-management.io";
        let of_agent =
            format!("{label}/addon-name={},{label}/cluster-name={cluster}", delivery::ADD_ON);
        until(&format!("the first identity on {cluster} to be over"), PATIENCE, || async {
            let found = requests.list(&ListParams::default().labels(&of_agent)).await?.items;
            let ages: Vec<_> = found.iter().filter(|it| is_issued(it)).filter_map(age).collect();
            let over = ages.iter().filter(|age| **age > LASTING).count();
            if over > 0 && over < ages.len() { Ok(Some(())) } else { bail!("{ages:?}") }
        })
        .await?;
    }
    telling.line("OCM has signed others for both");
    Ok(())
}

fn is_issued(request: &Request) -> bool {
    request.status.as_ref().is_some_and(|status| status.certificate.is_some())
}

fn age(request: &Request) -> Option<SignedDuration> {
    let asked = request.metadata.creation_timestamp.as_ref()?.0;
    Some(Timestamp::now().duration_since(asked))
}
