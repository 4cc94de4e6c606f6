//! Flags for the grace periods of health.

use std::time::Duration;

use lifecycle::health::Graces;
use lifecycle::spec::duration;

#[derive(clap::Args, Debug)]
#[command(
    next_help_heading = "Grace periods before a problem counts as a failure (30s, 2m, 1h30m; 0s for none)"
)]
pub struct GracePeriodFlags {
    /// Grace period of a pod that cannot be scheduled
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    unschedulable_grace: Duration,
    /// Grace period of a crash loop, a missing image or configuration, and refused pods
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    pod_failure_grace: Duration,
    /// Time to wait for the status of a custom resource. Later, one without a status counts as healthy
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    no_status_grace: Duration,
    /// Time to wait for pods that are replaced only when someone deletes them (OnDelete). Later, they count as healthy
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    on_delete_grace: Duration,
}

impl From<GracePeriodFlags> for Graces {
    fn from(flags: GracePeriodFlags) -> Self {
        let GracePeriodFlags {
            unschedulable_grace,
            pod_failure_grace,
            no_status_grace,
            on_delete_grace,
        } = flags;
        Self {
            no_status: no_status_grace,
            unschedulable: unschedulable_grace,
            pod_failure: pod_failure_grace,
            on_delete: on_delete_grace,
        }
    }
}
