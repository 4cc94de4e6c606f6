//! Real partitions: the agent in a network namespace of its own, with one link each to the hub, to its cluster and to the
//! server of bundles; links are taken down, or answers dropped, in mid-rollout. Needs root, or `unshare --net
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

/// What happens by itself within a minute, on a loaded machine.
const LONG: Duration = Duration::from_secs(120);

/// What is done to a link.
type Act = fn(&Links, Link) -> Result<()>;

struct Stage {
    progress: Progress,
    hub: Hub,
    managed: Managed,
    files: FileServer,
    links: Links,
    add_on: AddOn,
}

const USAGE: &str = "\
cargo partitions

Runs the agent in a network namespace of its own, upgrades an add-on again and again, and takes the links to its hub, its
cluster and its bundles down, or drops the answers, in the middle of that. About two minutes. Exits with 1 when anything
was not as told.

Needs root, or: unshare --net --map-root-user cargo partitions";

fn main() -> ExitCode {
    testbed::command_line::run(USAGE, &[], |_| partitions())
}

async fn partitions() -> Result<()> {
    let stage = Stage::build().await?;
    stage.tell("a good version with every link up", stage.upgrades("1.0.0")).await?;
    let alone = stage.rolls_back_alone("1.1.0");
    stage.tell("no hub and no bundles: it rolls back by itself", alone).await?;
    let cut_off = stage.waits_for_its_cluster("1.2.0", Links::down, Links::up);
    stage.tell("its cluster is cut off while it verifies", cut_off).await?;
    let unanswered =
        stage.waits_for_its_cluster("1.3.0", Links::swallow_answers, Links::answer_again);
    stage.tell("answers of its cluster are lost", unanswered).await?;
    stage.tell("no bundles while it pulls", stage.pulls_later("1.4.0")).await
}

impl Stage {
    async fn build() -> Result<Self> {
        let progress = Progress::start();
        let links = Links::make().context("network namespaces need root (CAP_NET_ADMIN)")?;
        let (hub, managed) =
            tokio::try_join!(Hub::start("far-hub", "edge"), Managed::start("cut-off"))?;
        let files = FileServer::start().await?;
        links.relay(Link::Hub, &hub.plane.server_url()).await?;
        links.relay(Link::Cluster, &managed.plane.server_url()).await?;
        links.relay(Link::Bundles, &files.url("")).await?;
        let far = |link, file: std::path::PathBuf| -> Result<_> {
            let text = std::fs::read_to_string(&file)?;
            let text = links.seen_from_inside(link, &text);
            std::fs::write(&file, text)?;
            Ok(file)
        };
        let hub_file = far(Link::Hub, hub.kubeconfig()?)?;
        let own_file = far(Link::Cluster, managed.copy_kubeconfig()?)?;
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

    async fn tell(&self, what: &str, act: impl Future<Output = Result<()>>) -> Result<()> {
        act.await.with_context(|| format!("{what}\n{}", self.managed.agent_log_end(60)))?;
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
        until(&format!("the hub to hear of {phase} {version}"), LONG, || async {
            let reported = self.hub.report("shop").await?;
            let said = reported["phase"] == phase && reported["desiredVersion"] == version;
            if said { Ok(Some(())) } else { bail!("{reported}") }
        })
        .await
    }

    async fn upgrades(&self, version: &str) -> Result<()> {
        self.assign(version, READY, "60s").await?;
        self.add_on.until_available(version).await?;
        self.until_reported("Available", version).await
    }

    async fn rolls_back_alone(&self, version: &str) -> Result<()> {
        self.assign(version, NEVER_READY, "8s").await?;
        self.add_on.until_phase(Phase::Verifying).await?;
        self.links.down(Link::Hub)?;
        self.links.down(Link::Bundles)?;
        let status = self.add_on.until_phase(Phase::RolledBack).await?;
        let back = |it: &&lifecycle::HistoryEntry| it.operation == OperationKind::Rollback;
        ensure!(status.history.iter().filter(back).count() == 1, "{:?}", status.history);
        ensure!(self.add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
        self.links.up(Link::Hub)?;
        self.links.up(Link::Bundles)?;
        self.until_reported("RolledBack", version).await
    }

    /// Until the agent has given up its lease, which is longer than the version's time.
    async fn is_cut_off(&self) -> Result<()> {
        let given_up = || {
            let log = self.managed.agent_log();
            log.matches("lost the agent lease").count()
        };
        let before = given_up();
        until("the agent to stop", LONG, || async { Ok((given_up() > before).then_some(())) }).await
    }

    async fn waits_for_its_cluster(&self, version: &str, cut: Act, mend: Act) -> Result<()> {
        self.assign(version, READY, "9s").await?;
        self.add_on.until_phase(Phase::Verifying).await?;
        cut(&self.links, Link::Cluster)?;
        self.is_cut_off().await?;
        mend(&self.links, Link::Cluster)?;
        self.add_on.until_available(version).await?;
        self.until_reported("Available", version).await
    }

    async fn pulls_later(&self, version: &str) -> Result<()> {
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
