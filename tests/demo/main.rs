//! `cargo demo`: the story of one add-on on a hub and a managed cluster, told live on the terminal.

mod add_on;
mod telling;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lifecycle::Phase;
use testbed::wait::until;
use testbed::{Hub, Managed, Telling};

use add_on::{NAMESPACE, broken, good, with_extra};

const CLUSTER: &str = "edge";
const ADD_ON: &str = "metrics";

/// The hub hears within seconds of coming back; a loaded machine gets more.
const HEARD: Duration = Duration::from_secs(90);

const USAGE: &str = "\
cargo demo [-- OPTIONS]

Starts a hub and a managed cluster on this machine, runs the agent between them, and tells the story of an add-on
that is installed, upgraded, and rolled back by the agent while the hub cannot be reached. Exits with 1 when anything
was not as told.

Options:
  --keep   leave the clusters up until Ctrl-C, and print their kubeconfigs
  --help   print this";

fn main() -> ExitCode {
    testbed::telling::run(USAGE, &["--keep"], |given| {
        demo(given.iter().any(|word| word == "--keep"))
    })
}

async fn demo(keep: bool) -> Result<()> {
    let telling = Telling::begin();
    telling.chapter("A hub and a managed cluster: real etcd, API servers, controllers");
    testbed::binaries::Binaries::ensure()?;
    telling.line("the agent is built if it is not yet");
    testbed::agent_binary()?;
    let (hub, managed) = tokio::try_join!(Hub::start("hub", CLUSTER), Managed::start(CLUSTER))?;
    telling.line(&format!(
        "hub at {}, managed cluster at {}",
        hub.plane.server_url(),
        managed.plane.server_url()
    ));
    let kubeconfig = hub.kubeconfig()?;
    let kubeconfig = kubeconfig.to_string_lossy();
    managed.start_agent(&["--hub-kubeconfig", &kubeconfig, "--cluster-name", CLUSTER]).await?;
    telling.line("the agent runs on the managed cluster");

    let told = story(&telling, &hub, &managed).await;
    if told.is_err() {
        eprintln!("{}\n{}", managed.plane.dump().await, managed.agent_log_end(60));
    }
    if keep {
        telling.chapter("The clusters stay up until Ctrl-C");
        println!("  hub:             export KUBECONFIG={}", hub.plane.admin_kubeconfig().display());
        println!(
            "  managed cluster: export KUBECONFIG={}",
            managed.plane.admin_kubeconfig().display()
        );
        println!("  the agent's log: {}", managed.agent_log_file()?.display());
        println!("  its metrics:     http://{}/metrics", managed.agent_address()?);
        tokio::signal::ctrl_c().await?;
    }
    told
}

async fn story(telling: &Telling, hub: &Hub, managed: &Managed) -> Result<()> {
    let add_on = managed.add_on(ADD_ON);
    for (version, spec) in [("1.4.0", with_extra()), ("1.5.0", good()), ("1.6.0", broken())] {
        hub.template(ADD_ON, &template(version), &spec).await?;
    }

    telling.chapter("1.4.0 is assigned on the hub and installed on the cluster");
    hub.assign(ADD_ON, &template("1.4.0")).await?;
    telling::follow(telling, &add_on, "1.4.0", Phase::Available, "1.4.0").await?;
    ensure!(add_on.config(NAMESPACE, "legacy").await?.is_some(), "1.4.0 brings ConfigMap legacy");

    telling.chapter("1.5.0 is assigned: an upgrade, and what it dropped is pruned");
    hub.assign(ADD_ON, &template("1.5.0")).await?;
    telling::follow(telling, &add_on, "1.5.0", Phase::Available, "1.5.0").await?;
    ensure!(
        add_on.config(NAMESPACE, "legacy").await?.is_none(),
        "ConfigMap legacy should be pruned"
    );
    telling.line("ConfigMap legacy, which 1.5.0 does not have any more, is gone");

    telling.chapter("1.6.0 is assigned, and at once the hub cannot be reached any more");
    hub.assign(ADD_ON, &template("1.6.0")).await?;
    add_on
        .until("to be assigned 1.6.0", |status| status.desired_version.as_deref() == Some("1.6.0"))
        .await?;
    hub.plane.stop_api().await?;
    telling.line("the hub is down");
    telling::follow(telling, &add_on, "1.6.0", Phase::RolledBack, "1.5.0").await?;
    let image = add_on.image(NAMESPACE, "collector").await?;
    ensure!(
        image.as_deref() == Some(testbed::bundle::READY),
        "the old image should run, not {image:?}"
    );
    telling.line("1.6.0 never became ready; the agent put 1.5.0 back by itself");

    telling.chapter("The hub comes back and learns what happened, with the times at which it did");
    hub.plane.start_api().await?;
    let status = add_on.status().await?;
    let reported = until("the hub to know of the rollback", HEARD, || async {
        let reported = hub.reported(ADD_ON).await?;
        Ok((reported["phase"] == "RolledBack").then_some(reported))
    })
    .await?;
    let completed =
        status.completion_time.as_ref().context("the rollback has no completionTime")?;
    ensure!(
        reported["completionTime"] == serde_json::to_value(completed)?,
        "another time is reported: {reported}"
    );
    telling::reported(telling, &reported);
    let rollout = format!("{}/Rollout", lifecycle::names::GROUP);
    let condition = hub.condition(ADD_ON, &rollout).await?;
    telling.line(&format!("condition {rollout}: {} {}", condition["status"], condition["reason"]));
    telling::timeline(telling, &status);
    Ok(())
}

fn template(version: &str) -> String {
    format!("{ADD_ON}-{version}")
}
