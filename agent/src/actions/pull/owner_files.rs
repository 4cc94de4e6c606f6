//! Files that the owner gave: read anew at each pull, and never what could hold up the agent.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes. A Secret or ConfigMap holds less.
const LARGEST: u64 = 4 * 1024 * 1024;

/// # Errors
/// Those of the system, and for what is no file or too large.
pub async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let path = PathBuf::from(path);
    tokio::task::spawn_blocking(move || regular(&path)).await.map_err(io::Error::other)?
}

/// A pipe would block, so what it is comes first.
fn regular(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("it is larger than {LARGEST} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_bounded_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(folder.path()).await.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
        let file = folder.path().join("file");
        assert_eq!(read(&file).await.map_err(|e| e.kind()), Err(ErrorKind::NotFound));
        File::create(&file).and_then(|file| file.set_len(LARGEST)).expect("a file");
        assert_eq!(read(&file).await.map(|bytes| bytes.len() as u64).ok(), Some(LARGEST));
        File::options().write(true).open(&file).and_then(|f| f.set_len(LARGEST + 1)).expect("it");
        assert_eq!(read(&file).await.map_err(|e| e.kind()), Err(ErrorKind::InvalidInput));
    }
}
