//! Names that hub-sync writes and other programs read, beside those in [`lifecycle::names`].

use kube::api::PatchParams;

/// Field manager of everything that hub-sync writes, on the hub and on the managed cluster.
pub const FIELD_MANAGER: &str = "hub-sync";

/// Value of the label `written-by` on a `ManagedAddOn` that follows a stand-alone `ManagedClusterAddOn`.
pub const WRITER: &str = "hub-sync";

/// Name of the heartbeat lease in the cluster's namespace on the hub.
pub const HEARTBEAT_LEASE: &str = lifecycle::names::AGENT_LEASE;

/// Holder of every lease that hub-sync writes. One agent runs on a cluster, so nothing has to tell holders apart.
pub const LEASE_HOLDER: &str = "addon-lifecycle-agent";

/// Returns the parameters of every patch that is not a server-side apply.
pub fn patch_params() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}
