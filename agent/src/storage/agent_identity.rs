//! The identity of an agent process as the holder of the agent lease.
//!
//! It is the process's own: of two processes with the same host name, only one holds the lease. A restart in place keeps
//! it, so that the restarted agent continues at once. Both follow from a file that the process locks as long as it lives.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

/// Longest identity that is read from the file: a host name has at most 253 bytes.
const MAX_BYTES: u64 = 300;

/// The identity, and the lock that makes it the process's own.
pub struct AgentIdentity {
    name: String,
    /// Locked until the process ends.
    _lock: Option<File>,
}

impl AgentIdentity {
    /// Returns the identity of an agent on this host: that of a former process in its place, which has ended, or a new one.
    /// `scope` names what the agents compete for.
    ///
    /// Where the temporary folder cannot be used, every process has a new identity, and a restarted agent waits until the
    /// lease of the former one has expired.
    pub fn of_agent(scope: &[&str]) -> Self {
        Self::locked(&host_name(), &std::env::temp_dir(), scope).unwrap_or_else(|error| {
            tracing::debug!(%error, "no identity of a former process; using a new one");
            Self { name: new_name(&host_name()), _lock: None }
        })
    }

    /// Returns the identity of a command, which may be repeated in its place at any time.
    pub fn of_command() -> Self {
        Self { name: host_name(), _lock: None }
    }

    /// The identity as the lease shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn locked(host: &str, folder: &Path, scope: &[&str]) -> std::io::Result<Self> {
        let mut file = open(&folder.join(file_name(scope)))?;
        file.try_lock()?;
        let mut former = String::new();
        (&file).take(MAX_BYTES).read_to_string(&mut former)?;
        let is_of_host = former.strip_prefix(host).is_some_and(|rest| rest.starts_with('_'));
        let name = if is_of_host { former } else { new_name(host) };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(name.as_bytes())?;
        Ok(Self { name, _lock: Some(file) })
    }
}

/// Opens the file, and nothing that somebody else put in its place as a link.
fn open(path: &Path) -> std::io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(no_follow).open(path)
}

fn file_name(scope: &[&str]) -> String {
    let digest = Sha256::digest(scope.join("\n").as_bytes());
    let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("addon-agent-{short}.identity")
}

/// The name of the pod, or of the machine where there is no pod.
fn host_name() -> String {
    std::env::var("POD_NAME")
        .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned())
}

fn new_name(host: &str) -> String {
    // Each RandomState has keys of its own from the operating system.
    format!("{host}_{:016x}", RandomState::new().hash_one(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: [&str; 2] = ["https://cluster.example.com", "agents"];

    #[test]
    fn of_two_processes_at_once_each_has_its_own_identity_and_a_later_one_continues() {
        let folder = tempfile::tempdir().unwrap();
        let locked = |host: &str| AgentIdentity::locked(host, folder.path(), &SCOPE);
        let first = locked("pod").unwrap();
        assert!(locked("pod").is_err(), "a living process lost its identity to another");
        let name = first.name().to_owned();
        drop(first);
        assert_eq!(locked("pod").unwrap().name(), name);
        // Another pod on the same machine is not a restart in place.
        assert!(locked("other").unwrap().name().starts_with("other_"));
        assert_ne!(locked("pod").unwrap().name(), name);
    }

    #[test]
    fn agents_of_different_clusters_do_not_share_an_identity() {
        let folder = tempfile::tempdir().unwrap();
        let one = AgentIdentity::locked("pod", folder.path(), &SCOPE).unwrap();
        let other = AgentIdentity::locked("pod", folder.path(), &["other"]).unwrap();
        assert_ne!(one.name(), other.name());
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        std::os::unix::fs::symlink(&target, folder.path().join(file_name(&SCOPE))).unwrap();
        assert!(AgentIdentity::locked("pod", folder.path(), &SCOPE).is_err());
        assert!(!target.exists());
    }
}
