//! Flags for the managed cluster.

use std::path::PathBuf;

use lifecycle::names::DEFAULT_NAMESPACE;

#[derive(clap::Args, Debug)]
pub struct ClusterFlags {
    /// Kubeconfig of the managed cluster [default: in-cluster]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespace of the agent's Secrets and Leases
    #[arg(long, env = "POD_NAMESPACE", default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
}
