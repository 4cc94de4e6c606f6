//! What is being pulled, in a temporary file without a name: nobody else can change it, and it goes with the process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use lifecycle::bundle::yaml;
use lifecycle::{Fault, Reason, hex};
use sha2::{Digest, Sha256};

use super::lasting;

/// A bundle's files one after the other, their digests verified.
#[derive(Debug)]
pub struct PulledFiles {
    /// What the assignment names: of the one file, or of the manifest that names the files.
    pub digest: String,
    file: File,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: Option<String>,
    length: u64,
}

impl PulledFiles {
    pub fn new(digest: &str) -> Result<Self, Fault> {
        let file = tempfile::tempfile().map_err(|e| disk(&e))?;
        Ok(Self { digest: digest.to_owned(), file, parts: Vec::new() })
    }

    pub fn files(&mut self) -> io::Result<Vec<yaml::File>> {
        self.file.rewind()?;
        let file = &self.file;
        let read = |part: &Part| {
            let mut bytes = Vec::new();
            file.take(part.length).read_to_end(&mut bytes)?;
            Ok(yaml::File { name: part.name.clone(), bytes })
        };
        self.parts.iter().map(read).collect()
    }
}

/// A file that is to come.
pub struct Expected {
    /// Absent where the bundle is this one file.
    pub name: Option<String>,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Bytes.
    pub largest: u64,
}

impl Expected {
    fn what(&self) -> &str {
        self.name.as_deref().unwrap_or("the bundle")
    }
}

/// What has come of a file so far.
pub struct Partial<'a> {
    pulled: &'a mut PulledFiles,
    expected: Expected,
    start: u64,
    hash: Sha256,
    length: u64,
}

impl<'a> Partial<'a> {
    pub fn new(pulled: &'a mut PulledFiles, expected: Expected) -> Result<Self, Fault> {
        let start = pulled.file.seek(SeekFrom::End(0)).map_err(|e| disk(&e))?;
        Ok(Self { pulled, expected, start, hash: Sha256::new(), length: 0 })
    }

    /// Bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn restart(&mut self) -> Result<(), Fault> {
        let file = &mut self.pulled.file;
        file.set_len(self.start).map_err(|e| disk(&e))?;
        file.seek(SeekFrom::Start(self.start)).map_err(|e| disk(&e))?;
        (self.hash, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.length += bytes.len() as u64;
        let Expected { largest, .. } = self.expected;
        if self.length > largest {
            let message = format!("{} is larger than {largest} bytes", self.expected.what());
            return Err(Fault::new(Reason::BundleTooLarge, message));
        }
        self.hash.update(bytes);
        self.pulled.file.write_all(bytes).map_err(|e| disk(&e))
    }

    pub fn verified(self) -> Result<(), Fault> {
        let found = format!("sha256:{}", hex(&self.hash.finalize()));
        let Expected { digest, .. } = &self.expected;
        if &found != digest {
            let message = format!("{} should be {digest}, but is {found}", self.expected.what());
            return Err(Fault::new(Reason::DigestMismatch, message));
        }
        self.pulled.parts.push(Part { name: self.expected.name, length: self.length });
        Ok(())
    }
}

fn disk(error: &io::Error) -> Fault {
    lasting(format!("the bundle cannot be kept for a moment: {error}"))
}
