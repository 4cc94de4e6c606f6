//! Flags for the hub.

use std::path::PathBuf;

use anyhow::Context;

use super::path;

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Hub")]
pub struct HubFlags {
    /// Kubeconfig of the hub. If it is not set, the agent works without a hub
    #[arg(long, env = "HUB_KUBECONFIG", value_name = "FILE", value_parser = path::parse)]
    hub_kubeconfig: Option<PathBuf>,
    /// Name of this cluster on the hub. Required with --hub-kubeconfig
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,
}

impl HubFlags {
    /// Returns the settings of hub-sync, or `None` without a hub.
    ///
    /// # Errors
    /// For a hub without the name of this cluster.
    pub fn into_settings(self) -> anyhow::Result<Option<hub_sync::Settings>> {
        let Some(kubeconfig) = path::non_empty(self.hub_kubeconfig) else { return Ok(None) };
        let cluster = self.cluster_name.filter(|name| !name.is_empty()).context(
            "a hub requires the name of this cluster; set --cluster-name or CLUSTER_NAME",
        )?;
        Ok(Some(hub_sync::Settings { kubeconfig, cluster }))
    }
}
