//! `cargo partitions`: the agent in a network namespace of its own, with one link each to the hub, to its cluster and to the
//! server of bundles. During rollouts links are taken down or responses dropped. Needs root, or `unshare --net
//! --map-root-user` where that is allowed.

mod links;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lifecycle::{OperationKind, Phase};
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::file_server::{Behavior, FileServer};
use testbed::wait::until;
use testbed::{AddOn, Hub, Managed, Progress};

use links::{Link, Links};

/// Longest wait for what takes less than a minute on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A change of a link.
type LinkChange = fn(&Links, Link) -> Result<()>;

/// The agent with everything around it.
struct Setup {
    progress: Progress,
    hub: Hub,
    managed: Managed,
    files: FileServer,
    links: Links,
    add_on: AddOn,
}

const USAGE: &str = "\
cargo partitions

Runs the agent in a network namespace of its own and upgrades an add-on several times. Meanwhile it takes down the links to
the hub, to the cluster and to the bundles, or drops their responses. Takes about two minutes. Exits with 1 when anything
went wrong.

Needs root, or: unshare --net --map-root-user cargo partitions";

fn main() -> ExitCode {
    testbed::command_line::run(USAGE, &[], |_| partitions())
}

async fn partitions() -> Result<()> {
    let setup = Setup::start().await?;
    setup.run("a working version is installed with every link up", setup.upgrade("1.0.0")).await?;
    let offline = setup.roll_back_offline("1.1.0");
    setup.run("without hub and bundles a failed version is rolled back", offline).await?;
    let cut_off = setup.wait_for_cluster("1.2.0", Links::down, Links::up);
    setup.run("the link to the cluster is down during verification", cut_off).await?;
    let unanswered =
        setup.wait_for_cluster("1.3.0", Links::drop_responses, Links::restore_responses);
    setup.run("responses of the cluster are lost during verification", unanswered).await?;
    setup
        .run(
            "without the link to the bundles the pull fails, and a retry succeeds",
            setup.retry_pull("1.4.0"),
        )
        .await
}

impl Setup {
    async fn start() -> Result<Self> {
        let progress = Progress::start();
        let links = Links::create().context("network namespaces need root (CAP_NET_ADMIN)")?;
        let (hub, managed) =
            tokio::try_join!(Hub::start("far-hub", "edge"), Managed::start("cut-off"))?;
        let files = FileServer::start().await?;
        links.relay(Link::Hub, &hub.plane.server_url()).await?;
        links.relay(Link::Cluster, &managed.plane.server_url()).await?;
        links.relay(Link::Bundles, &files.url("")).await?;
        let seen_from_inside = |link, file: std::path::PathBuf| -> Result<_> {
            let text = std::fs::read_to_string(&file)?;
            let text = links.seen_from_inside(link, &text);
            std::fs::write(&file, text)?;
            Ok(file)
        };
        let hub_file = seen_from_inside(Link::Hub, hub.kubeconfig()?)?;
        let own_file = seen_from_inside(Link::Cluster, managed.copy_kubeconfig()?)?;
        let hub_file = hub_file.to_string_lossy();
        let more = ["--hub-kubeconfig", &hub_file, "--cluster-name", "edge"];
        let enter = links.enter();
        managed.spawn_agent_in_namespace(
            &enter.each_ref().map(String::as_str),
            &own_file,
            &more,
        )?;
        let add_on = managed.add_on("shop");
        Ok(Self { progress, hub, managed, files, links, add_on })
    }

    async fn run(&self, what: &str, step: impl Future<Output = Result<()>>) -> Result<()> {
        step.await.with_context(|| format!("{what}\n{}", self.managed.agent_log_end(60)))?;
        self.progress.line(what);
        Ok(())
    }

    async fn assign(&self, version: &str, image: &str, timeout: &str) -> Result<()> {
        let bundle = Bundle::new().namespace("shop").config("v", version).deployment("web", image);
        let text = bundle.yaml();
        let url = self.files.serve(&format!("/{version}"), text.as_bytes(), Behavior::Normal);
        let url = self.links.seen_from_inside(Link::Bundles, &url);
        let spec = Spec::http(version, &url, text.as_bytes()).namespace("shop");
        let spec = spec.policy("timeout", timeout).policy("soak", "5s");
        self.hub.template("shop", &format!("shop-{version}"), &spec).await?;
        self.hub.assign("shop", &format!("shop-{version}")).await
    }

    async fn until_reported(&self, phase: &str, version: &str) -> Result<()> {
        until(&format!("a report of {phase} {version} on the hub"), TIMEOUT, || async {
            let reported = self.hub.report("shop").await?;
            let is_reported = reported["phase"] == phase && reported["desiredVersion"] == version;
            if is_reported { Ok(Some(())) } else { bail!("{reported}") }
        })
        .await
    }

    async fn upgrade(&self, version: &str) -> Result<()> {
        self.assign(version, READY, "60s").await?;
        self.add_on.until_available(version).await?;
        self.until_reported("Available", version).await
    }

    async fn roll_back_offline(&self, version: &str) -> Result<()> {
        self.assign(version, NEVER_READY, "8s").await?;
        self.add_on.until_phase(Phase::Verifying).await?;
        self.links.down(Link::Hub)?;
        self.links.down(Link::Bundles)?;
        let status = self.add_on.until_phase(Phase::RolledBack).await?;
        let is_rollback = |it: &&lifecycle::HistoryEntry| it.operation == OperationKind::Rollback;
        ensure!(status.history.iter().filter(is_rollback).count() == 1, "{:?}", status.history);
        ensure!(self.add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
        self.links.up(Link::Hub)?;
        self.links.up(Link::Bundles)?;
        self.until_reported("RolledBack", version).await
    }

    /// Waits until the agent has lost its lease. That takes longer than the version's time-out.
    async fn until_cut_off(&self) -> Result<()> {
        let losses = || {
            let log = self.managed.agent_log();
            log.matches("lost the agent lease").count()
        };
        let before = losses();
        until("the agent to lose its lease", TIMEOUT, || async {
            Ok((losses() > before).then_some(()))
        })
        .await
    }

    async fn wait_for_cluster(
        &self,
        version: &str,
        cut: LinkChange,
        restore: LinkChange,
    ) -> Result<()> {
        self.assign(version, READY, "9s").await?;
        self.add_on.until_phase(Phase::Verifying).await?;
        cut(&self.links, Link::Cluster)?;
        self.until_cut_off().await?;
        restore(&self.links, Link::Cluster)?;
        self.add_on.until_available(version).await?;
        self.until_reported("Available", version).await
    }

    async fn retry_pull(&self, version: &str) -> Result<()> {
        self.links.down(Link::Bundles)?;
        self.assign(version, READY, "60s").await?;
        let status = self.add_on.until_phase(Phase::Rejected).await?;
        ensure!(status.reason.as_deref() == Some("PullFailed"), "{:?}", status.reason);
        ensure!(self.add_on.config("shop", "v").await?.as_deref() == Some("1.3.0"));
        self.links.up(Link::Bundles)?;
        self.add_on.annotate("retry", Some("the link is up")).await?;
        self.add_on.until_available(version).await?;
        self.until_reported("Available", version).await
    }
}
