//! Builds programs of this workspace with cargo.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;

use crate::monitor::Status;
use crate::output::follow;
use crate::workspace_dir;

/// Builds programs, each given as its package and its name, with the progress in `status`.
pub fn build(programs: &[(&str, &str)], status: &Status) -> Result<()> {
    status.set("cargo: reading packages");
    let mut cargo = command();
    cargo.arg("build");
    for (package, program) in programs {
        cargo.args(["--package", package, "--bin", program]);
    }
    // Only the bar has the number of crates, and cargo shows it only on a terminal by itself.
    cargo.envs([("CARGO_TERM_PROGRESS_WHEN", "always"), ("CARGO_TERM_PROGRESS_WIDTH", "100")]);
    cargo.env("CARGO_TERM_COLOR", "never");
    let built = follow(cargo, |line| {
        let progress = progress(line);
        if let Some(progress) = &progress {
            status.set(format!("cargo: {progress}"));
        }
        progress.is_some() || is_step(line)
    });
    status.clear();
    built.map(drop)
}

/// Returns a command of cargo in this workspace.
///
/// Cargo sets variables about the package of the program that it runs. Build scripts that read the same variables, such as
/// ring's, would run again at each change between that cargo and this one, and their dependents would be compiled again.
pub fn command() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    env::vars_os().map(|(name, _)| name).filter(is_about_package).for_each(|name| {
        command.env_remove(name);
    });
    command.current_dir(workspace_dir());
    command
}

fn is_about_package(name: &OsString) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Reads cargo's progress bar, such as `Building [=>  ] 12/345: serde, syn`.
fn progress(line: &str) -> Option<String> {
    let line = line.rsplit('\x1b').next()?.trim_start_matches("[K").trim();
    if let Some(download) = line.strip_prefix("Downloading ") {
        return Some(format!("downloading {download}"));
    }
    let (_, counts) = line.strip_prefix("Building [")?.split_once("] ")?;
    let (counts, crates) = counts.split_once(": ").unwrap_or((counts, ""));
    let (done, total) = counts.split_once('/')?;
    Some(format!("{done} of {total} crates, {crates}"))
}

/// Returns whether cargo reports one of its own steps, such as `   Compiling serde v1.0.0`.
fn is_step(line: &str) -> bool {
    let verbs = ["Blocking", "Compiling", "Downloaded", "Finished", "Locking", "Updating"];
    line.trim_start().split(' ').next().is_some_and(|verb| verbs.contains(&verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_read_as_a_count() {
        let bar = "    Building [=====>          ] 12/345: serde, k8s-openapi";
        assert_eq!(progress(bar).as_deref(), Some("12 of 345 crates, serde, k8s-openapi"));
        assert_eq!(progress("   Compiling serde v1.0.0"), None);
        assert_eq!(progress("error[E0308]: mismatched types"), None);
    }
}
