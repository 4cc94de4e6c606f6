//! Whether what the klusterlet removes here was to be removed. Only the hub can tell, so that nothing is removed before
//! it was asked; it says so on the `ManagedAddOn`, for the agent.
//!
//! A deletion on the hub leaves the `ManifestWork` there, going away, until its last object is gone here. One that is not
//! there at all was lost: the hub was restored from a backup, or is another one. And the klusterlet's own records are no
//! proof: OCM 1.0 deletes what is in a work when it cannot ask its API server for the kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch};
use kube::{Api, Client, ResourceExt};
use lifecycle::names::annotation;
use lifecycle::{DeletionIntent, EVICTED, ManagedAddOn, ORDERED, applied_manifest_works};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::backoff::CONNECT;
use crate::kube_error::{chain, in_time, is_absent, is_not_found};
use crate::names::by_us;
use crate::{AddOns, HubLink, changed, recovered};

/// SHA-256 of the hub's address in hex, with which the klusterlet begins its records' names.
const HUB_HASH: usize = 64;

/// Who is asked.
pub struct RemovalIntentTask {
    works: Api<DynamicObject>,
    records: Api<DynamicObject>,
    add_ons: Api<ManagedAddOn>,
}

/// A `ManagedAddOn` that is being deleted, and nobody knows yet on whose order.
#[derive(Clone, Debug, PartialEq)]
struct Question {
    name: String,
    uid: String,
    records: Vec<Record>,
}

/// By which the klusterlet remembers what it brought.
#[derive(Clone, Debug, PartialEq)]
struct Record {
    name: String,
    uid: String,
}

impl RemovalIntentTask {
    pub fn new(hub: Client, cluster: &str, managed: Client) -> Self {
        Self {
            works: Api::namespaced_with(hub, cluster, &work_api("ManifestWork")),
            records: Api::all_with(managed.clone(), &work_api("AppliedManifestWork")),
            add_ons: Api::all(managed),
        }
    }

    /// Works for good.
    pub async fn follow(
        self,
        mut add_ons: watch::Receiver<AddOns>,
        mut link: watch::Receiver<HubLink>,
    ) {
        let mut failures = 0;
        loop {
            let asked = questions(&add_ons.borrow_and_update().clone());
            failures = if self.answer_all(asked, failures).await { 0 } else { failures + 1 };
            let pause = CONNECT.delay(failures, fastrand::f64());
            tokio::select! {
                () = changed(&mut add_ons) => {}
                () = tokio::time::sleep(pause), if failures > 0 => {}
                () = recovered(&mut link), if failures > 0 => {}
            }
        }
    }

    async fn answer_all(&self, asked: Vec<Question>, failures: u32) -> bool {
        let mut all_done = true;
        for question in asked {
            match self.answer(&question).await {
                Ok(()) => {}
                Err(error) if is_not_found(&error) => {
                    debug!(add_on = question.name, "gone already")
                }
                Err(error) => {
                    all_done = false;
                    complain(&question.name, &chain(&error), failures);
                }
            }
        }
        all_done
    }

    async fn answer(&self, question: &Question) -> kube::Result<()> {
        let ordered = self.is_ordered(question).await?;
        let said = if ordered { ORDERED } else { EVICTED };
        let patch =
            json!({"metadata": {"uid": question.uid, "annotations": {annotation::REMOVAL: said}}});
        let params = by_us();
        let patch = Patch::Merge(&patch);
        in_time(self.add_ons.patch_metadata(&question.name, &params, &patch)).await?;
        info!(add_on = question.name, said, "learned whether a removal was ordered");
        Ok(())
    }

    async fn is_ordered(&self, question: &Question) -> kube::Result<bool> {
        let mut said = Vec::new();
        for record in &question.records {
            said.push(self.ask(record, &question.name).await?);
        }
        Ok(is_order(&said))
    }

    /// The whole work, with its bundles, is only read where its metadata do not tell.
    async fn ask(&self, record: &Record, add_on: &str) -> kube::Result<Said> {
        let Some(name) = work_name(&record.name) else { return Ok(Said::Nothing) };
        let work = match self.works.get_metadata(name).await {
            Ok(work) if work.metadata.deletion_timestamp.is_some() => return Ok(Said::Going),
            Ok(_) if !self.lives(record).await? => return Ok(Said::Nothing),
            Ok(_) => self.works.get(name).await,
            Err(error) => Err(error),
        };
        match work {
            Ok(work) if carries(&work, add_on) => Ok(Said::Carried),
            Ok(_) => Ok(Said::Dropped),
            Err(error) if is_absent(&error, name) => Ok(Said::Nothing),
            Err(error) => Err(error),
        }
    }

    /// The klusterlet keeps it.
    async fn lives(&self, record: &Record) -> kube::Result<bool> {
        match in_time(self.records.get_metadata(&record.name)).await {
            Ok(found) => {
                let same = found.metadata.uid.as_ref() == Some(&record.uid);
                Ok(same && found.metadata.deletion_timestamp.is_none())
            }
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// What the hub says of a record's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Going,
    /// It lives on both sides, and has the `ManagedAddOn` no more.
    Dropped,
    Carried,
    /// It is not there, or the klusterlet does not keep it: no proof of an order.
    Nothing,
}

fn is_order(said: &[Said]) -> bool {
    let dropped = said.contains(&Said::Dropped) && !said.contains(&Said::Carried);
    said.contains(&Said::Going) || dropped
}

fn carries(work: &DynamicObject, add_on: &str) -> bool {
    let manifests = work.data.pointer("/spec/workload/manifests").and_then(Value::as_array);
    manifests.into_iter().flatten().any(|manifest| {
        manifest["kind"] == "ManagedAddOn" && manifest["metadata"]["name"] == add_on
    })
}

fn questions(add_ons: &BTreeMap<String, Arc<ManagedAddOn>>) -> Vec<Question> {
    let unclear = add_ons
        .values()
        .filter(|add_on| DeletionIntent::read(add_on) == DeletionIntent::Unconfirmed);
    unclear.filter_map(|add_on| question(add_on)).collect()
}

fn question(add_on: &ManagedAddOn) -> Option<Question> {
    let records = applied_manifest_works(add_on)
        .map(|(name, uid)| Record { name: name.to_owned(), uid: uid.to_owned() })
        .collect();
    Some(Question { name: add_on.name_any(), uid: add_on.uid()?, records })
}

/// The `ManifestWork` that a record is of: `<hash of the hub>-<name>`.
fn work_name(record: &str) -> Option<&str> {
    let (hash, name) = record.split_at_checked(HUB_HASH)?;
    let hex = hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_prefix('-').filter(|name| hex && !name.is_empty())
}

fn work_api(kind: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("work.open-cluster-management.io", "v1", kind);
    ApiResource::from_gvk(&kind)
}

fn complain(add_on: &str, error: &str, failures: u32) {
    match failures {
        0 => warn!(add_on, error, "cannot learn whether a removal was ordered; waiting"),
        _ => debug!(add_on, error, "cannot learn yet whether a removal was ordered"),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;
    use crate::fixtures::local;

    #[test]
    fn only_what_is_in_doubt_is_asked() {
        let mut going = local("shop");
        going.metadata.owner_references = Some(vec![OwnerReference {
            kind: "AppliedManifestWork".to_owned(),
            name: format!("{}-addon-shop-deploy-0", "a".repeat(64)),
            uid: "w1".to_owned(),
            ..OwnerReference::default()
        }]);
        let asked = |add_on: &ManagedAddOn| {
            questions(&BTreeMap::from([("shop".to_owned(), Arc::new(add_on.clone()))])).len()
        };
        assert_eq!(asked(&going), 0);
        going.metadata.deletion_timestamp = Some(jiff::Timestamp::UNIX_EPOCH.into());
        assert_eq!(asked(&going), 1);
        going.annotations_mut().insert(annotation::REMOVAL.to_owned(), ORDERED.to_owned());
        assert_eq!(asked(&going), 0);
    }

    #[test]
    fn absence_is_no_order_and_what_another_work_carries_is_not_dropped() {
        use Said::{Carried, Dropped, Going, Nothing};
        for (said, order) in [
            (&[][..], false),
            (&[Nothing], false),
            (&[Carried], false),
            (&[Going], true),
            (&[Dropped], true),
            (&[Nothing, Dropped], true),
            (&[Dropped, Carried], false),
            (&[Carried, Going], true),
        ] {
            assert_eq!(is_order(said), order, "{said:?}");
        }
    }

    #[test]
    fn a_work_says_what_it_carries() {
        let api = work_api("ManifestWork");
        let work = |manifests: Value| {
            DynamicObject::new("w", &api)
                .data(json!({"spec": {"workload": {"manifests": manifests}}}))
        };
        let shop = json!({"kind": "ManagedAddOn", "metadata": {"name": "shop"}});
        let namesake = json!({"kind": "ConfigMap", "metadata": {"name": "shop"}});
        assert!(carries(&work(json!([namesake, shop])), "shop"));
        for manifests in [json!([]), json!(null), json!([namesake])] {
            assert!(!carries(&work(manifests), "shop"));
        }
    }

    #[test]
    fn a_record_tells_its_work_by_its_name() {
        let hash = "0f".repeat(32);
        assert_eq!(work_name(&format!("{hash}-addon-shop-deploy-0")), Some("addon-shop-deploy-0"));
        for other in ["", "shop", &hash, &format!("{hash}-"), &format!("{}-shop", "z".repeat(64))] {
            assert_eq!(work_name(other), None, "{other}");
        }
    }
}
