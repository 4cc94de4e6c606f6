//! The publish task: writes the newest report on each add-on to the hub, once, when it changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Patch;
use kube::{Api, Client, ResourceExt};
use lifecycle::spec::duration::whole_seconds;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::backoff::IDLE;
use crate::channels::{Inputs, LinkState, reconnected};
use crate::kube_error::{chain, status};
use crate::leases::lease::{self, Renewal, WriteOutcome};
use crate::names::patch_params;
use crate::ocm::ManagedClusterAddOn;
use crate::reports::condition_list;
use crate::reports::conditions::conditions;
use crate::reports::last_report::LastReport;
use crate::reports::report::{self, Report};
use crate::reports::status_lease::{status_lease, with_reported_times};

/// The task with the objects it writes on the hub.
pub struct PublishTask {
    cluster: String,
    mcas: Api<ManagedClusterAddOn>,
    leases: Api<Lease>,
}

type LastReports = BTreeMap<String, LastReport>;

impl PublishTask {
    /// Returns a task that writes into this cluster's namespace on the hub.
    pub fn new(hub: Client, cluster: String) -> Self {
        Self {
            mcas: Api::namespaced(hub.clone(), &cluster),
            leases: Api::namespaced(hub, &cluster),
            cluster,
        }
    }

    /// Runs for good.
    pub async fn run(self, mut inputs: Inputs, mut link_state: watch::Receiver<LinkState>) {
        let mut last_reports = LastReports::new();
        loop {
            let started = Instant::now();
            let (reports, complete_lists) = current_reports(&mut inputs);
            last_reports.retain(|name, _| reports.contains_key(name));
            self.publish_due(&reports, complete_lists, &mut last_reports).await;
            let next_turn = next_turn(&reports, complete_lists, &last_reports).max(started);
            tokio::select! {
                () = inputs.changed() => {}
                () = reconnected(&mut link_state) => {
                    last_reports.values_mut().for_each(LastReport::retry_now);
                }
                () = tokio::time::sleep_until(next_turn) => {}
            }
        }
    }

    /// Publishes the reports that are due. Once the hub does not respond, the rest is put off without a request.
    async fn publish_due(
        &self,
        reports: &BTreeMap<String, Report>,
        complete_lists: u64,
        last_reports: &mut LastReports,
    ) {
        let mut is_unreachable = false;
        for (name, report) in reports {
            let last = last_reports.entry(name.clone()).or_default();
            let now = Instant::now();
            if last.due(report, complete_lists, now).is_none_or(|due| due > now) {
                continue;
            }
            if is_unreachable {
                last.record_failure(now, fastrand::f64());
                continue;
            }
            match self.publish(report.clone()).await {
                Ok(()) => last.record_success(report.clone(), complete_lists, Instant::now()),
                Err(error) => {
                    is_unreachable = status(&error).is_none();
                    log(name, &chain(&error), last);
                    last.record_failure(Instant::now(), fastrand::f64());
                }
            }
        }
    }

    /// Writes both the lease and the conditions, since the hub may refuse one and not the other.
    async fn publish(&self, report: Report) -> kube::Result<()> {
        let existing = self.leases.get_opt(&report.add_on).await;
        if let Err(error) = &existing
            && status(error).is_none()
        {
            return existing.map(drop);
        }
        let report = with_reported_times(report, existing.as_ref().ok().and_then(Option::as_ref));
        let lease = match existing {
            Ok(existing) => self.write_lease(existing.as_ref(), &report).await,
            Err(error) => Err(error),
        };
        self.write_conditions(&report).await.and(lease)
    }

    async fn write_lease(&self, existing: Option<&Lease>, report: &Report) -> kube::Result<()> {
        let lease = status_lease(report, &self.cluster, Timestamp::now());
        match lease::write(&self.leases, existing, &lease, Renewal::OnChange).await? {
            WriteOutcome::Written => {
                info!(
                    add_on = report.add_on,
                    phase = report.phase.name(),
                    "status reported to the hub"
                );
            }
            WriteOutcome::Unchanged => {
                debug!(add_on = report.add_on, "the hub has this status already");
            }
            WriteOutcome::Foreign => {
                warn!(
                    lease = report.add_on,
                    "a foreign lease has the name of the status lease, status not reported"
                );
            }
        }
        Ok(())
    }

    /// Writes the whole list, for the exact resource version that was read: before OCM 1.2 the list is one atomic value.
    async fn write_conditions(&self, report: &Report) -> kube::Result<()> {
        let Some(mca) = self.mcas.get_opt(&report.add_on).await? else { return Ok(()) };
        let time = whole_seconds(report.changed_at().unwrap_or_else(Timestamp::now)).to_string();
        let merged = condition_list::merge(mca.conditions(), &conditions(report), &time);
        let Some(list) = merged.filter(|_| mca.uid() == report.mca_uid) else { return Ok(()) };
        let patch = json!({
            "metadata": {"uid": mca.uid(), "resourceVersion": mca.resource_version()},
            "status": {"conditions": list},
        });
        let (params, patch) = (patch_params(), Patch::Merge(&patch));
        self.mcas.patch_status(&report.add_on, &params, &patch).await.map(drop)
    }
}

/// Returns the reports and the number of complete lists from which they were made.
fn current_reports(inputs: &mut Inputs) -> (BTreeMap<String, Report>, u64) {
    let hub_state = inputs.hub_state.borrow_and_update();
    let add_ons = inputs.add_ons.borrow_and_update();
    let outcomes = inputs.outcomes.borrow_and_update();
    (report::reports(&hub_state, &add_ons, &outcomes), hub_state.complete_lists)
}

/// Returns the time of the next turn if nothing changes before.
fn next_turn(
    reports: &BTreeMap<String, Report>,
    complete_lists: u64,
    last_reports: &LastReports,
) -> Instant {
    let now = Instant::now();
    let due = reports
        .iter()
        .filter_map(|(name, report)| last_reports.get(name)?.due(report, complete_lists, now));
    due.fold(now + IDLE, Instant::min)
}

/// Warns once until a report succeeds: a hub that is away stays away for a while.
fn log(add_on: &str, error: &str, last: &LastReport) {
    match last.is_failing() {
        false => warn!(add_on, error, "cannot report to the hub, will retry"),
        true => debug!(add_on, error, "cannot report to the hub yet"),
    }
}
