//! Pulled files, in a temporary file without a name: no other process can change it, and it vanishes with the agent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use lifecycle::bundle::yaml;
use lifecycle::{Fault, Reason, hex};
use sha2::{Digest, Sha256};

use super::fault::permanent;

/// The files of a bundle, with verified digests.
#[derive(Debug)]
pub struct PulledFiles {
    /// The digest that the assignment names: of the only file, or of the OCI manifest that lists the files.
    pub digest: String,
    /// All files, one after the other.
    storage: File,
    files: Vec<FileEntry>,
}

#[derive(Debug)]
struct FileEntry {
    name: Option<String>,
    /// Bytes.
    size: u64,
}

impl PulledFiles {
    /// Creates the temporary file.
    ///
    /// # Errors
    /// `PullFailed` if the disk does not allow it.
    pub fn new(digest: &str) -> Result<Self, Fault> {
        let storage = tempfile::tempfile().map_err(|e| disk_fault(&e))?;
        Ok(Self { digest: digest.to_owned(), storage, files: Vec::new() })
    }

    /// Reads all files into memory.
    ///
    /// # Errors
    /// The error of the disk.
    pub fn read_files(&mut self) -> io::Result<Vec<yaml::File>> {
        self.storage.rewind()?;
        let storage = &self.storage;
        let read = |entry: &FileEntry| {
            let mut bytes = Vec::new();
            storage.take(entry.size).read_to_end(&mut bytes)?;
            Ok(yaml::File { name: entry.name.clone(), bytes })
        };
        self.files.iter().map(read).collect()
    }
}

/// A file that is to be pulled.
pub struct ExpectedFile {
    /// Absent if the bundle is this one file.
    pub name: Option<String>,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Bytes.
    pub max_bytes: u64,
}

impl ExpectedFile {
    fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or("the bundle")
    }
}

/// A file of which a part is pulled.
pub struct PartialFile<'a> {
    pulled: &'a mut PulledFiles,
    expected: ExpectedFile,
    /// Where the file begins in the storage.
    start: u64,
    hash: Sha256,
    size: u64,
}

impl<'a> PartialFile<'a> {
    /// Begins a file after those that are pulled already.
    ///
    /// # Errors
    /// `PullFailed` if the disk does not allow it.
    pub fn new(pulled: &'a mut PulledFiles, expected: ExpectedFile) -> Result<Self, Fault> {
        let start = pulled.storage.seek(SeekFrom::End(0)).map_err(|e| disk_fault(&e))?;
        Ok(Self { pulled, expected, start, hash: Sha256::new(), size: 0 })
    }

    /// Returns how many bytes are pulled.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Discards what is pulled of this file.
    ///
    /// # Errors
    /// `PullFailed` if the disk does not allow it.
    pub fn restart(&mut self) -> Result<(), Fault> {
        let storage = &mut self.pulled.storage;
        storage.set_len(self.start).map_err(|e| disk_fault(&e))?;
        storage.seek(SeekFrom::Start(self.start)).map_err(|e| disk_fault(&e))?;
        (self.hash, self.size) = (Sha256::new(), 0);
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `BundleTooLarge` beyond the expected size; `PullFailed` if the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.size += bytes.len() as u64;
        let ExpectedFile { max_bytes, .. } = self.expected;
        if self.size > max_bytes {
            let message =
                format!("{} is larger than {max_bytes} bytes", self.expected.display_name());
            return Err(Fault::new(Reason::BundleTooLarge, message));
        }
        self.hash.update(bytes);
        self.pulled.storage.write_all(bytes).map_err(|e| disk_fault(&e))
    }

    /// Completes the file.
    ///
    /// # Errors
    /// `DigestMismatch`.
    pub fn verify(self) -> Result<(), Fault> {
        let actual = format!("sha256:{}", hex(&self.hash.finalize()));
        let ExpectedFile { digest, .. } = &self.expected;
        if &actual != digest {
            let name = self.expected.display_name();
            let message = format!("{name} has the digest {actual}, expected {digest}");
            return Err(Fault::new(Reason::DigestMismatch, message));
        }
        self.pulled.files.push(FileEntry { name: self.expected.name, size: self.size });
        Ok(())
    }
}

fn disk_fault(error: &io::Error) -> Fault {
    permanent(format!("could not write the bundle to a temporary file: {error}"))
}
