//! A wall clock that can be wrong for one program. The clock of the machine is not changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::ControlPlane;

const SOURCE: &str = include_str!("clock/preload.c");

/// A clock for the programs that are started by its command prefix.
pub struct WallClock {
    library: PathBuf,
    setting: PathBuf,
}

impl WallClock {
    /// Returns a clock that is right at first. Builds its library with the C compiler that also links Rust programs.
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let source = plane.write("preload.c", SOURCE)?;
        let library = source.with_extension("so");
        build(&source, &library)?;
        let setting = plane.write("wall-clock", "0")?;
        Ok(Self { library, setting })
    }

    /// Sets how many seconds it is ahead of the machine's clock. A negative number is behind.
    pub fn set_offset(&self, seconds: i64) -> Result<()> {
        let new = self.setting.with_extension("new");
        fs::write(&new, seconds.to_string())?;
        fs::rename(&new, &self.setting).context("set the clock")
    }

    /// Returns the words that, before a command, make this its clock.
    pub fn command_prefix(&self) -> [String; 3] {
        let preload = format!("LD_PRELOAD={}", self.library.display());
        ["env".into(), preload, format!("WALL_CLOCK={}", self.setting.display())]
    }
}

fn build(source: &Path, library: &Path) -> Result<()> {
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(library).arg(source);
    let output = cc.output().context("run cc")?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
