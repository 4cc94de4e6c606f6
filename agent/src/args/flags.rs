//! The flags of the agent, and the settings that follow from them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::ensure;
use lifecycle::health::Graces;

use super::at_rest::AtRestFlags;
use super::cluster::ClusterFlags;
use super::grace_periods::GracePeriodFlags;
use super::hub::HubFlags;
use super::pull::PullFlags;
use crate::actions::pull::PullSettings;
use crate::driver::WatchSettings;
use crate::observability::logging::LogFormat;

#[derive(clap::Args, Debug)]
pub struct Flags {
    #[command(flatten)]
    cluster: ClusterFlags,
    /// Address at which /metrics, /healthz and /readyz are served
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Format of the log lines on stderr. RUST_LOG sets the level, as in `info,addon_agent=debug`
    #[arg(long, value_enum, default_value_t = LogFormat::Json, value_name = "FORMAT")]
    log_format: LogFormat,
    /// Maximum number of rollouts at the same time, from 1 to 64
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    max_rollouts: u8,
    #[command(flatten)]
    hub: HubFlags,
    #[command(flatten)]
    pull: PullFlags,
    #[command(flatten)]
    at_rest: AtRestFlags,
    #[command(flatten)]
    grace_periods: GracePeriodFlags,
}

/// Everything the agent can be configured with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Absent: the agent runs in the cluster that it manages.
    pub kubeconfig: Option<PathBuf>,
    /// Absent: the agent works without a hub.
    pub hub: Option<hub_sync::Settings>,
    /// The agent's own namespace on the managed cluster.
    pub namespace: String,
    pub pull_settings: PullSettings,
    pub listen: SocketAddr,
    pub log_format: LogFormat,
    pub max_rollouts: usize,
    pub graces: Graces,
    pub watch_settings: WatchSettings,
}

impl Flags {
    /// Checks the flags against each other.
    ///
    /// # Errors
    /// For an empty namespace, and for a hub without the name of this cluster.
    pub fn into_settings(self) -> anyhow::Result<Settings> {
        let Self { cluster, listen, log_format, max_rollouts, hub, pull, at_rest, grace_periods } =
            self;
        let ClusterFlags { kubeconfig, namespace } = cluster;
        ensure!(!namespace.is_empty(), "--namespace is empty; omit it to use the default");
        Ok(Settings {
            kubeconfig,
            hub: hub.into_settings()?,
            namespace,
            pull_settings: pull.into(),
            listen,
            log_format,
            max_rollouts: usize::from(max_rollouts),
            graces: grace_periods.into(),
            watch_settings: at_rest.into(),
        })
    }
}
