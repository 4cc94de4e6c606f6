//! Somebody who types what a page of the documentation says, word for word, in a folder with a copy of `manifests`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::output;
use crate::run_folder::copy_folder;
use crate::{ControlPlane, workspace_dir};

/// A part of a page: its fenced blocks.
pub struct Part(String);

/// The part of a page that `begins` so, up to the next heading or paragraph with a bold beginning.
pub fn part(page: &str, begins: &str) -> Result<Part> {
    let text = fs::read_to_string(workspace_dir().join(page)).with_context(|| page.to_owned())?;
    let lines = text.lines().skip_while(|line| !line.starts_with(begins));
    let own = |(number, line): &(usize, &str)| *number == 0 || !is_a_beginning(line);
    let lines: Vec<&str> = lines.enumerate().take_while(own).map(|(_, line)| line).collect();
    ensure!(!lines.is_empty(), "{page} has no part that begins with {begins:?}");
    Ok(Part(lines.join("\n")))
}

fn is_a_beginning(line: &str) -> bool {
    line.starts_with("**") || line.starts_with("## ")
}

impl Part {
    /// The first block of that language.
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

pub struct Reader {
    folder: PathBuf,
}

impl Reader {
    /// The folder is gone with `plane`.
    pub fn new(plane: &ControlPlane) -> Result<Self> {
        let folder = plane.folder("reader")?;
        copy_folder(&workspace_dir().join("manifests"), &folder.join("manifests"))?;
        Ok(Self { folder })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// In a folder that need not be there.
    pub fn writes(&self, name: &str, content: &str) -> Result<()> {
        let file = self.file(name);
        fs::create_dir_all(file.parent().context("a folder")?)?;
        Ok(fs::write(file, content)?)
    }

    /// As the administrator of `plane`; a command that fails ends it.
    pub async fn types(&self, plane: &ControlPlane, words: &str) -> Result<String> {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", words]).current_dir(&self.folder);
        bash.env("PATH", path_with(&plane.programs()?)?)
            .env("KUBECONFIG", plane.admin_kubeconfig());
        output(bash, words).await
    }
}

fn path_with(programs: &Path) -> Result<OsString> {
    let others = env::var_os("PATH").unwrap_or_default();
    let all = std::iter::once(programs.to_path_buf()).chain(env::split_paths(&others));
    Ok(env::join_paths(all)?)
}
