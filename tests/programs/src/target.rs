//! The folders of this workspace.

use std::path::{Path, PathBuf};

/// Returns the test bed's own folder, `target/testbed`.
pub fn testbed_dir() -> PathBuf {
    target_dir().join("testbed")
}

/// Returns the workspace's root, as it was when this crate was compiled.
pub fn workspace_dir() -> &'static Path {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR"));
    programs.ancestors().nth(2).unwrap_or(programs)
}

/// Returns the outermost folder above the running program that cargo marked as its own, wherever `CARGO_TARGET_DIR` put it.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let marked = |dir: &&Path| dir.join("CACHEDIR.TAG").is_file();
    program
        .ancestors()
        .filter(marked)
        .last()
        .map_or_else(|| workspace_dir().join("target"), Path::to_path_buf)
}
