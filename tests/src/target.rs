//! Where this workspace's target directory is.

use std::path::{Path, PathBuf};

/// The test bed's own folder, `target/testbed`.
pub fn testbed_dir() -> PathBuf {
    target_dir().join("testbed")
}

/// The workspace's root, as it was when this crate was compiled.
pub fn workspace_dir() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The outermost folder above the running program that cargo marked as its own, wherever `CARGO_TARGET_DIR` put it.
fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let marked = |dir: &&Path| dir.join("CACHEDIR.TAG").is_file();
    program
        .ancestors()
        .filter(marked)
        .last()
        .map_or_else(|| workspace_dir().join("target"), Path::to_path_buf)
}
