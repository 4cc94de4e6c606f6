//! The machine of a node: namespaces of its own for mounts, processes and the network, connected to this host by one
//! cable. Everything in it ends with its first process, mounts and network included.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::{Process, output};
use crate::run_folder::RunFolder;
use crate::wait::until;

/// The address of this host, as the machine sees it.
pub const HOST: &str = "10.214.0.1";
/// The address of the machine, as this host sees it.
pub const ADDRESS: &str = "10.214.0.2";

const CABLE: &str = "addon-e2e";

const STARTED: Duration = Duration::from_secs(20);

/// Runs inside: starts the network with its routes, and keeps containerd's sockets and its pods' networks apart from the
/// host's.
const SETUP: &str = "
set -eu
ip link set lo up
ip address add 10.214.0.2/24 dev eth0
ip link set eth0 up
ip route add default via 10.214.0.1
echo 1 > /proc/sys/net/ipv4/ip_forward
mount --make-rshared /
mkdir -p /run/containerd /run/netns
mount -t tmpfs tmpfs /run/containerd
mount -t tmpfs tmpfs /run/netns
";

pub struct Machine {
    first: Process,
    /// The id of the first process, as this host sees it.
    pid: u32,
    pub folder: RunFolder,
    /// Control groups and addresses are the host's, so that there is one machine at a time.
    _lock: File,
}

impl Machine {
    /// Starts a machine. Needs root.
    pub async fn start() -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "a real node needs root");
        let lock = lock_host()?;
        let folder = RunFolder::create()?;
        let args = [
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sleep",
            "infinity",
        ];
        let log = folder.path().join("machine.log");
        let first = Process::spawn(Path::new("unshare"), args, &[], &log)?;
        let pid = first_child(&first).await?;
        let machine = Self { first, pid, folder, _lock: lock };
        machine.connect().await.with_context(|| machine.first.last_lines(10))?;
        Ok(machine)
    }

    /// Starts a program in the machine. Its log is a file of the program's name in `folder`.
    pub fn spawn<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Process> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let log = self.log(&name);
        let mut all = self.enter();
        all.push(program.to_string_lossy().into_owned());
        all.extend(args.into_iter().map(|arg| arg.as_ref().to_string_lossy().into_owned()));
        Process::spawn(Path::new("nsenter"), all, &[], &log)
    }

    /// Runs a program in the machine to its end and returns its output. An error has what it wrote to stderr.
    pub async fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new("nsenter");
        command.args(self.enter()).arg(program).args(args);
        output(command, &format!("{program} {}", args.join(" "))).await
    }

    pub fn log(&self, program: &str) -> PathBuf {
        self.folder.path().join(format!("{program}.log"))
    }

    fn enter(&self) -> Vec<String> {
        let target = format!("--target={}", self.pid);
        vec![target, "--mount".into(), "--net".into(), "--pid".into(), "--".into()]
    }

    async fn connect(&self) -> Result<()> {
        let pid = self.pid.to_string();
        ip(&["link", "add", CABLE, "type", "veth", "peer", "name", "eth0", "netns", &pid]).await?;
        ip(&["address", "add", &format!("{HOST}/24"), "dev", CABLE]).await?;
        ip(&["link", "set", CABLE, "up"]).await?;
        self.run("sh", &["-c", SETUP]).await.map(drop)
    }
}

async fn ip(args: &[&str]) -> Result<String> {
    let mut command = Command::new("ip");
    command.args(args);
    output(command, &format!("ip {}", args.join(" "))).await
}

fn lock_host() -> Result<File> {
    let path = "/run/lock/addon-e2e";
    let lock = File::create(path).with_context(|| format!("open {path}"))?;
    lock.try_lock()
        .ok()
        .context("another test on this host has a real node: wait until it has ended")?;
    Ok(lock)
}

/// Returns the id of the child of `unshare`, which is the first process in the new namespaces.
async fn first_child(unshare: &Process) -> Result<u32> {
    let pid = unshare.pid();
    let children = format!("/proc/{pid}/task/{pid}/children");
    until("the machine's first process", STARTED, || async {
        ensure!(unshare.exit_status()?.is_none(), "unshare ended: {}", unshare.last_lines(5));
        let text = fs::read_to_string(&children)?;
        Ok(text.split_whitespace().next().map(str::parse).transpose()?)
    })
    .await
}
