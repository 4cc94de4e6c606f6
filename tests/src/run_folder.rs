//! The temporary folder of one control plane: `target/testbed/run/<pid>-<n>`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// A folder that is removed when dropped. The next process removes those of a crashed one.
pub struct RunFolder(PathBuf);

impl RunFolder {
    pub fn create() -> Result<Self> {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let runs = programs::testbed_dir().join("run");
        SWEPT.call_once(|| remove_stale(&runs));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = runs.join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, content).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

/// Copies files by their content, so that the copy can be written where the original cannot.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to)?;
        } else {
            let content = fs::read(entry.path());
            content
                .and_then(|content| fs::write(&to, content))
                .with_context(|| format!("copy to {}", to.display()))?;
        }
    }
    Ok(())
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Removes what it can: two processes may do so at once.
fn remove_stale(runs: &Path) {
    let folders = fs::read_dir(runs).into_iter().flatten().flatten();
    for folder in folders.filter(|folder| is_stale(&folder.file_name().to_string_lossy())) {
        fs::remove_dir_all(folder.path()).ok();
    }
}

/// Returns whether the folder's process has ended. Before this process has made its first folder, one with its own id is of
/// an earlier process, too.
fn is_stale(name: &str) -> bool {
    let Some((pid, _)) = name.split_once('-') else { return false };
    pid == std::process::id().to_string() || !Path::new("/proc").join(pid).exists()
}
