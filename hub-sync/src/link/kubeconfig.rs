//! The hub's kubeconfig: read whole with every file it names, so that what is used is exactly what was fingerprinted.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use sha2::{Digest, Sha256};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("read {} as text", path.display())]
    NotText { path: PathBuf },
    /// Only the place is told: the text around it may be a secret.
    #[error("understand the kubeconfig, line {line}")]
    Parse { line: u64 },
    #[error("find a current context with a cluster and a user in the kubeconfig")]
    NoContext,
    #[error("accept a kubeconfig with {0}; use a client certificate, a token or a token file")]
    Refused(&'static str),
}

/// A kubeconfig that refers to no file, and the hash of everything it was made of.
#[derive(Debug)]
pub struct Snapshot {
    pub kubeconfig: Kubeconfig,
    pub fingerprint: Fingerprint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Reads the kubeconfig and what its current context uses. The context's namespace has no meaning and is left unread.
pub fn read(path: &Path) -> Result<Snapshot, Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Files { folder, hash: Sha256::new() };
    let text = files.text(path.file_name().unwrap_or_default().as_ref())?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(understand)?;
    let (cluster, user) = current(&mut kubeconfig).ok_or(Error::NoContext)?;
    refuse_programs(user)?;
    hold_cluster(cluster, &mut files)?;
    hold_user(user, &mut files)?;
    Ok(Snapshot { kubeconfig, fingerprint: Fingerprint(files.hash.finalize().into()) })
}

fn understand(error: KubeconfigError) -> Error {
    let KubeconfigError::Parse(error) = error else { return Error::Parse { line: 1 } };
    Error::Parse { line: error.location().map_or(1, |location| location.line()) }
}

fn current(kubeconfig: &mut Kubeconfig) -> Option<(&mut Cluster, &mut AuthInfo)> {
    let current = kubeconfig.current_context.clone()?;
    let contexts = &kubeconfig.contexts;
    let context = contexts.iter().find(|named| named.name == current)?.context.clone()?;
    let user = context.user?;
    let clusters = &mut kubeconfig.clusters;
    let cluster = clusters.iter_mut().find(|named| named.name == context.cluster)?;
    let user = kubeconfig.auth_infos.iter_mut().find(|named| named.name == user)?;
    Some((cluster.cluster.as_mut()?, user.auth_info.as_mut()?))
}

fn refuse_programs(user: &AuthInfo) -> Result<(), Error> {
    if user.exec.is_some() {
        return Err(Error::Refused("exec"));
    }
    if user.auth_provider.is_some() {
        return Err(Error::Refused("auth-provider"));
    }
    Ok(())
}

fn hold_cluster(cluster: &mut Cluster, files: &mut Files) -> Result<(), Error> {
    let file = cluster.certificate_authority.take();
    if let (Some(file), None) = (file, &cluster.certificate_authority_data) {
        cluster.certificate_authority_data = Some(files.encoded(&file)?);
    }
    Ok(())
}

/// Data beside a file wins, as in kubectl.
fn hold_user(user: &mut AuthInfo, files: &mut Files) -> Result<(), Error> {
    let file = user.client_certificate.take();
    if let (Some(file), None) = (file, &user.client_certificate_data) {
        user.client_certificate_data = Some(files.encoded(&file)?);
    }
    let file = user.client_key.take();
    if let (Some(file), None) = (file, &user.client_key_data) {
        user.client_key_data = Some(files.encoded(&file)?.into());
    }
    let file = user.token_file.take();
    if let (Some(file), None) = (file, &user.token) {
        // A newline at the end of a token makes every request fail.
        let token = files.text(Path::new(&file))?;
        user.token = Some(token.trim().to_owned().into());
    }
    Ok(())
}

/// Reads files beside the kubeconfig and remembers what they held.
struct Files<'a> {
    folder: &'a Path,
    hash: Sha256,
}

impl Files<'_> {
    fn bytes(&mut self, name: &Path) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn text(&mut self, name: &Path) -> Result<String, Error> {
        let bytes = self.bytes(name)?;
        String::from_utf8(bytes).map_err(|_| Error::NotText { path: self.folder.join(name) })
    }

    fn encoded(&mut self, name: &str) -> Result<String, Error> {
        Ok(STANDARD.encode(self.bytes(Path::new(name))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_files_are_read_beside_the_kubeconfig() {
        let folder = Folder::new("client-certificate: tls.crt, client-key: tls.key");
        let user = user(&folder.read().unwrap());
        assert_eq!(user.client_certificate_data.unwrap(), STANDARD.encode("a certificate"));
        assert!(user.client_key_data.is_some());
        assert_eq!((user.client_certificate, user.client_key), (None, None));
    }

    #[test]
    fn the_newline_after_a_token_is_not_part_of_it() {
        let folder = Folder::new("tokenFile: token");
        let held = serde_json::to_value(user(&folder.read().unwrap())).unwrap();
        assert_eq!(held["token"], "a-token");
        assert_eq!(held.get("tokenFile"), None);
    }

    #[test]
    fn programs_are_refused() {
        let refused = |user: &str| Folder::new(user).read().unwrap_err().to_string();
        assert!(refused("exec: {command: get-token}").contains("exec"));
        assert!(refused("auth-provider: {name: gcp}").contains("auth-provider"));
    }

    #[test]
    fn only_the_user_in_use_counts() {
        let folder = Folder::new("token: t");
        let other =
            folder.text().replace("users:", "users:\n- {name: other, user: {exec: {command: x}}}");
        folder.write("kubeconfig", &other);
        assert!(folder.read().is_ok());
    }

    #[test]
    fn any_changed_file_changes_the_fingerprint() {
        let folder = Folder::new("client-certificate: tls.crt, client-key: tls.key");
        let mut seen = vec![folder.read().unwrap().fingerprint];
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            folder.write(name, "another one");
            seen.push(folder.read().unwrap().fingerprint);
        }
        folder.write("kubeconfig", &folder.text().replace("127.0.0.1", "127.0.0.2"));
        seen.push(folder.read().unwrap().fingerprint);
        seen.dedup();
        assert_eq!(seen.len(), 5);
        folder.write("unrelated", "x");
        assert_eq!(Some(&folder.read().unwrap().fingerprint), seen.last());
    }

    #[test]
    fn what_is_not_there_yet_or_half_written_is_an_error_without_secrets() {
        let folder = Folder::new("token: top-secret");
        let told = |error: Error| format!("{error} {error:?}");
        folder.write("kubeconfig", &folder.text().replace("users:", "users: [top-secret\n"));
        assert!(!told(folder.read().unwrap_err()).contains("top-secret"));
        folder.write("kubeconfig", "");
        assert!(matches!(folder.read(), Err(Error::NoContext)));
        assert!(matches!(read(Path::new("not-there/kubeconfig")), Err(Error::Read { .. })));
    }

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(user: &str) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write("kubeconfig", &KUBECONFIG.replace("USER", user));
            folder.write("ca.crt", "an authority");
            folder.write("tls.crt", "a certificate");
            folder.write("tls.key", "a key");
            folder.write("token", "a-token\n");
            folder
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn text(&self) -> String {
            std::fs::read_to_string(self.0.path().join("kubeconfig")).unwrap()
        }

        fn read(&self) -> Result<Snapshot, Error> {
            read(&self.0.path().join("kubeconfig"))
        }
    }

    fn user(snapshot: &Snapshot) -> AuthInfo {
        snapshot.kubeconfig.auth_infos[0].auth_info.clone().unwrap()
    }

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
current-context: default-context
contexts:
- {name: default-context, context: {cluster: hub, user: agent, namespace: configuration}}
clusters:
- {name: hub, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.crt}}
users:
- {name: agent, user: {USER}}
"#;
}
