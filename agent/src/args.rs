//! The command line: flags and environment variables, checked before anything starts.

mod at_rest;
mod cluster;
mod flags;
mod grace_periods;
mod hub;
mod path;
mod pull;
#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand};

pub use cluster::ClusterFlags;
pub use flags::{Flags, Settings};

/// Installs, upgrades and rolls back add-ons on the managed cluster it runs on
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

/// The commands besides running the agent.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print the ManagedAddOn CRD as YAML
    Crd,
    /// Finish running uninstalls, stop the agent and remove its finalizers. Run it before you delete the agent
    ///
    /// It waits until the agent has uninstalled the add-ons that are being deleted, for two minutes at most. Then it takes
    /// the agent lease, so that the agent stops writing, and removes the agent's finalizer from every ManagedAddOn.
    /// Installed objects stay. The command can be repeated.
    ReleaseFinalizers(ReleaseFinalizers),
}

#[derive(clap::Args, Debug)]
pub struct ReleaseFinalizers {
    #[command(flatten)]
    pub cluster: ClusterFlags,
    /// Name of the pod that runs this command. The agent stays stopped until this pod is deleted, or for 15 minutes if no name is given
    #[arg(long, env = "POD_NAME", requires = "pod_uid", value_name = "NAME")]
    pub pod_name: Option<String>,
    /// UID of the pod that runs this command
    #[arg(long, env = "POD_UID", value_name = "UID")]
    pub pod_uid: Option<String>,
}
