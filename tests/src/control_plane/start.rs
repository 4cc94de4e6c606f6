//! Starting a control plane, in the order in which its parts need each other.

use std::net::Ipv4Addr;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};
use tokio::task::spawn_blocking;

use super::{ControlPlane, START};
use crate::pki::Authority;
use crate::process::Process;
use crate::servers::Servers;
use crate::{nodes, wait};
use programs::Binaries;

/// Ports are picked before they are listened on, so that another process may be first.
const ATTEMPTS: usize = 3;

/// The parts of a control plane beyond etcd and the API server.
#[derive(Clone, Debug)]
pub struct Options {
    /// For messages.
    pub name: String,
    /// Runs Deployments, garbage collection, namespace deletion, service accounts, certificate requests.
    pub controller_manager: bool,
    /// Schedules pods.
    pub scheduler: bool,
    /// Simulated by kwok. The life of their pods is in `nodes/stages.yaml`.
    pub nodes: usize,
    /// The address of the API server. If it is not loopback, the API server listens on every address of this host.
    pub address: Ipv4Addr,
}

impl Options {
    /// Returns only etcd and the API server.
    pub fn api_only(name: &str) -> Self {
        Self {
            name: name.into(),
            controller_manager: false,
            scheduler: false,
            nodes: 0,
            address: Ipv4Addr::LOCALHOST,
        }
    }

    /// Returns everything, with one node.
    pub fn full(name: &str) -> Self {
        Self { controller_manager: true, scheduler: true, nodes: 1, ..Self::api_only(name) }
    }
}

impl ControlPlane {
    /// Returns when all parts are ready. The first call on a machine builds the programs, which takes minutes.
    pub async fn start(options: Options) -> Result<Self> {
        let binaries = spawn_blocking(Binaries::ensure).await??;
        let mut attempt = 1;
        loop {
            let started = Self::start_once(binaries.clone(), &options).await;
            let started = started.with_context(|| format!("start control plane {}", options.name));
            match started {
                Err(error) if attempt < ATTEMPTS && is_port_taken(&error) => attempt += 1,
                done => return done,
            }
        }
    }

    async fn start_once(binaries: Binaries, options: &Options) -> Result<Self> {
        let authority = Authority::new()?;
        let servers =
            Servers::prepare(binaries, &authority, options.controller_manager, options.address)?;
        let admin = authority.client("admin", &["system:masters"])?;
        let admin_kubeconfig = authority.kubeconfig(&servers.url(), &admin);
        let mut plane = Self {
            name: options.name.clone(),
            etcd: Mutex::new(Arc::new(servers.start_etcd()?)),
            api: Mutex::new(Arc::new(servers.start_api()?)),
            controllers: Vec::new(),
            authority,
            admin,
            admin_kubeconfig: servers.folder().write("admin.kubeconfig", admin_kubeconfig)?,
            kubeconfigs: AtomicU32::new(0),
            servers,
        };
        plane.wait_until_ready().await?;
        plane.start_controllers(options).await?;
        Ok(plane)
    }

    fn start_controller(
        &mut self,
        user: &str,
        start: impl Fn(&Servers, &str) -> Result<Process>,
    ) -> Result<()> {
        let kubeconfig = self.kubeconfig(user, &["system:masters"])?;
        self.controllers.push(start(&self.servers, &kubeconfig.to_string_lossy())?);
        Ok(())
    }

    async fn start_controllers(&mut self, options: &Options) -> Result<()> {
        if options.controller_manager {
            self.start_controller(
                "system:kube-controller-manager",
                Servers::start_controller_manager,
            )?;
        }
        if options.scheduler {
            self.start_controller("system:kube-scheduler", Servers::start_scheduler)?;
        }
        if options.nodes > 0 {
            self.start_controller("kwok", Servers::start_kwok)?;
        }
        let admin = self.admin();
        nodes::add(&admin, options.nodes).await.with_context(|| self.last_log_lines(10))?;
        if options.controller_manager {
            wait_for_controllers(&admin).await.with_context(|| self.last_log_lines(10))?;
        }
        Ok(())
    }
}

/// Waits for the first object that only a running controller-manager makes, and that every pod needs.
async fn wait_for_controllers(admin: &Client) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    wait::until("the default service account", START, || async {
        Ok(accounts.get_opt("default").await?)
    })
    .await
    .map(drop)
}

fn is_port_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}
