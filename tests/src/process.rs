//! Child processes, which end with this process and can be stopped in every way that a test needs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

mod spawner;
use crate::wait;

/// Runs a command to its end and returns its stdout. An error has its stderr.
pub async fn output(mut command: Command, name: &str) -> Result<String> {
    let output = tokio::task::spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("run {name}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program that runs. It is killed when dropped.
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with both of its output streams appended to the file `log`. It inherits the environment.
    pub fn spawn<A: AsRef<OsStr>>(
        program: &Path,
        args: impl IntoIterator<Item = A>,
        env: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.args(args).envs(env.iter().copied()).stdin(Stdio::null());
        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("open {}", log.display()))?;
        command.stdout(output.try_clone()?).stderr(output);
        let child = spawner::spawn(command).with_context(|| format!("start {name}"))?;
        Ok(Self { name, pid: child.id(), child: Mutex::new(child), log: log.to_path_buf() })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends SIGKILL. Returns when the process has ended.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().with_context(|| format!("kill {}", self.name))?;
        child.wait().with_context(|| format!("reap {}", self.name))?;
        Ok(())
    }

    /// Sends SIGTERM. `wait` returns when the process has ended.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGSTOP: the process keeps its connections and answers nothing.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Sends SIGCONT, after `freeze`.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Returns the exit status, once the process has ended.
    pub fn exit_status(&self) -> Result<Option<ExitStatus>> {
        Ok(self.child().try_wait()?)
    }

    /// Waits for the process to end by itself or after `terminate`.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {} ({})", self.name, self.pid);
        wait::until(&what, deadline, || async { self.exit_status() }).await
    }

    /// Returns the path of its log.
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Returns what it has written so far.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the last `count` lines that it has written, below its name.
    pub fn last_lines(&self, count: usize) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(count)..].join("\n");
        format!("--- {} ({}), last lines of its log\n{tail}\n", self.name, self.pid)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // A child that was not reaped keeps its pid, so that the signal cannot reach another process.
        let mut child = self.child();
        if let Some(status) = child.try_wait()? {
            bail!("{} has already ended: {status}", self.name);
        }
        kill_process(Pid::from_child(&child), signal)
            .with_context(|| format!("signal {}", self.name))
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[tokio::test]
    async fn a_child_outlives_the_thread_that_started_it() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let spawn = move || Process::spawn(Path::new("sleep"), ["60"], &[], &log);
        let process = thread::spawn(spawn).join().expect("the thread ends")?;
        let ended = process.wait(Duration::from_millis(300)).await;
        assert!(ended.is_err(), "it has ended: {ended:?}");
        process.terminate()?;
        assert!(!process.wait(Duration::from_secs(5)).await?.success());
        Ok(())
    }
}
