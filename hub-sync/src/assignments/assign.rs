//! Brings what the hub asks for into `ManagedAddOn`s. Everything is decided elsewhere; here it is read and written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use lifecycle::names::annotation::{MCA_UID, ORPHANED};
use lifecycle::names::label;
use lifecycle::spec::duration::whole_seconds;
use lifecycle::{Fault, ManagedAddOn, Reason};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::assignments::outcome::Standings;
use crate::assignments::ownership::{self, Act};
use crate::assignments::template::{self, Wanted, invalid};
use crate::assignments::tracker::{Found, Tracker, Written};
use crate::backoff::IDLE;
use crate::hub_state::HubState;
use crate::kube_error::{chain, in_time, is_conflict, is_forbidden, is_not_found, refusal};
use crate::names::{FIELD_MANAGER, by_us};
use crate::ocm::{AddOnTemplate, ClusterManagementAddOn, ManagedClusterAddOn};
use crate::{AddOns, changed};

/// Templates read at the same time, when all are new: an edge link is thin.
const AT_ONCE: usize = 4;

/// Before trying again what the managed cluster's own API server did not answer.
const LOCAL_REST: Duration = Duration::from_secs(1);

/// What to read from and write to.
pub struct AssignTask {
    hub: Client,
    managed: Api<ManagedAddOn>,
}

impl AssignTask {
    pub fn new(hub: Client, managed: Client) -> Self {
        Self { hub, managed: Api::all(managed) }
    }

    /// Works for good.
    pub async fn follow(
        self,
        mut picture: watch::Receiver<HubState>,
        mut add_ons: watch::Receiver<AddOns>,
        standings: watch::Sender<Standings>,
    ) {
        let mut cases = Cases::new();
        loop {
            let began = Instant::now();
            let hub = picture.borrow_and_update().clone();
            let here = add_ons.borrow_and_update().clone();
            let all_done = self.carry_out(ownership::acts(&hub, &here)).await;
            notice(&mut cases, &hub);
            self.look_up(&mut cases, &hub).await;
            self.write(&mut cases, &hub, &here).await;
            tell(&cases, &standings);
            tokio::select! {
                () = changed(&mut picture) => {}
                () = changed(&mut add_ons) => {}
                () = tokio::time::sleep_until(next(&cases, began, all_done)) => {}
            }
        }
    }

    async fn carry_out(&self, acts: Vec<Act>) -> bool {
        let mut all_done = true;
        for act in acts {
            all_done &= self.act(act).await;
        }
        all_done
    }

    /// Whether it is done.
    async fn act(&self, act: Act) -> bool {
        let done = match &act {
            Act::Delete { name, uid } => self.delete(name, uid).await,
            Act::Orphan { name, uid, why } => {
                self.annotate(name, uid, json!({ORPHANED: why})).await
            }
            Act::Follow { name, uid, mca_uid } => {
                self.annotate(name, uid, json!({ORPHANED: null, MCA_UID: mca_uid})).await
            }
            Act::HandOver { name, uid } => {
                let (labels, notes) =
                    (json!({label::WRITTEN_BY: null}), json!({ORPHANED: null, MCA_UID: null}));
                self.mark(name, json!({"uid": uid, "labels": labels, "annotations": notes})).await
            }
        };
        match done {
            Ok(()) => info!(?act, "followed the hub"),
            // Done by somebody else, if it is so: then the watch will say it.
            Err(error) if is_not_found(&error) || is_conflict(&error) => return false,
            Err(error) => {
                warn!(?act, error = chain(&error), "cannot follow the hub, will try again");
                return false;
            }
        }
        true
    }

    /// Only the one that was meant; the agent's finalizer makes an orderly uninstall of it.
    async fn delete(&self, name: &str, uid: &str) -> kube::Result<()> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        in_time(self.managed.delete(name, &params)).await.map(drop)
    }

    async fn annotate(&self, name: &str, uid: &str, annotations: Value) -> kube::Result<()> {
        self.mark(name, json!({"uid": uid, "annotations": annotations})).await
    }

    async fn mark(&self, name: &str, metadata: Value) -> kube::Result<()> {
        let patch = json!({"metadata": metadata});
        let params = by_us();
        in_time(self.managed.patch_metadata(name, &params, &Patch::Merge(&patch))).await.map(drop)
    }

    async fn look_up(&self, cases: &mut Cases, hub: &HubState) {
        let now = Instant::now();
        let due = cases.iter().filter(|(_, case)| case.wants_lookup(now));
        let due: Vec<_> = due.filter_map(|(name, _)| hub.mcas.get(name).cloned()).collect();
        let looks = due.into_iter().map(|mca| self.look(mca));
        let mut looks = futures::stream::iter(looks).buffer_unordered(AT_ONCE);
        while let Some((mca, found)) = looks.next().await {
            let Some(case) = cases.get_mut(mca.name()) else { continue };
            match found {
                Ok(found) => {
                    case.take(found, now, whole_seconds(Timestamp::now()), fastrand::f64())
                }
                Err(error) => {
                    let error = chain(&error);
                    warn!(
                        add_on = mca.name(),
                        error, "cannot read what is asked for, will try again"
                    );
                    case.rest(Instant::now(), fastrand::f64());
                }
            }
        }
    }

    async fn look(
        &self,
        mca: Arc<ManagedClusterAddOn>,
    ) -> (Arc<ManagedClusterAddOn>, kube::Result<Found>) {
        let found = self.find(&mca).await;
        (mca, found)
    }

    async fn find(&self, mca: &ManagedClusterAddOn) -> kube::Result<Found> {
        if let Err(fault) = template::permit_name(mca.name()) {
            return Ok(Found::Refused { fault, version: None });
        }
        match self.is_fleet(mca).await {
            Ok(true) => return Ok(Found::Fleet),
            Ok(false) => {}
            Err(error) => {
                let what = format!("the ClusterManagementAddOn {}", mca.name());
                return Ok(Found::Refused { fault: unreadable(&what, error)?, version: None });
            }
        }
        self.find_template(mca).await
    }

    async fn find_template(&self, mca: &ManagedClusterAddOn) -> kube::Result<Found> {
        let name = match template::template_name(mca) {
            Ok(Some(name)) => name,
            Ok(None) => return Ok(Found::Nothing),
            Err(fault) => return Ok(Found::Refused { fault, version: None }),
        };
        let version = template::version_in_name(mca.name(), name).map(str::to_owned);
        let fault = match Api::<AddOnTemplate>::all(self.hub.clone()).get(name).await {
            Ok(template) => match template::read(mca, &template) {
                Ok(wanted) => return Ok(Found::Wanted(wanted)),
                Err(fault) => fault,
            },
            Err(error) if is_not_found(&error) => {
                let message = format!("the hub has no AddOnTemplate {name}");
                Fault::new(Reason::UnknownTemplate, message)
            }
            Err(error) => unreadable(&format!("the AddOnTemplate {name}"), error)?,
        };
        Ok(Found::Refused { fault, version })
    }

    async fn is_fleet(&self, mca: &ManagedClusterAddOn) -> kube::Result<bool> {
        if mca.is_owned_by_fleet() {
            return Ok(true);
        }
        let api: Api<ClusterManagementAddOn> = Api::all(self.hub.clone());
        Ok(api.get_metadata_opt(mca.name()).await?.is_some())
    }

    async fn write(&self, cases: &mut Cases, hub: &HubState, here: &AddOns) {
        for (name, case) in cases {
            let existing = here.get(name).map(Arc::as_ref);
            let (now, time) = (Instant::now(), whole_seconds(Timestamp::now()));
            let Some(wanted) = case.next_write(existing, &hub.deleted, now, time) else { continue };
            match self.apply(&wanted).await {
                Ok(written) => case.wrote(written),
                Err(Unwritten::Refused(fault)) => case.refused(fault, wanted.version, time),
                Err(Unwritten::Trouble(error)) => {
                    warn!(add_on = name, error, "cannot write the ManagedAddOn, will try again");
                    case.rest(Instant::now(), fastrand::f64());
                }
            }
        }
    }

    /// Looks once more before writing: what the watch has not shown yet may be somebody's own.
    async fn apply(&self, wanted: &Wanted) -> Result<Written, Unwritten> {
        let existing = in_time(self.managed.get_opt(&wanted.name)).await?;
        ownership::permit(existing.as_ref()).map_err(|fault| Unwritten::Trouble(fault.message))?;
        let mut object = wanted.object.clone();
        if let Some(existing) = &existing {
            object["metadata"]["uid"] = json!(existing.uid());
        }
        let params = PatchParams::apply(FIELD_MANAGER).force().validation_strict();
        let patch = Patch::Apply(&object);
        let written = in_time(self.managed.patch(&wanted.name, &params, &patch)).await?;
        if existing.and_then(|existing| existing.metadata.generation) != written.metadata.generation
        {
            info!(add_on = wanted.name, version = wanted.version, "assigned");
        }
        Ok(Written {
            uid: written.uid().unwrap_or_default(),
            generation: written.metadata.generation.unwrap_or_default(),
        })
    }
}

/// Why a `ManagedAddOn` was not written.
enum Unwritten {
    /// The API server will not have it, however often it is asked.
    Refused(Fault),
    Trouble(String),
}

impl From<kube::Error> for Unwritten {
    fn from(error: kube::Error) -> Self {
        match refusal(&error) {
            Some(message) => Unwritten::Refused(invalid(message)),
            None => Unwritten::Trouble(chain(&error)),
        }
    }
}

type Cases = BTreeMap<String, Tracker>;

/// One case for each that is there and stays.
fn notice(cases: &mut Cases, hub: &HubState) {
    let staying = |mca: &ManagedClusterAddOn| !mca.is_deleting();
    cases.retain(|name, _| hub.mcas.get(name).is_some_and(|mca| staying(mca)));
    for mca in hub.mcas.values().filter(|mca| staying(mca)) {
        cases.entry(mca.name().to_owned()).or_default().notice(mca);
    }
}

/// What only the hub's owner can mend is told to the hub; the rest is trouble of the moment.
fn unreadable(what: &str, error: kube::Error) -> kube::Result<Fault> {
    let message = format!("the agent may not read {what} on the hub");
    if is_forbidden(&error) { Ok(Fault::new(Reason::Forbidden, message)) } else { Err(error) }
}

fn tell(cases: &Cases, standings: &watch::Sender<Standings>) {
    let known =
        cases.iter().filter_map(|(name, case)| Some((name.clone(), case.standing()?.clone())));
    let known: Standings = known.collect();
    standings.send_if_modified(|told| {
        let is_new = *told != known;
        *told = known;
        is_new
    });
}

/// When to look again though nothing changed. What was rested when this look began had its turn.
fn next(cases: &Cases, began: Instant, all_done: bool) -> Instant {
    let latest = began + if all_done { IDLE } else { LOCAL_REST };
    let rests = cases.values().filter_map(Tracker::rest_until);
    rests.filter(|until| *until > began).fold(latest, Instant::min)
}
