//! Runs the commands of the documentation word for word, in a folder with a copy of `manifests`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::output;
use crate::run_folder::copy_folder;
use crate::{ControlPlane, workspace_dir};

/// A section of a page: its fenced blocks.
pub struct Section(String);

/// Returns the section of a page whose first line starts with `heading`, up to the next heading or paragraph that starts in
/// bold.
pub fn section(page: &str, heading: &str) -> Result<Section> {
    let text = fs::read_to_string(workspace_dir().join(page)).with_context(|| page.to_owned())?;
    let lines = text.lines().skip_while(|line| !line.starts_with(heading));
    let is_in_section = |(number, line): &(usize, &str)| *number == 0 || !is_heading(line);
    let lines: Vec<&str> =
        lines.enumerate().take_while(is_in_section).map(|(_, line)| line).collect();
    ensure!(!lines.is_empty(), "{page} has no section that starts with {heading:?}");
    Ok(Section(lines.join("\n")))
}

fn is_heading(line: &str) -> bool {
    line.starts_with("**") || line.starts_with("## ")
}

impl Section {
    /// Returns the first block of this language.
    pub fn block(&self, language: &str) -> Result<&str> {
        self.blocks(language).next().with_context(|| format!("find a block of {language}"))
    }

    pub fn last_block(&self, language: &str) -> Result<&str> {
        self.blocks(language).last().with_context(|| format!("find a block of {language}"))
    }

    fn blocks(&self, language: &str) -> impl Iterator<Item = &str> {
        let starts = self.0.split("```").skip(1).step_by(2);
        starts.filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
    }
}

pub struct DocRunner {
    folder: PathBuf,
}

impl DocRunner {
    /// Makes the folder, which is removed with `plane`.
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let folder = plane.folder("docs")?;
        copy_folder(&workspace_dir().join("manifests"), &folder.join("manifests"))?;
        Ok(Self { folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file and makes its folder.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        Ok(fs::write(path, content)?)
    }

    /// Runs shell commands as the administrator of `plane`, up to the first that fails. Returns their output.
    pub async fn run(&self, plane: &ControlPlane, commands: &str) -> Result<String> {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", commands]).current_dir(&self.folder);
        bash.env("PATH", path_with(&plane.kubectl_program().await?)?)
            .env("KUBECONFIG", plane.admin_kubeconfig());
        output(bash, commands).await
    }
}

/// Returns the search path with the program's folder before all others.
fn path_with(program: &Path) -> Result<OsString> {
    let others = env::var_os("PATH").unwrap_or_default();
    let first = program.parent().map(Path::to_path_buf);
    Ok(env::join_paths(first.into_iter().chain(env::split_paths(&others)))?)
}
