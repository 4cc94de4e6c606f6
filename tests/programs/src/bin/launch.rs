//! `launch NAME [ARGUMENT…]` becomes the test bed's program NAME, after Go and cargo have built, side by side, the programs
//! that it needs.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use programs::monitor::{Monitor, Status};
use programs::{Binaries, cargo};

/// Measured on two cores.
const USUAL: &str = "the first time this usually takes eight minutes, later some seconds";

const AGENT: &str = "addon-agent";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(name) = arguments.next().and_then(|name| name.into_string().ok()) else {
        eprintln!("usage: launch NAME [ARGUMENT…]");
        return ExitCode::from(2);
    };
    let error = launch(&name, arguments.collect()).unwrap_err();
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

/// Returns only when it fails.
fn launch(name: &str, arguments: Vec<OsString>) -> Result<std::convert::Infallible> {
    let folder = env::current_exe()?.parent().map(PathBuf::from).context("find this program")?;
    build(name, arguments.iter().all(|argument| argument != "--help" && argument != "-h"))?;
    let mut command = Command::new(folder.join(name));
    command.args(arguments);
    if env::var_os("ADDON_AGENT").is_none() {
        command.env("ADDON_AGENT", folder.join(AGENT));
    }
    Err(anyhow!(command.exec()).context(format!("start {name}")))
}

fn build(name: &str, needs_control_plane: bool) -> Result<()> {
    let (started, go, rust) = (Instant::now(), Status::default(), Status::default());
    eprintln!("step 1 of 2: build Kubernetes with Go and the agent with cargo; {USUAL}");
    let monitor = Monitor::start(&[go.clone(), rust.clone()]);
    thread::scope(|scope| {
        let control_plane = scope.spawn(|| match needs_control_plane {
            true => Binaries::prepare(&[], &go).map(drop),
            false => Ok(()),
        });
        // Shown at once: Go may need minutes more.
        let built = cargo::build(&[("testbed", name), (AGENT, AGENT)], &rust);
        let built = built.map_err(|error| {
            eprintln!("{error:#}");
            anyhow!("cargo could not build {name}")
        });
        control_plane.join().unwrap_or_else(|_| Err(anyhow!("the build with Go panicked")))?;
        built
    })?;
    drop(monitor);
    eprintln!("step 2 of 2: {name}; the builds took {} s", started.elapsed().as_secs());
    Ok(())
}
