//! Files that the cluster's owner provides. They are read at each pull, and never block the agent.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Maximum size in bytes. A Secret or ConfigMap holds less.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Reads a whole file.
///
/// # Errors
/// The error of the system; `InvalidInput` for a path that is not a regular file or one that is too large.
pub async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = PathBuf::from(path);
    tokio::task::spawn_blocking(move || read_regular(&path)).await.map_err(io::Error::other)?
}

/// The type is checked first, because opening a pipe would block.
fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("larger than {MAX_BYTES} bytes");
        return Err(io::Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_regular_files_up_to_the_maximum_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()).await.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
        let path = folder.path().join("file");
        assert_eq!(read(&path).await.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        let file = File::create(&path).expect("a file");
        file.set_len(MAX_BYTES).expect("a size");
        assert_eq!(read(&path).await.map(|bytes| bytes.len() as u64).ok(), Some(MAX_BYTES));
        file.set_len(MAX_BYTES + 1).expect("a size");
        assert_eq!(read(&path).await.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
}
