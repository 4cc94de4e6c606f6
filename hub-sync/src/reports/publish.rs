//! Tells the hub what became of its add-ons: the newest report of each, once, on change only.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use lifecycle::spec::duration::whole_seconds;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::assignments::outcome::Standings;
use crate::backoff::{CONNECT, IDLE};
use crate::hub_state::HubState;
use crate::kube_error::{answer, chain};
use crate::leases::lease::{self, Outcome, Renewal};
use crate::names::by_us;
use crate::ocm::ManagedClusterAddOn;
use crate::reports::conditions;
use crate::reports::report::{self, Report};
use crate::{AddOns, HubLink, changed, recovered};

/// Between reports that differ in words only, so that a chatty rollout costs the hub no more than a quiet one.
const WORDS: Duration = Duration::from_secs(20);

/// What reports are made of.
pub struct Sources {
    pub picture: watch::Receiver<HubState>,
    pub add_ons: watch::Receiver<AddOns>,
    pub standings: watch::Receiver<Standings>,
    pub link: watch::Receiver<HubLink>,
}

/// Where reports go.
pub struct PublishTask {
    cluster: String,
    mcas: Api<ManagedClusterAddOn>,
    leases: Api<Lease>,
}

impl PublishTask {
    pub fn new(hub: Client, cluster: String) -> Self {
        Self {
            mcas: Api::namespaced(hub.clone(), &cluster),
            leases: Api::namespaced(hub, &cluster),
            cluster,
        }
    }

    /// Works for good.
    pub async fn follow(self, mut sources: Sources) {
        let mut told = BTreeMap::new();
        loop {
            let began = Instant::now();
            let lists = sources.picture.borrow_and_update().lists;
            let reports = sources.reports();
            told.retain(|name, _| reports.contains_key(name));
            self.tell_all(&reports, lists, &mut told).await;
            let next = next(&reports, lists, &told).max(began);
            tokio::select! {
                () = changed(&mut sources.picture) => {}
                () = changed(&mut sources.add_ons) => {}
                () = changed(&mut sources.standings) => {}
                () = recovered(&mut sources.link) => told.values_mut().for_each(LastReport::wake),
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    async fn tell_all(
        &self,
        reports: &BTreeMap<String, Report>,
        lists: u64,
        told: &mut BTreeMap<String, LastReport>,
    ) {
        let mut unreachable = false;
        for (name, report) in reports {
            let told = told.entry(name.clone()).or_default();
            if told.due(report, lists).is_none_or(|due| due > Instant::now()) {
                continue;
            }
            if unreachable {
                told.rest(fastrand::f64());
                continue;
            }
            match self.tell(report.clone()).await {
                Ok(()) => told.done(report.clone(), lists),
                Err(error) => {
                    unreachable = answer(&error).is_none();
                    told.complain(name, &chain(&error));
                    told.rest(fastrand::f64());
                }
            }
        }
    }

    /// Lease and conditions are told apart: one may be refused while the other is not.
    async fn tell(&self, report: Report) -> kube::Result<()> {
        let old = self.leases.get_opt(&report.add_on).await;
        if let Err(error) = &old
            && answer(error).is_none()
        {
            return old.map(drop);
        }
        let report = report.since(old.as_ref().ok().and_then(Option::as_ref));
        let lease = match old {
            Ok(old) => self.tell_lease(old.as_ref(), &report).await,
            Err(error) => Err(error),
        };
        self.tell_conditions(&report).await.and(lease)
    }

    async fn tell_lease(&self, old: Option<&Lease>, report: &Report) -> kube::Result<()> {
        let new = report.lease(&self.cluster, Timestamp::now());
        match lease::write(&self.leases, old, &new, Renewal::OnChange).await? {
            Outcome::Written => {
                info!(add_on = report.add_on, phase = report.phase.name(), "told the hub")
            }
            Outcome::Unchanged => debug!(add_on = report.add_on, "the hub knows already"),
            Outcome::Foreign => {
                warn!(
                    lease = report.add_on,
                    "a lease of somebody else is in the way of the report, left alone"
                );
            }
        }
        Ok(())
    }

    /// The whole list, for the exact version that was read: the list is one value before OCM 1.2.
    async fn tell_conditions(&self, report: &Report) -> kube::Result<()> {
        let Some(mca) = self.mcas.get_opt(&report.add_on).await? else { return Ok(()) };
        let time = whole_seconds(report.happened().unwrap_or_else(Timestamp::now)).to_string();
        let ours = conditions::of(report);
        let Some(list) = conditions::merged(mca.conditions(), &ours, &time) else { return Ok(()) };
        if mca.uid() != report.mca_uid {
            return Ok(());
        }
        let patch = json!({
            "metadata": {"uid": mca.uid(), "resourceVersion": mca.resource_version()},
            "status": {"conditions": list},
        });
        let params = by_us();
        self.mcas.patch_status(&report.add_on, &params, &Patch::Merge(&patch)).await.map(drop)
    }
}

impl Sources {
    fn reports(&mut self) -> BTreeMap<String, Report> {
        let picture = self.picture.borrow();
        let add_ons = self.add_ons.borrow_and_update();
        report::all(&picture, &add_ons, &self.standings.borrow_and_update())
    }
}

/// What the hub knows of one add-on.
#[derive(Debug, Default)]
struct LastReport {
    /// With the list in which it was compared with what the hub has, and when.
    last: Option<(Report, u64, Instant)>,
    failures: u32,
    rest_until: Option<Instant>,
}

impl LastReport {
    /// When this is to be told; `None` when it is known.
    fn due(&self, report: &Report, lists: u64) -> Option<Instant> {
        let due = match &self.last {
            Some((last, at, _)) if last == report && *at == lists => return None,
            Some((last, at, when)) if *at == lists && report.differs_in_message_only(last) => {
                *when + WORDS
            }
            Some(_) | None => Instant::now(),
        };
        Some(self.rest_until.map_or(due, |until| due.max(until)))
    }

    fn done(&mut self, report: Report, lists: u64) {
        *self = LastReport { last: Some((report, lists, Instant::now())), ..LastReport::default() };
    }

    /// Once, until it worked again: a hub that is away stays away for a while.
    fn complain(&self, add_on: &str, error: &str) {
        match self.failures {
            0 => warn!(add_on, error, "cannot report to the hub, will try again"),
            _ => debug!(add_on, error, "cannot report to the hub again"),
        }
    }

    fn rest(&mut self, random: f64) {
        self.rest_until = Some(Instant::now() + CONNECT.delay(self.failures, random));
        self.failures += 1;
    }

    fn wake(&mut self) {
        self.rest_until = None;
    }
}

fn next(
    reports: &BTreeMap<String, Report>,
    lists: u64,
    told: &BTreeMap<String, LastReport>,
) -> Instant {
    let due = reports.iter().filter_map(|(name, report)| told.get(name)?.due(report, lists));
    due.fold(Instant::now() + IDLE, Instant::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{followed, mca, status};

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_not_told_again() {
        let mut told = LastReport::default();
        assert_eq!(told.due(&report("Applying", "a"), 1), Some(Instant::now()));
        told.done(report("Applying", "a"), 1);
        assert_eq!(told.due(&report("Applying", "a"), 1), None);
        assert_eq!(told.due(&report("Verifying", "a"), 1), Some(Instant::now()));
        assert_eq!(told.due(&report("Applying", "a"), 2), Some(Instant::now()), "a new list");
    }

    #[tokio::test(start_paused = true)]
    async fn mere_words_can_wait() {
        let mut told = LastReport::default();
        told.done(report("Verifying", "1 of 2 ready"), 1);
        let later = Some(Instant::now() + WORDS);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(told.due(&report("Verifying", "2 of 2 ready"), 1), later);
        assert_eq!(told.due(&report("Available", "2 of 2 ready"), 1), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_is_away_is_asked_less_and_less_until_it_is_back() {
        let mut told = LastReport::default();
        let wait = |told: &LastReport| {
            told.due(&report("Applying", "a"), 1).unwrap().duration_since(Instant::now()).as_secs()
        };
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            told.rest(1.0);
            assert_eq!(wait(&told), seconds);
        }
        told.wake();
        assert_eq!(wait(&told), 0);
        told.done(report("Applying", "a"), 1);
        told.rest(1.0);
        assert_eq!(told.failures, 1);
    }

    fn report(phase: &str, message: &str) -> Report {
        let mut add_on = followed("metrics", "u1");
        add_on.status = Some(status(json!({"phase": phase, "message": message})));
        report::report(&mca("metrics", "u1"), Some(&add_on), None).unwrap()
    }
}
