//! The form of the leases that show that something is alive. Pure.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use crate::names::LEASE_HOLDER;

/// Returns a Lease that was renewed at `now` and is valid for `duration_seconds`. The label, which has the name as its
/// value, marks it as ours.
pub fn renewed(
    name: &str,
    namespace: &str,
    label: &str,
    duration_seconds: i32,
    now: Timestamp,
) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(label.to_owned(), name.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            renew_time: Some(MicroTime(now)),
            holder_identity: Some(LEASE_HOLDER.to_owned()),
            lease_duration_seconds: Some(duration_seconds),
            ..LeaseSpec::default()
        }),
    }
}
