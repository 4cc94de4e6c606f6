//! A managed cluster with the agent's manifests installed, and the agent's real program beside it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::add_on::AddOn;
use crate::fault_proxy::{FaultProxy, Script};
use crate::process::Process;
use crate::wait::until;
use crate::{ControlPlane, Options, agent_binary};

const MANIFESTS: [&str; 3] = [
    include_str!("../../manifests/agent/namespace.yaml"),
    include_str!("../../manifests/agent/crd.yaml"),
    include_str!("../../manifests/agent/rbac.yaml"),
];

const INSTALLER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: addon-installer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects:
- {kind: ServiceAccount, name: addon-installer, namespace: open-cluster-management-agent-addon}
";

const AGENT: &str = "system:serviceaccount:open-cluster-management-agent-addon:addon-agent";

/// An agent is ready within a second. It takes longer on a loaded machine, and while it waits for the lease of a killed one.
const READY: Duration = Duration::from_secs(120);

/// A command waits two minutes for other agents to stop, and its uninstall takes time, too.
const COMMAND: Duration = Duration::from_secs(180);

/// The time between SIGTERM and SIGKILL that Kubernetes gives to a container.
const GRACE_PERIOD: Duration = Duration::from_secs(30);

const LOG: &str = "info,addon_agent=debug,hub_sync=debug,kube_client::client::builder=off";

/// A managed cluster and its agents. Dropping it ends them all.
pub struct Managed {
    pub plane: ControlPlane,
    kubeconfig: PathBuf,
    agents: Mutex<Vec<Process>>,
    started: AtomicU32,
}

impl Managed {
    /// Starts everything but the agent's process.
    pub async fn start(name: &str) -> Result<Self> {
        let managed = Self::start_bare(Options::full(name)).await?;
        managed.grant_rights().await?;
        for manifests in MANIFESTS {
            managed.plane.apply_yaml(manifests).await?;
        }
        Ok(managed)
    }

    /// Starts a cluster without the agent's manifests and without rights for add-ons.
    pub async fn start_bare(options: Options) -> Result<Self> {
        let plane = ControlPlane::start(options).await?;
        let kubeconfig = plane.kubeconfig(AGENT, &["system:serviceaccounts"])?;
        Ok(Self { plane, kubeconfig, agents: Mutex::default(), started: AtomicU32::new(0) })
    }

    /// Gives the next agents the identity of the token in this file.
    pub fn use_token(&mut self, token: &Path) -> Result<()> {
        self.kubeconfig = self.plane.kubeconfig_with_token(token)?;
        Ok(())
    }

    /// Gives add-ons all rights, as the owner of a cluster may.
    pub async fn grant_rights(&self) -> Result<()> {
        self.plane.apply_yaml(INSTALLER).await
    }

    /// Starts a cluster whose agents reach the API server through a proxy that follows `script`.
    pub async fn start_behind_proxy(
        name: &str,
        script: &Arc<Script>,
    ) -> Result<(Self, FaultProxy)> {
        let mut managed = Self::start(name).await?;
        let upstream = managed.plane.upstream(AGENT, &["system:serviceaccounts"])?;
        let proxy = FaultProxy::start("api", upstream, script.clone()).await?;
        managed.kubeconfig = managed.plane.write("agent.kubeconfig", &proxy.kubeconfig()?)?;
        Ok((managed, proxy))
    }

    /// Starts a cluster with one agent, which has no hub and runs up to 32 rollouts at once.
    pub async fn start_with_agent(name: &str) -> Result<Self> {
        let managed = Self::start(name).await?;
        managed.start_agent(&["--max-rollouts", "32"]).await?;
        Ok(managed)
    }

    /// Starts an agent and waits until it is ready.
    pub async fn start_agent(&self, more: &[&str]) -> Result<()> {
        self.spawn_agent(more)?;
        self.until_ready(READY).await
    }

    /// Waits until the newest agent is ready.
    pub async fn until_ready(&self, within: Duration) -> Result<()> {
        until("the agent to be ready", within, || async {
            let ready = self.get_page("/readyz").await?;
            Ok((ready == "ok").then_some(()))
        })
        .await
        .with_context(|| self.agent_log())
    }

    /// Waits until the newest agent is not ready for a reason that contains `text`.
    pub async fn until_unready(&self, text: &str, within: Duration) -> Result<()> {
        until(&format!("the agent to be unready: {text:?}"), within, || async {
            let reason = self.get_page("/readyz").await?;
            if reason.contains(text) { Ok(Some(())) } else { bail!("{reason}") }
        })
        .await
    }

    /// Starts an agent.
    pub fn spawn_agent(&self, more: &[&str]) -> Result<()> {
        self.spawn_agent_as("agent", more)
    }

    fn next_log(&self) -> PathBuf {
        let count = self.started.fetch_add(1, Ordering::Relaxed);
        self.kubeconfig.with_file_name(format!("agent-{count}.log"))
    }

    /// Starts an agent in a pod of this name. The same name is the same agent, restarted.
    pub fn spawn_agent_as(&self, pod: &str, more: &[&str]) -> Result<()> {
        self.spawn(&[], pod, &self.kubeconfig, more)
    }

    /// Starts an agent that reaches the API server without the proxy.
    pub fn spawn_agent_without_proxy(&self, pod: &str, more: &[&str]) -> Result<()> {
        let kubeconfig = self.plane.kubeconfig(AGENT, &["system:serviceaccounts"])?;
        self.spawn(&[], pod, &kubeconfig, more)
    }

    fn spawn(&self, prefix: &[&str], pod: &str, kubeconfig: &Path, more: &[&str]) -> Result<()> {
        let (program, log) = (agent_binary()?, self.next_log());
        let (program, kubeconfig) = (program.to_string_lossy(), kubeconfig.to_string_lossy());
        let own = [&*program, "--kubeconfig", &kubeconfig, "--listen", "127.0.0.1:0"];
        let command = [prefix, &own, more].concat();
        let env = [("RUST_LOG", LOG), ("POD_NAME", pod)];
        let agent = Process::spawn(Path::new(command[0]), &command[1..], &env, &log)?;
        self.agents().push(agent);
        Ok(())
    }

    /// Runs a command of the agent's program to its end, beside the agent. It must succeed.
    pub async fn run_command(&self, command: &[&str]) -> Result<()> {
        let kubeconfig = self.kubeconfig.to_string_lossy().into_owned();
        let args = [command, &["--kubeconfig", &kubeconfig]].concat();
        let log = self.command_log(command);
        let process = Process::spawn(&agent_binary()?, &args, &[("RUST_LOG", LOG)], &log)?;
        let ended = process.wait(COMMAND).await?;
        ensure!(ended.success(), "{ended}: {}", process.log());
        Ok(())
    }

    /// Returns the log of a command that `run_command` has run.
    pub fn command_log(&self, command: &[&str]) -> PathBuf {
        self.kubeconfig.with_file_name(format!("{}.log", command.join("-")))
    }

    /// Copies the agent's kubeconfig and returns the path of the copy.
    pub fn copy_kubeconfig(&self) -> Result<PathBuf> {
        let copy = self.kubeconfig.with_file_name("copy.kubeconfig");
        std::fs::copy(&self.kubeconfig, &copy)?;
        Ok(copy)
    }

    /// Starts an agent with a prefix to its command line that enters a namespace, and with a kubeconfig for there.
    pub fn spawn_agent_in_namespace(
        &self,
        prefix: &[&str],
        kubeconfig: &Path,
        more: &[&str],
    ) -> Result<()> {
        self.spawn(prefix, "agent", kubeconfig, more)
    }

    /// Starts an agent with a prefix to its command line, and waits until it is ready.
    pub async fn start_agent_with_prefix(
        &self,
        prefix: &[String],
        pod: &str,
        more: &[&str],
    ) -> Result<()> {
        let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
        self.spawn(&prefix, pod, &self.kubeconfig, more)?;
        self.until_ready(READY).await
    }

    /// Starts an agent whose temporary files are in `folder`, and waits until it is ready. Its log is a pipe, and writing a
    /// file that is too large fails instead of killing it, so that `limit_agent` can limit the size of files.
    pub async fn start_agent_with_tmpdir(&self, folder: &Path) -> Result<()> {
        let (program, log) = (agent_binary()?, self.next_log());
        let args = [
            "-c".as_ref(),
            "trap '' XFSZ; exec > >(exec cat) 2>&1; exec \"$0\" \"$@\"".as_ref(),
            program.as_os_str(),
            "--kubeconfig".as_ref(),
            self.kubeconfig.as_os_str(),
            "--listen".as_ref(),
            "127.0.0.1:0".as_ref(),
        ];
        let folder = folder.to_string_lossy();
        let env = [("RUST_LOG", LOG), ("POD_NAME", "agent"), ("TMPDIR", &*folder)];
        let agent = Process::spawn(Path::new("bash"), args, &env, &log)?;
        self.agents().push(agent);
        self.until_ready(READY).await
    }

    /// Limits what the newest agent may use. Without a limit it may use as much as at first.
    pub fn limit_agent(&self, resource: Resource, limit: Option<u64>) -> Result<()> {
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit { current: limit.or(maximum), maximum };
        let agents = self.agents();
        let pid = agents.last().context("no agent runs")?.pid();
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        prlimit(pid, resource, limit).context("limit the agent")?;
        Ok(())
    }

    /// Sends SIGSTOP to the newest agent: no time passes for it.
    pub fn freeze_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.freeze()
    }

    /// Sends SIGCONT, after `freeze_agent`.
    pub fn thaw_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.thaw()
    }

    /// Kills the newest agent.
    pub fn kill_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.kill()
    }

    /// Sends SIGSTOP to the agent that was started first.
    pub fn freeze_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.freeze()
    }

    /// Sends SIGCONT to the agent that was started first.
    pub fn thaw_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.thaw()
    }

    /// Returns the log of the agent that was started first.
    pub fn first_agent_log(&self) -> String {
        self.agents().first().map(Process::log).unwrap_or_default()
    }

    /// Kills the agent that was started first.
    pub fn kill_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.kill()
    }

    /// Sends SIGTERM to the newest agent.
    pub fn terminate_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.terminate()
    }

    /// Sends SIGTERM to the newest agent and returns its exit status. Fails after the time that Kubernetes gives it.
    pub async fn stop_agent(&self) -> Result<std::process::ExitStatus> {
        let agent = self.agents().pop().context("no agent runs")?;
        agent.terminate()?;
        agent.wait(GRACE_PERIOD).await
    }

    /// Returns the exit status of the newest agent, once it has ended.
    pub fn agent_exit_status(&self) -> Result<Option<std::process::ExitStatus>> {
        self.agents().last().context("no agent runs")?.exit_status()
    }

    /// Returns the last lines of the logs of the newest `count` agents, oldest first.
    pub fn last_agent_logs(&self, count: usize, lines: usize) -> String {
        let agents = self.agents();
        let newest = agents.iter().skip(agents.len().saturating_sub(count));
        newest.map(|agent| agent.last_lines(lines)).collect()
    }

    /// Returns the logs of all agents after the first `skipped`, and the number of all agents.
    pub fn agent_logs_after(&self, skipped: usize) -> (String, usize) {
        let agents = self.agents();
        (agents.iter().skip(skipped).map(Process::log).collect(), agents.len())
    }

    /// Returns the resident memory of the newest agent in MiB, and the number of its open files.
    pub fn agent_usage(&self) -> Result<(usize, usize)> {
        let pid = self.agents().last().context("no agent runs")?.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok());
        let memory: usize = memory.context("no VmRSS: the agent has just ended")?;
        Ok((memory / 1024, std::fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
    }

    /// Returns the log of the newest agent.
    pub fn agent_log(&self) -> String {
        self.agents().last().map(Process::log).unwrap_or_default()
    }

    pub fn agent_log_file(&self) -> Result<PathBuf> {
        Ok(self.agents().last().context("no agent runs")?.log_file().to_owned())
    }

    /// Returns the last lines of the log of the newest agent.
    pub fn agent_log_end(&self, lines: usize) -> String {
        self.agents().last().map(|agent| agent.last_lines(lines)).unwrap_or_default()
    }

    /// Runs kubectl as administrator with these arguments, which are separated by spaces.
    pub async fn kubectl(&self, arguments: &str) -> Result<String> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.plane.kubectl(&arguments).await
    }

    pub fn add_on(&self, name: &str) -> AddOn {
        AddOn::new(self.plane.admin(), name)
    }

    pub async fn metrics(&self) -> Result<String> {
        self.get_page("/metrics").await
    }

    /// Returns the page that the agent serves at this path.
    pub async fn get_page(&self, path: &str) -> Result<String> {
        let address = self.agent_address()?;
        let answer = reqwest::get(format!("http://{address}{path}")).await?;
        Ok(answer.text().await?)
    }

    /// Returns host and port of the newest agent's pages. It logs the free port that it chose.
    pub fn agent_address(&self) -> Result<String> {
        let log = self.agent_log();
        let line = log.lines().find(|line| line.contains("serving /metrics")).context("not yet")?;
        let line: serde_json::Value = serde_json::from_str(line)?;
        Ok(line["address"].as_str().context("no address in the log")?.to_owned())
    }

    fn agents(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
