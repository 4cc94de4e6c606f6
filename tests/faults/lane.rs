//! One control plane with one agent behind fault proxies: what is tried side by side is tried in lanes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use lifecycle::ManagedAddOn;
use lifecycle::names::{DEFAULT_NAMESPACE, label};
use serde_json::json;
use testbed::fault_proxy::{FaultProxy, Script, Upstream};
use testbed::file_server::{FileServer, Manner};
use testbed::wait::until;
use testbed::{AddOn, Managed};

use k8s_openapi::api::core::v1::{Namespace, Secret};

use crate::scenario::{OLD, VERSIONS, bundle, spec};
use crate::snapshot::Snapshot;

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
    number: usize,
    count: usize,
    installed: Vec<String>,
    /// What has been tried, and how it ended.
    tried: Vec<(String, Snapshot)>,
    files: FileServer,
    file_proxy: FaultProxy,
    _api_proxy: FaultProxy,
}

impl Lane {
    pub async fn start(number: usize) -> Result<Self> {
        let script = Arc::new(Script::default());
        let (managed, api_proxy) = Managed::behind(&format!("lane-{number}"), &script).await?;
        let files = FileServer::start().await?;
        let file_proxy =
            FaultProxy::start(Upstream::files(&files.url(""))?, script.clone()).await?;
        managed.start_agent(AGENT_FLAGS).await?;
        let client = managed.plane.admin();
        Ok(Self {
            managed: Arc::new(managed),
            client,
            script,
            number,
            count: 0,
            installed: Vec::new(),
            tried: Vec::new(),
            files,
            file_proxy,
            _api_proxy: api_proxy,
        })
    }

    /// A name that was never used, with its bundles served.
    pub fn fresh(&mut self) -> String {
        self.count += 1;
        let name = format!("add-on-{}-{:04}", self.number, self.count);
        for version in VERSIONS {
            self.files.serve(
                &path(&name, version),
                bundle(&name, version).as_bytes(),
                Manner::Well,
            );
        }
        name
    }

    pub async fn assign(&self, name: &str, version: &str) -> Result<()> {
        let url = format!("{}{}", self.file_proxy.url(), path(name, version));
        self.add_on(name).assign(&spec(name, version, &url)).await
    }

    pub fn add_on(&self, name: &str) -> AddOn {
        AddOn::new(self.client.clone(), name)
    }

    /// An add-on that is Available in 1.0.0 and at rest.
    pub async fn installed(&mut self) -> Result<String> {
        if self.installed.is_empty() {
            let names: Vec<String> = (0..BATCH).map(|_| self.fresh()).collect();
            self.script.begin(&[], Arc::new(|| {}));
            futures::future::try_join_all(names.iter().map(|name| self.install(name))).await?;
            self.installed = names;
        }
        self.installed.pop().context("a batch has some")
    }

    async fn install(&self, name: &str) -> Result<()> {
        self.assign(name, OLD).await?;
        until(&format!("{name} to be installed and at rest"), PATIENCE, || async {
            let snapshot = Snapshot::take(&self.client, name).await?;
            let tidy = snapshot.books.get(&format!("release {OLD}")) == Some(&json!("current"));
            let available =
                snapshot.books.get("ManagedAddOn").is_some_and(|book| book["phase"] == "Available");
            if tidy && available { Ok(Some(())) } else { bail!("{:?}", snapshot.books) }
        })
        .await
    }

    pub fn is_bundle(&self, path: &str) -> bool {
        path.starts_with("/add-on-")
    }

    /// Returns when the agent lives and has nothing to do.
    pub async fn quiet(&self) -> Result<()> {
        if self.managed.agent_exited()?.is_some() {
            self.managed.start_agent(AGENT_FLAGS).await?;
        }
        until("the agent to be ready and quiet", PATIENCE, || async {
            let ready = self.managed.ask("/readyz").await? == "ok";
            let quiet = self.script.last().is_none_or(|last| last.elapsed() > QUIET);
            Ok((ready && quiet).then_some(()))
        })
        .await
    }

    pub fn restart(&self) -> Result<()> {
        self.managed.spawn_agent(AGENT_FLAGS)
    }

    pub async fn is_ready(&self) -> bool {
        self.managed.ask("/readyz").await.is_ok_and(|ready| ready == "ok")
    }

    /// One that was tried, to be looked at once more before it is cleared away.
    pub fn put_by(&mut self, name: String, end: Snapshot) {
        self.tried.push((name, end));
    }

    pub fn is_full(&self) -> bool {
        self.tried.len() >= BATCH
    }

    /// Whether what was tried stayed as it ended, through all that was done to the others; then it is cleared away.
    pub async fn clear(&mut self) -> Result<Vec<String>> {
        let mut changed = Vec::new();
        for (name, end) in std::mem::take(&mut self.tried) {
            let now = Snapshot::take(&self.client, &name).await?;
            let found = now.differences(&end);
            if !found.is_empty() {
                changed.push(format!("{name} did not stay as it was: {}", found.join("; ")));
            }
            self.wipe(&name).await?;
        }
        Ok(changed)
    }

    /// With an administrator's might: nothing is left for the agent to do.
    pub async fn wipe(&self, name: &str) -> Result<()> {
        let api: Api<ManagedAddOn> = Api::all(self.client.clone());
        let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        _ = api.delete(name, &DeleteParams::default()).await;
        _ = api.patch(name, &PatchParams::default(), &free).await;
        until("the ManagedAddOn to be gone", Duration::from_secs(10), || async {
            _ = api.patch(name, &PatchParams::default(), &free).await;
            Ok(api.get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        _ = namespaces.delete(name, &DeleteParams::background()).await;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), DEFAULT_NAMESPACE);
        let ours = ListParams::default().labels(&format!("{}={name}", label::ADD_ON));
        secrets.delete_collection(&DeleteParams::default(), &ours).await?;
        Ok(())
    }

    /// The kill that a script does.
    pub fn kill(&self) -> Arc<dyn Fn() + Send + Sync> {
        let managed = self.managed.clone();
        Arc::new(move || _ = managed.kill_agent())
    }

    pub fn died(&self) -> Result<bool> {
        Ok(self.managed.agent_exited()?.is_some())
    }
}

const AGENT_FLAGS: &[&str] = &["--max-rollouts", "32"];

fn path(name: &str, version: &str) -> String {
    format!("/{name}-{version}.yaml")
}
