//! A managed cluster with the agent installed as `manifests/agent` says, and the agent's real binary beside it.

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

/// From nothing to ready takes well under a second; a loaded machine gets more, and so does who waits for the lease of one
/// that was killed.
const READY: Duration = Duration::from_secs(120);

/// A command waits two minutes for other agents to stop, and its uninstall has a while of its own.
const COMMAND: Duration = Duration::from_secs(180);

/// What Kubernetes gives a container between SIGTERM and SIGKILL.
const END: Duration = Duration::from_secs(30);

const LOG: &str = "info,addon_agent=debug,hub_sync=debug,kube_client::client::builder=off";

pub struct Managed {
    pub plane: ControlPlane,
    kubeconfig: PathBuf,
    agents: Mutex<Vec<Process>>,
    started: AtomicU32,
}

impl Managed {
    /// Everything but the agent's process.
    pub async fn start(name: &str) -> Result<Self> {
        let managed = Self::bare(Options::full(name)).await?;
        managed.give_rights().await?;
        for manifests in MANIFESTS {
            managed.plane.apply_yaml(manifests).await?;
        }
        Ok(managed)
    }

    /// A cluster on which the agent is not installed, and whose owner has not said yet what add-ons may do.
    pub async fn bare(options: Options) -> Result<Self> {
        let plane = ControlPlane::start(options).await?;
        let kubeconfig = plane.kubeconfig(AGENT, &["system:serviceaccounts"])?;
        Ok(Self { plane, kubeconfig, agents: Mutex::default(), started: AtomicU32::new(0) })
    }

    /// Agents from now on are whom the token in this file says.
    pub fn authenticate_by(&mut self, token: &Path) -> Result<()> {
        self.kubeconfig = self.plane.kubeconfig_by_token(token)?;
        Ok(())
    }

    /// The rights this cluster's owner gives to add-ons.
    pub async fn give_rights(&self) -> Result<()> {
        self.plane.apply_yaml(INSTALLER).await
    }

    /// A cluster as `start` makes it, whose agents reach the API server through a proxy that follows `script`.
    pub async fn behind(name: &str, script: &Arc<Script>) -> Result<(Self, FaultProxy)> {
        let mut managed = Self::start(name).await?;
        let upstream = managed.plane.upstream(AGENT, &["system:serviceaccounts"])?;
        let proxy = FaultProxy::start("api", upstream, script.clone()).await?;
        managed.kubeconfig = managed.plane.write("agent.kubeconfig", &proxy.kubeconfig()?)?;
        Ok((managed, proxy))
    }

    /// A cluster as `start` makes it, with one agent that knows no hub and makes up to 32 rollouts at once.
    pub async fn with_agent(name: &str) -> Result<Self> {
        let managed = Self::start(name).await?;
        managed.start_agent(&["--max-rollouts", "32"]).await?;
        Ok(managed)
    }

    /// Starts an agent and waits until it is ready.
    pub async fn start_agent(&self, more: &[&str]) -> Result<()> {
        self.spawn_agent(more)?;
        self.agent_is_ready().await
    }

    async fn agent_is_ready(&self) -> Result<()> {
        self.until_ready(READY).await
    }

    /// Waits until the newest agent is ready.
    pub async fn until_ready(&self, within: Duration) -> Result<()> {
        until("the agent to be ready", within, || async {
            let ready = self.ask("/readyz").await?;
            Ok((ready == "ok").then_some(()))
        })
        .await
        .with_context(|| self.agent_log())
    }

    /// Waits until the newest agent says, in these words, why it is not ready.
    pub async fn until_unready(&self, words: &str, within: Duration) -> Result<()> {
        until(&format!("the agent to say {words:?}"), within, || async {
            let why = self.ask("/readyz").await?;
            if why.contains(words) { Ok(Some(())) } else { bail!("{why}") }
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

    /// Starts an agent in a pod of that name: the same name is the same agent, restarted.
    pub fn spawn_agent_as(&self, pod: &str, more: &[&str]) -> Result<()> {
        self.spawn(&[], pod, &self.kubeconfig, more)
    }

    /// The same past any proxy.
    pub fn spawn_agent_past_the_proxy(&self, pod: &str, more: &[&str]) -> Result<()> {
        let kubeconfig = self.plane.kubeconfig(AGENT, &["system:serviceaccounts"])?;
        self.spawn(&[], pod, &kubeconfig, more)
    }

    fn spawn(&self, before: &[&str], pod: &str, own: &Path, more: &[&str]) -> Result<()> {
        let (agent, log) = (agent_binary()?, self.next_log());
        let (agent, own) = (agent.to_string_lossy(), own.to_string_lossy());
        let line =
            [before, &[&*agent, "--kubeconfig", &own, "--listen", "127.0.0.1:0"], more].concat();
        let env = [("RUST_LOG", LOG), ("POD_NAME", pod)];
        let agent = Process::spawn(Path::new(line[0]), &line[1..], &env, &log)?;
        self.agents().push(agent);
        Ok(())
    }

    /// Runs the agent's program for one command, beside the agent.
    pub async fn run_command(&self, command: &[&str]) -> Result<()> {
        let kubeconfig = self.kubeconfig.to_string_lossy().into_owned();
        let args = [command, &["--kubeconfig", &kubeconfig]].concat();
        let log = self.command_log(command);
        let process = Process::spawn(&agent_binary()?, &args, &[("RUST_LOG", LOG)], &log)?;
        let ended = process.wait(COMMAND).await?;
        ensure!(ended.success(), "{ended}: {}", process.log());
        Ok(())
    }

    /// Where `run_command` puts what such a command writes.
    pub fn command_log(&self, command: &[&str]) -> PathBuf {
        self.kubeconfig.with_file_name(format!("{}.log", command.join("-")))
    }

    /// Another file that says what the agent's own does.
    pub fn kubeconfig_copy(&self) -> Result<PathBuf> {
        let copy = self.kubeconfig.with_file_name("copy.kubeconfig");
        std::fs::copy(&self.kubeconfig, &copy)?;
        Ok(copy)
    }

    /// Starts an agent by words before its own, such as those that enter a namespace, with a kubeconfig for there.
    pub fn spawn_agent_within(&self, before: &[&str], own: &Path, more: &[&str]) -> Result<()> {
        self.spawn(before, "agent", own, more)
    }

    /// Starts an agent by words before its own that change what it sees of the machine, and waits until it is ready.
    pub async fn start_agent_by(&self, before: &[String], pod: &str, more: &[&str]) -> Result<()> {
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        self.spawn(&before, pod, &self.kubeconfig, more)?;
        self.agent_is_ready().await
    }

    /// Starts an agent whose temporary files are in `room`, and waits until it is ready. Its log is a pipe, and a file
    /// that is too large is an error to it, so that `limit_agent` can make room scarce.
    pub async fn start_agent_in(&self, room: &Path) -> Result<()> {
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
        let room = room.to_string_lossy();
        let env = [("RUST_LOG", LOG), ("POD_NAME", "agent"), ("TMPDIR", &*room)];
        let agent = Process::spawn(Path::new("bash"), args, &env, &log)?;
        self.agents().push(agent);
        self.agent_is_ready().await
    }

    /// What the newest agent may use from now on; without `most`, as much as it could at first.
    pub fn limit_agent(&self, resource: Resource, most: Option<u64>) -> Result<()> {
        let maximum = getrlimit(resource).maximum;
        let limit = Rlimit { current: most.or(maximum), maximum };
        let agents = self.agents();
        let pid = agents.last().context("no agent runs")?.pid();
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        prlimit(pid, resource, limit).context("limit the agent")?;
        Ok(())
    }

    /// SIGSTOP: no time passes for it.
    pub fn freeze_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.freeze()
    }

    /// SIGCONT, after `freeze_agent`.
    pub fn thaw_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.thaw()
    }

    /// SIGKILL.
    pub fn kill_agent(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.kill()
    }

    /// SIGSTOP for the one that was started first.
    pub fn freeze_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.freeze()
    }

    /// SIGCONT for the one that was started first.
    pub fn thaw_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.thaw()
    }

    /// All that the one that was started first has written.
    pub fn first_agent_log(&self) -> String {
        self.agents().first().map(Process::log).unwrap_or_default()
    }

    /// SIGKILL for the one that was started first.
    pub fn kill_first_agent(&self) -> Result<()> {
        self.agents().first().context("no agent runs")?.kill()
    }

    /// SIGTERM; it ends by itself.
    pub fn ask_agent_to_end(&self) -> Result<()> {
        self.agents().last().context("no agent runs")?.terminate()
    }

    /// SIGTERM; its exit status once it has ended, an error when Kubernetes would kill it.
    pub async fn stop_agent(&self) -> Result<std::process::ExitStatus> {
        let agent = self.agents().pop().context("no agent runs")?;
        agent.terminate()?;
        agent.wait(END).await
    }

    /// The exit status of the newest agent, once it has ended.
    pub fn agent_exited(&self) -> Result<Option<std::process::ExitStatus>> {
        self.agents().last().context("no agent runs")?.exited()
    }

    /// The end of the log of the newest `count` agents, oldest first.
    pub fn agent_logs_end(&self, count: usize, lines: usize) -> String {
        let agents = self.agents();
        let newest = agents.iter().skip(agents.len().saturating_sub(count));
        newest.map(|agent| agent.last_lines(lines)).collect()
    }

    /// All that was written by the agents but for the first so many; and how many there are.
    pub fn agent_logs_but(&self, first: usize) -> (String, usize) {
        let agents = self.agents();
        (agents.iter().skip(first).map(Process::log).collect(), agents.len())
    }

    /// Resident memory of the newest agent in MiB, and its open files.
    pub fn agent_needs(&self) -> Result<(usize, usize)> {
        let pid = self.agents().last().context("no agent runs")?.pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.and_then(|size| size.trim().trim_end_matches(" kB").parse().ok());
        let memory: usize = memory.context("no VmRSS: the agent has just ended")?;
        Ok((memory / 1024, std::fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
    }

    pub fn agent_log(&self) -> String {
        self.agents().last().map(Process::log).unwrap_or_default()
    }

    pub fn agent_log_file(&self) -> Result<PathBuf> {
        Ok(self.agents().last().context("no agent runs")?.log_file().to_owned())
    }

    pub fn agent_log_end(&self, lines: usize) -> String {
        self.agents().last().map(|agent| agent.last_lines(lines)).unwrap_or_default()
    }

    /// As an administrator would type it, without quotes: words are told apart by spaces.
    pub async fn kubectl(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.plane.kubectl(&words).await
    }

    pub fn add_on(&self, name: &str) -> AddOn {
        AddOn::new(self.plane.admin(), name)
    }

    pub async fn metrics(&self) -> Result<String> {
        self.ask("/metrics").await
    }

    /// What the agent serves at a path.
    pub async fn ask(&self, path: &str) -> Result<String> {
        let address = self.agent_address()?;
        let answer = reqwest::get(format!("http://{address}{path}")).await?;
        Ok(answer.text().await?)
    }

    /// Host and port of its pages: it chose a free port and says which.
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
