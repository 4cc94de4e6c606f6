//! One control plane with one agent behind fault proxies: what is tried side by side is tried in lanes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use lifecycle::names::{DEFAULT_NAMESPACE, label};
use lifecycle::{ManagedAddOn, Phase};
use serde_json::json;
use testbed::fault_proxy::{Counts, FaultProxy, Kill, Moment, Script, Upstream};
use testbed::file_server::{Behavior, FileServer};
use testbed::wait::until;
use testbed::{AddOn, Hub, Managed};

use k8s_openapi::api::core::v1::Secret;

use crate::scenario::{FILES, HUB, OLD, PREFIX, Scenario, VERSIONS, Writer, bundle, spec};
use crate::snapshot::Snapshot;
use crate::tally::Tally;
use crate::witness::Witness;

/// Side by side.
pub const MOST_LANES: usize = 12;
/// Add-ons that are installed at once to be tried one by one.
const BATCH: usize = 6;
/// A loaded machine installs that many in seconds.
const PATIENCE: Duration = Duration::from_secs(90);
/// An agent that has asked nothing for this long has nothing to do.
const QUIET: Duration = Duration::from_millis(250);

pub struct Lane {
    pub managed: Arc<Managed>,
    pub client: Client,
    pub script: Arc<Script>,
    pub hub: Hub,
    number: usize,
    count: usize,
    installed: BTreeMap<Writer, Vec<String>>,
    /// What has been tried, and how it ended.
    tried: Vec<(String, Writer, Snapshot)>,
    agent_flags: Vec<String>,
    pub tally: Tally,
    pub witness: Arc<Witness>,
    files: FileServer,
    file_proxy: FaultProxy,
    _api_proxy: FaultProxy,
    _hub_proxy: FaultProxy,
}

impl Lane {
    /// All lanes are clusters of one hub, each behind proxies of its own.
    pub async fn start(number: usize, hub: &Hub) -> Result<Self> {
        let name = format!("lane-{number}");
        let script = Arc::new(Script::default());
        let (managed, api_proxy) = Managed::start_behind_proxy(&name, &script).await?;
        let files = FileServer::start().await?;
        let upstream = Upstream::files(&files.url(""))?;
        let file_proxy = FaultProxy::start(FILES, upstream, script.clone()).await?;
        let hub = hub.for_cluster(&name).await?;
        let hub_proxy = FaultProxy::start(HUB, hub.upstream()?, script.clone()).await?;
        let credential = hub_proxy.kubeconfig()?;
        let kubeconfig = managed.plane.write("hub.kubeconfig", &credential)?;
        let witness = Arc::new(Witness::new());
        witness.keep_secret(&credential);
        let watching = witness.clone();
        script.inspect(Box::new(move |record, body| watching.look_at(record, body)));
        let client = managed.plane.admin();
        let lane = Self {
            tally: Tally::start(&client).await?,
            witness,
            client,
            managed: Arc::new(managed),
            script,
            hub,
            number,
            count: 0,
            installed: BTreeMap::new(),
            tried: Vec::new(),
            agent_flags: agent_flags(&kubeconfig, &name),
            files,
            file_proxy,
            _api_proxy: api_proxy,
            _hub_proxy: hub_proxy,
        };
        lane.managed.start_agent(&lane.agent_flags()).await?;
        Ok(lane)
    }

    /// Another cluster of the same hub, with names of its own.
    pub async fn anew(self) -> Result<Self> {
        Self::start(self.number + MOST_LANES, &self.hub).await
    }

    /// A name that was never used, with its bundles served.
    pub fn fresh(&mut self) -> String {
        self.count += 1;
        let name = format!("{PREFIX}{}-{:04}", self.number, self.count);
        for version in VERSIONS {
            let bundle = bundle(&name, version);
            self.witness.expect(&bundle);
            self.files.serve(&path(&name, version), bundle.yaml().as_bytes(), Behavior::Normal);
        }
        name
    }

    pub async fn assign(&self, name: &str, version: &str, writer: Writer) -> Result<()> {
        let url = format!("{}{}", self.file_proxy.url(), path(name, version));
        let spec = spec(name, version, &url);
        match writer {
            Writer::Local => self.add_on(name).assign(&spec).await,
            Writer::Hub => {
                let template = format!("{name}-{version}");
                self.hub.template(name, &template, &spec).await?;
                self.hub.assign(name, &template).await
            }
        }
    }

    pub async fn unassign(&self, name: &str, writer: Writer) -> Result<()> {
        match writer {
            Writer::Local => self.add_on(name).delete().await,
            Writer::Hub => self.hub.unassign(name).await,
        }
    }

    pub async fn snapshot(&self, name: &str, writer: Writer) -> Result<Snapshot> {
        let hub = Some(&self.hub).filter(|_| writer == Writer::Hub);
        Snapshot::take(&self.client, hub, name).await
    }

    pub fn add_on(&self, name: &str) -> AddOn {
        AddOn::new(self.client.clone(), name)
    }

    /// An add-on that is Available in 1.0.0 and at rest.
    pub async fn installed(&mut self, writer: Writer) -> Result<String> {
        if self.installed.get(&writer).is_none_or(Vec::is_empty) {
            let names: Vec<String> = (0..BATCH).map(|_| self.fresh()).collect();
            self.script.begin(&[], Arc::new(|_| false), Arc::new(|_| {}));
            let installs = names.iter().map(|name| self.install(name, writer));
            futures::future::try_join_all(installs).await?;
            self.installed.insert(writer, names);
        }
        self.installed.get_mut(&writer).and_then(Vec::pop).context("a batch has some")
    }

    async fn install(&self, name: &str, writer: Writer) -> Result<()> {
        self.assign(name, OLD, writer).await?;
        until(&format!("{name} to be installed"), PATIENCE, || async {
            let add_on = self.add_on(name).get().await?.and_then(|add_on| add_on.status);
            let phase = add_on.and_then(|status| status.phase);
            Ok((phase == Some(Phase::Available)).then_some(()))
        })
        .await?;
        until(&format!("{name} to be installed and at rest"), PATIENCE, || async {
            let snapshot = self.snapshot(name, writer).await?;
            let tidy = snapshot.books.get(&format!("release {OLD}")) == Some(&json!("current"));
            let book = snapshot.books.get("ManagedAddOn");
            let available = book.is_some_and(|book| book["phase"] == "Available");
            let told = writer == Writer::Local || snapshot.is_told();
            if tidy && available && told { Ok(Some(())) } else { bail!("{:?}", snapshot.books) }
        })
        .await
    }

    pub fn is_bundle(&self, path: &str) -> bool {
        path.starts_with(&format!("/{PREFIX}"))
    }

    /// Returns when the agent lives and has nothing to do.
    pub async fn quiet(&self) -> Result<()> {
        until("the agent to be ready and quiet", PATIENCE, || async {
            if self.died()? {
                self.restart()?;
            }
            let ready = self.managed.get_page("/readyz").await? == "ok";
            let quiet = self.script.last_request().is_none_or(|last| last.elapsed() > QUIET);
            Ok((ready && quiet).then_some(()))
        })
        .await
    }

    pub fn restart(&self) -> Result<()> {
        self.managed.spawn_agent(&self.agent_flags())
    }

    pub async fn is_ready(&self) -> bool {
        self.managed.get_page("/readyz").await.is_ok_and(|ready| ready == "ok")
    }

    /// One that was tried, to be looked at once more before it is cleared away.
    pub fn put_by(&mut self, name: String, writer: Writer, end: Snapshot) {
        self.tried.push((name, writer, end));
    }

    pub fn is_full(&self) -> bool {
        self.tried.len() >= BATCH
    }

    /// Whether what was tried stayed as it ended, through all that was done to the others; then it is cleared away.
    pub async fn clear(&mut self) -> Result<Vec<String>> {
        let mut changed = self.witness.secrets_told(self).await?;
        for (name, writer, end) in std::mem::take(&mut self.tried) {
            let now = self.snapshot(&name, writer).await?;
            let found = now.differences(&end);
            if !found.is_empty() {
                changed.push(format!("{name} did not stay as it was: {}", found.join("; ")));
            }
            self.wipe(&name, writer).await?;
        }
        Ok(changed)
    }

    /// With an administrator's might: nothing is left for the agent to do.
    pub async fn wipe(&self, name: &str, writer: Writer) -> Result<()> {
        if writer == Writer::Hub {
            self.hub.forget(name).await?;
        }
        let api: Api<ManagedAddOn> = Api::all(self.client.clone());
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        _ = api.delete(name, &DeleteParams::default()).await;
        _ = api.patch(name, &PatchParams::default(), &free).await;
        until("the ManagedAddOn to be gone", Duration::from_secs(10), || async {
            _ = api.patch(name, &PatchParams::default(), &free).await;
            Ok(api.get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
        // Deleting the namespace, which is never used again, would cost a hundred requests.
        self.client.request_text(deletion(name, "apps/v1", "deployments")?).await?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), DEFAULT_NAMESPACE);
        let ours = ListParams::default().labels(&format!("{}={name}", label::ADD_ON));
        secrets.delete_collection(&DeleteParams::default(), &ours).await?;
        Ok(())
    }

    /// The kill that a script does.
    pub fn kill(&self) -> Kill {
        let managed = self.managed.clone();
        Arc::new(move |moment| {
            _ = match moment {
                Moment::Asked => managed.terminate_agent(),
                Moment::Before | Moment::Unanswered | Moment::After => managed.kill_agent(),
            }
        })
    }

    /// What the script numbers.
    pub fn counts(&self, name: &str, scenario: Scenario) -> Counts {
        let name = name.to_owned();
        Arc::new(move |record| scenario.counts(&name, record))
    }

    fn agent_flags(&self) -> Vec<&str> {
        self.agent_flags.iter().map(String::as_str).collect()
    }

    pub fn died(&self) -> Result<bool> {
        Ok(self.managed.agent_exit_status()?.is_some())
    }
}

fn agent_flags(hub: &Path, cluster: &str) -> Vec<String> {
    let hub = hub.to_string_lossy().into_owned();
    let flags = ["--max-rollouts", "32", "--hub-kubeconfig", &hub, "--cluster-name", cluster];
    flags.map(str::to_owned).to_vec()
}

/// Of all objects of a kind in a namespace.
fn deletion(namespace: &str, api: &str, kind: &str) -> Result<http::Request<Vec<u8>>> {
    let path = format!("/apis/{api}/namespaces/{namespace}/{kind}?propagationPolicy=Background");
    Ok(http::Request::delete(path).body(Vec::new())?)
}

fn path(name: &str, version: &str) -> String {
    format!("/{name}-{version}.yaml")
}
