//! The words of the hub link that other programs read, beside those in [`lifecycle::names`].

use kube::api::PatchParams;

/// Field manager of what is written here, on the hub and on the managed cluster.
pub const FIELD_MANAGER: &str = "hub-sync";

/// For a patch that is ours.
pub(crate) fn by_us() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

/// Value of the label `written-by` on a `ManagedAddOn` that follows a stand-alone `ManagedClusterAddOn`.
pub const WRITER: &str = "hub-sync";

/// Name of the agent's heartbeat lease in the cluster's namespace on the hub.
pub const HEARTBEAT: &str = lifecycle::names::AGENT_LEASE;

/// Who holds the leases written here. There is one agent on a cluster, so that nothing more tells.
pub const HOLDER: &str = "addon-lifecycle-agent";
