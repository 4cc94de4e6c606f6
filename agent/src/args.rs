//! Flags and environment, checked before anything starts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use lifecycle::health::Graces;
use lifecycle::names::DEFAULT_NAMESPACE;
use lifecycle::spec::duration;

use crate::actions::pull::PullSettings;
use crate::driver::Watching;

/// Installs, upgrades and rolls back add-ons on the managed cluster it runs on.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print the ManagedAddOn CRD as YAML
    Crd,
    /// Before the agent is removed for good: it ends what it is uninstalling and stops, and no ManagedAddOn waits for it
    ReleaseFinalizers(ReleaseFinalizers),
}

#[derive(clap::Args, Debug)]
pub struct ReleaseFinalizers {
    /// Kubeconfig of the managed cluster [default: in-cluster]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the agent's leases
    #[arg(long, env = "POD_NAMESPACE", default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// The pod this runs in: the agent starts again only when it is gone. Without it, after a quarter of an hour
    #[arg(long, env = "POD_NAME", requires = "pod_uid", value_name = "NAME")]
    pub pod_name: Option<String>,
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,
}

#[derive(clap::Args, Debug)]
pub struct Flags {
    /// Kubeconfig of the managed cluster [default: in-cluster]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Kubeconfig of the hub; without one the agent works alone
    #[arg(long, env = "HUB_KUBECONFIG", value_name = "FILE", value_parser = path)]
    hub_kubeconfig: Option<PathBuf>,
    /// Name of this cluster on the hub; needed with --hub-kubeconfig
    #[arg(long, env = "CLUSTER_NAME", value_name = "NAME")]
    cluster_name: Option<String>,
    /// Namespace of the agent's Secrets and leases
    #[arg(long, env = "POD_NAMESPACE", default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    namespace: String,
    #[command(flatten)]
    sources: PullSettings,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Form of the log lines on stderr; RUST_LOG chooses what is logged, as in `info,addon_agent=debug`
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    log_format: LogFormat,
    /// Rollouts at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    max_rollouts: u8,
    #[command(flatten)]
    graces: HealthGraces,
    /// Between looks at the health of what runs, from 1s to 1h; while nothing changes a look costs a list of metadata
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = watch_interval)]
    watch_interval: Duration,
    /// What runs counts as degraded after being unhealthy this long at each look, and as well again likewise
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    degraded_after: Duration,
}

/// How long what may pass by itself is awaited before it counts: as 30s, 2m, 1h30m; 0s for not at all
#[derive(clap::Args, Debug)]
struct HealthGraces {
    /// An unschedulable pod is failed after this long
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    unschedulable_grace: Duration,
    /// A crash loop, an image or configuration that is missing, pods that are refused are failed after this long
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    pod_failure_grace: Duration,
    /// A custom resource that still has no status counts as one that never has any after this long
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    no_status_grace: Duration,
    /// Pods that wait to be deleted by somebody (OnDelete) are not awaited after this long
    #[arg(long, default_value = "2m", value_name = "DURATION", value_parser = duration::parse)]
    on_delete_grace: Duration,
}

impl HealthGraces {
    fn read(self) -> Graces {
        let Self { unschedulable_grace, pod_failure_grace, no_status_grace, on_delete_grace } =
            self;
        Graces {
            no_status: no_status_grace,
            unschedulable: unschedulable_grace,
            pod_failure: pod_failure_grace,
            on_delete: on_delete_grace,
        }
    }
}

/// One that may be empty: so OCM's templates set a variable that they have nothing for.
pub fn path(text: &str) -> Result<PathBuf, Infallible> {
    Ok(PathBuf::from(text))
}

/// Shorter would be a load, longer would see nothing.
fn watch_interval(text: &str) -> Result<Duration, String> {
    let interval = duration::parse(text).map_err(|refused| refused.to_string())?;
    let fits = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&interval);
    fits.then_some(interval).ok_or("from 1s to 1h".to_owned())
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

/// What the agent runs with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub kubeconfig: Option<PathBuf>,
    pub hub: Option<hub_sync::Settings>,
    pub namespace: String,
    pub pull_settings: PullSettings,
    pub listen: SocketAddr,
    pub log_format: LogFormat,
    pub max_rollouts: usize,
    pub graces: Graces,
    pub watching: Watching,
}

impl Flags {
    pub fn settings(self) -> anyhow::Result<Settings> {
        let Self {
            kubeconfig,
            hub_kubeconfig,
            cluster_name,
            namespace,
            sources,
            listen,
            log_format,
            max_rollouts,
            graces,
            watch_interval: every,
            degraded_after: grace,
        } = self;
        ensure!(!namespace.is_empty(), "--namespace is empty; leave it out for the default");
        let hub = hub_kubeconfig
            .filter(|path| !path.as_os_str().is_empty())
            .map(|kubeconfig| {
                let cluster = cluster_name
                    .filter(|name| !name.is_empty())
                    .context("--cluster-name or CLUSTER_NAME is needed with a hub kubeconfig")?;
                anyhow::Ok(hub_sync::Settings { kubeconfig, cluster })
            })
            .transpose()?;
        let max_rollouts = usize::from(max_rollouts);
        let graces = graces.read();
        let watching = Watching { every, grace };
        Ok(Settings {
            kubeconfig,
            hub,
            namespace,
            pull_settings: sources,
            listen,
            log_format,
            max_rollouts,
            graces,
            watching,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(args: &[&str]) -> anyhow::Result<Settings> {
        let args = Args::try_parse_from([&["addon-agent"], args].concat())?;
        args.flags.settings()
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn graces_are_the_documented_ones_unless_told_otherwise() {
        assert_eq!(settings(&[]).unwrap().graces, Graces::default());
        let graces = settings(&["--unschedulable-grace", "10m", "--no-status-grace=0s"]).unwrap();
        let wanted = Graces {
            unschedulable: Duration::from_secs(600),
            no_status: Duration::ZERO,
            ..Graces::default()
        };
        assert_eq!(graces.graces, wanted);
        assert!(settings(&["--pod-failure-grace", "soon"]).is_err());
    }

    #[test]
    fn what_runs_is_watched_every_minute_unless_told_otherwise() {
        let every = |args: &[&str]| settings(args).map(|settings| settings.watching.every).ok();
        assert_eq!(every(&[]), Some(Duration::from_secs(60)));
        assert_eq!(every(&["--watch-interval", "1h"]), Some(Duration::from_secs(3600)));
        for refused in ["0s", "61m", "often"] {
            assert_eq!(every(&["--watch-interval", refused]), None, "{refused}");
        }
    }

    #[test]
    fn a_file_that_is_set_to_nothing_is_none() {
        let empty = ["--hub-kubeconfig=", "--ca-bundle=", "--registry-config="];
        assert!(settings(&empty).unwrap().hub.is_none());
    }

    #[test]
    fn a_registry_without_tls_is_a_host() {
        let takes = |host: &str| settings(&["--plain-http-registry", host]).is_ok();
        assert!(takes("registry.example.com") && takes("127.0.0.1:5000") && takes("[::1]:5000"));
        for other in ["http://a.example.com", "a.example.com/b", "a.b,c.d", "registry", ""] {
            assert!(!takes(other), "{other}");
        }
    }

    #[test]
    fn a_hub_needs_the_name_this_cluster_has_there() {
        assert!(settings(&["--hub-kubeconfig", "hub"]).is_err());
        let both = settings(&["--hub-kubeconfig", "hub", "--cluster-name", "edge"]).unwrap();
        assert_eq!(both.hub.map(|hub| hub.cluster).as_deref(), Some("edge"));
    }
}
