//! `cargo e2e`: real Open Cluster Management, two managed clusters, one of them with a real node, and the agent as its
//! image runs it.

mod agent_life;
mod bed;
mod beside;
mod delivery;
mod detachment;
mod eviction;
mod first_steps;
mod fleet;
mod helm;
mod images;
mod migration;
mod own_identity;
mod removal;
mod renewal;
mod tailored;

use std::process::ExitCode;

use anyhow::Result;
use testbed::Progress;

use bed::Bed;

const USAGE: &str = "\
cargo e2e

Starts a hub with Open Cluster Management's own controllers and two managed clusters with its klusterlet agents, one of
them with a real node, builds the agent's image, lets OCM deliver it, and drives add-ons through all of that. Exits with
1 when anything was not as told.

TESTBED_OCM=newest makes it OCM 1.2.

Needs root, and from Debian: containerd runc containernetworking-plugins buildah iptables iproute2 musl-tools.";

fn main() -> ExitCode {
    testbed::command_line::run(USAGE, &[], |_| e2e())
}

async fn e2e() -> Result<()> {
    let progress = Progress::start();
    let bed = Bed::start(&progress).await?;
    let told = stories(&progress, &bed).await;
    if told.is_err() {
        eprintln!("{}", bed.dump().await);
    }
    told
}

async fn stories(progress: &Progress, bed: &Bed) -> Result<()> {
    delivery::by_ocm(progress, bed).await?;
    first_steps::as_the_pages_say(progress, bed).await?;
    tailored::by_a_deployment_config(progress, bed).await?;
    fleet::gates_on_health(progress, bed).await?;
    beside::pinned(progress, bed).await?;
    migration::from_a_template_and_back(progress, bed).await?;
    helm::from_a_release_and_back(progress, bed).await?;
    own_identity::is_kept(progress, bed).await?;
    eviction::leaves_everything(progress, bed).await?;
    eviction::is_no_deletion_on_the_cluster(progress, bed).await?;
    agent_life::upgraded(progress, bed).await?;
    renewal::of_identities(progress, bed).await?;
    beside::stand_alone(progress, bed).await?;
    agent_life::removed(progress, bed).await?;
    detachment::and_return(progress, bed).await?;
    removal::of_the_fleet(progress, bed).await?;
    progress.line("all was as told");
    Ok(())
}
