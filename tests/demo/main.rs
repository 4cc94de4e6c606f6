//! `cargo demo`: one add-on on a hub and a managed cluster, live on the terminal.

mod add_on;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, Phase};
use testbed::wait::until;
use testbed::{Binaries, Hub, Managed, Progress};

use add_on::{NAMESPACE, healthy, never_ready, with_extra_config};
use report::{follow, print_report, print_timeline};

const CLUSTER: &str = "edge";
const ADD_ON: &str = "metrics";

/// The agent reports within seconds after the hub is back. A loaded machine gets more.
const REPORTED: Duration = Duration::from_secs(90);

const USAGE: &str = "\
cargo demo [-- OPTIONS]

Starts a hub and a managed cluster on this machine and runs the agent between them. An add-on is installed, upgraded,
and rolled back by the agent while the hub cannot be reached. Exits with 1 if anything happens otherwise.

Options:
  --keep   leave the clusters up until Ctrl-C, and print their kubeconfigs
  --help   print this";

fn main() -> ExitCode {
    testbed::command_line::run(USAGE, &["--keep"], |given| {
        demo(given.iter().any(|word| word == "--keep"))
    })
}

async fn demo(keep: bool) -> Result<()> {
    let progress = Progress::start();
    progress.heading("A hub and a managed cluster: real etcd, API servers, controllers");
    let (hub, managed) = progress.during("starting the clusters", start_clusters()).await?;
    let urls = (hub.plane.server_url(), managed.plane.server_url());
    progress.line(&format!("hub at {}, managed cluster at {}", urls.0, urls.1));
    let kubeconfig = hub.kubeconfig()?;
    let kubeconfig = kubeconfig.to_string_lossy();
    let flags = ["--hub-kubeconfig", &kubeconfig, "--cluster-name", CLUSTER];
    progress.during("starting the agent", managed.start_agent(&flags)).await?;
    progress.line("the agent runs on the managed cluster");

    let finished = roll_out_three_versions(&progress, &hub, &managed).await;
    if finished.is_err() {
        eprintln!("{}\n{}", managed.plane.dump().await, managed.agent_log_end(60));
    }
    if keep {
        stay_up(&progress, &hub, &managed).await?;
    }
    finished
}

async fn start_clusters() -> Result<(Hub, Managed)> {
    Binaries::ensure()?;
    testbed::agent_binary()?;
    tokio::try_join!(Hub::start("hub", CLUSTER), Managed::start(CLUSTER))
}

async fn roll_out_three_versions(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    let specs = [("1.4.0", with_extra_config()), ("1.5.0", healthy()), ("1.6.0", never_ready())];
    for (version, spec) in specs {
        hub.template(ADD_ON, &template(version), &spec).await?;
    }
    install(progress, hub, managed).await?;
    upgrade(progress, hub, managed).await?;
    roll_back_without_hub(progress, hub, managed).await?;
    reconnect(progress, hub, managed).await
}

async fn install(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    let add_on = managed.add_on(ADD_ON);
    progress.heading("1.4.0 is assigned on the hub and installed on the cluster");
    hub.assign(ADD_ON, &template("1.4.0")).await?;
    follow(progress, &add_on, "1.4.0", Phase::Available, "1.4.0").await?;
    ensure!(add_on.config(NAMESPACE, "legacy").await?.is_some(), "1.4.0 has no ConfigMap legacy");
    Ok(())
}

async fn upgrade(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    let add_on = managed.add_on(ADD_ON);
    progress.heading("1.5.0 is assigned: an upgrade, and what it dropped is pruned");
    hub.assign(ADD_ON, &template("1.5.0")).await?;
    follow(progress, &add_on, "1.5.0", Phase::Available, "1.5.0").await?;
    ensure!(add_on.config(NAMESPACE, "legacy").await?.is_none(), "ConfigMap legacy is not pruned");
    progress.line("ConfigMap legacy, which 1.5.0 does not have, is pruned");
    Ok(())
}

async fn roll_back_without_hub(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    let add_on = managed.add_on(ADD_ON);
    progress.heading("1.6.0 is assigned, and then the hub cannot be reached");
    hub.assign(ADD_ON, &template("1.6.0")).await?;
    let is_assigned =
        |status: &ManagedAddOnStatus| status.desired_version.as_deref() == Some("1.6.0");
    add_on.until("to be assigned 1.6.0", is_assigned).await?;
    hub.plane.stop_api().await?;
    progress.line("the hub is down");
    follow(progress, &add_on, "1.6.0", Phase::RolledBack, "1.5.0").await?;
    let image = add_on.image(NAMESPACE, "collector").await?;
    ensure!(image.as_deref() == Some(testbed::bundle::READY), "the image is {image:?}");
    progress.line("1.6.0 never became ready; the agent rolled back to 1.5.0 by itself");
    Ok(())
}

async fn reconnect(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    progress.heading("The hub is back and gets the report, with the times of the cluster");
    progress.during("starting the hub's API server", hub.plane.start_api()).await?;
    let status = managed.add_on(ADD_ON).status().await?;
    let report = progress.during("waiting for the report", until_reported(hub)).await?;
    let completed =
        status.completion_time.as_ref().context("the rollback has no completionTime")?;
    ensure!(
        report["completionTime"] == serde_json::to_value(completed)?,
        "another completionTime is reported: {report}"
    );
    print_report(progress, &report);
    let rollout = format!("{}/Rollout", lifecycle::names::GROUP);
    let condition = hub.condition(ADD_ON, &rollout).await?;
    progress.line(&format!("condition {rollout}: {} {}", condition["status"], condition["reason"]));
    print_timeline(progress, &status);
    Ok(())
}

async fn until_reported(hub: &Hub) -> Result<serde_json::Value> {
    until("the hub to have the report of the rollback", REPORTED, || async {
        let report = hub.report(ADD_ON).await?;
        Ok((report["phase"] == "RolledBack").then_some(report))
    })
    .await
}

async fn stay_up(progress: &Progress, hub: &Hub, managed: &Managed) -> Result<()> {
    let kubectl = progress.during("building kubectl", managed.plane.kubectl_program()).await?;
    progress.heading("The clusters stay up until Ctrl-C");
    println!("  hub:             export KUBECONFIG={}", hub.plane.admin_kubeconfig().display());
    println!("  managed cluster: export KUBECONFIG={}", managed.plane.admin_kubeconfig().display());
    println!("  kubectl for it:  {}", kubectl.display());
    println!("  the agent's log: {}", managed.agent_log_file()?.display());
    println!("  its metrics:     http://{}/metrics", managed.agent_address()?);
    tokio::signal::ctrl_c().await?;
    Ok(())
}

fn template(version: &str) -> String {
    format!("{ADD_ON}-{version}")
}
