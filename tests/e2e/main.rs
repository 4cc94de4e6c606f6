//! `cargo e2e`: real Open Cluster Management, two managed clusters, one of them with a real node, and the agent as its
//! image runs it.

mod bed;
mod images;

mod delivery;
mod first_steps;

mod deployment_config;
mod fleet;
mod hub_identity;
mod single_cluster;

mod helm;
mod migration;

mod agent;
mod certificate_renewal;
mod detachment;
mod eviction;
mod removal;

use std::process::ExitCode;

use anyhow::Result;
use testbed::Progress;

use bed::Bed;

const USAGE: &str = "\
cargo e2e

Starts a hub with Open Cluster Management's own controllers and two managed clusters with its klusterlet agents, one of
them with a real node, builds the agent's image, lets OCM deliver it, and rolls out add-ons. Exits with 1 when anything
went wrong.

TESTBED_OCM=newest runs it with OCM 1.2.

Needs root, and from Debian: containerd runc containernetworking-plugins buildah iptables iproute2 musl-tools.";

fn main() -> ExitCode {
    testbed::command_line::run(USAGE, &[], |_| e2e())
}

async fn e2e() -> Result<()> {
    let progress = Progress::start();
    let bed = Bed::start(&progress).await?;
    let result = run_all(&progress, &bed).await;
    if result.is_err() {
        eprintln!("{}", bed.dump().await);
    }
    result
}

/// Runs all parts in an order in which each starts from the state that the one before left.
async fn run_all(progress: &Progress, bed: &Bed) -> Result<()> {
    delivery::deliver_agent(progress, bed).await?;
    first_steps::run_documentation(progress, bed).await?;
    deployment_config::configure_agent(progress, bed).await?;
    fleet::gate_rollout_on_health(progress, bed).await?;
    single_cluster::pin_one_cluster(progress, bed).await?;
    migration::migrate_template_and_back(progress, bed).await?;
    helm::migrate_release_and_back(progress, bed).await?;
    hub_identity::use_own_identity(progress, bed).await?;
    eviction::evict_add_on(progress, bed).await?;
    eviction::delete_on_cluster(progress, bed).await?;
    agent::upgrade_agent(progress, bed).await?;
    certificate_renewal::renew_certificates(progress, bed).await?;
    single_cluster::assign_stand_alone(progress, bed).await?;
    agent::remove_and_redeliver_agent(progress, bed).await?;
    detachment::detach_and_rejoin(progress, bed).await?;
    removal::remove_from_fleet(progress, bed).await?;
    progress.line("everything went as expected");
    Ok(())
}
