//! The hub's kubeconfig, read together with every file it names, so that the fingerprint covers exactly what is used.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use sha2::{Digest, Sha256};

/// A kubeconfig that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("read {} as text", path.display())]
    NotText { path: PathBuf },
    /// Only the line is reported: its text may be a secret.
    #[error("parse the kubeconfig, line {line}")]
    Parse { line: u64 },
    #[error("find a current context with a cluster and a user in the kubeconfig")]
    NoContext,
    /// The agent's image has no programs to run.
    #[error("unsupported {0} in the kubeconfig; use a client certificate, a token or a token file")]
    Unsupported(&'static str),
}

/// A kubeconfig with the content of all files it names, and the hash of that content.
#[derive(Debug)]
pub struct Snapshot {
    pub kubeconfig: Kubeconfig,
    pub fingerprint: Fingerprint,
}

/// SHA-256 of the kubeconfig and of every file it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Reads the kubeconfig and the files that its current context uses. The namespace of the context is ignored.
///
/// Fails if a file is missing, as in the middle of a renewal, or if the user needs a program to log in.
pub fn read(path: &Path) -> Result<Snapshot, Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files = Files { folder, hash: Sha256::new() };
    let text = files.read_text(path.file_name().unwrap_or_default().as_ref())?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(parse_error)?;
    let (cluster, user) = current_context(&mut kubeconfig).ok_or(Error::NoContext)?;
    reject_programs(user)?;
    inline_cluster(cluster, &mut files)?;
    inline_user(user, &mut files)?;
    Ok(Snapshot { kubeconfig, fingerprint: Fingerprint(files.hash.finalize().into()) })
}

fn parse_error(error: KubeconfigError) -> Error {
    let KubeconfigError::Parse(error) = error else { return Error::Parse { line: 1 } };
    Error::Parse { line: error.location().map_or(1, |location| location.line()) }
}

fn current_context(kubeconfig: &mut Kubeconfig) -> Option<(&mut Cluster, &mut AuthInfo)> {
    let current = kubeconfig.current_context.clone()?;
    let contexts = &kubeconfig.contexts;
    let context = contexts.iter().find(|named| named.name == current)?.context.clone()?;
    let user = context.user?;
    let clusters = &mut kubeconfig.clusters;
    let cluster = clusters.iter_mut().find(|named| named.name == context.cluster)?;
    let user = kubeconfig.auth_infos.iter_mut().find(|named| named.name == user)?;
    Some((cluster.cluster.as_mut()?, user.auth_info.as_mut()?))
}

fn reject_programs(user: &AuthInfo) -> Result<(), Error> {
    if user.exec.is_some() {
        return Err(Error::Unsupported("exec"));
    }
    if user.auth_provider.is_some() {
        return Err(Error::Unsupported("auth-provider"));
    }
    Ok(())
}

fn inline_cluster(cluster: &mut Cluster, files: &mut Files) -> Result<(), Error> {
    let file = cluster.certificate_authority.take();
    if let (Some(file), None) = (file, &cluster.certificate_authority_data) {
        cluster.certificate_authority_data = Some(files.read_base64(&file)?);
    }
    Ok(())
}

/// Inline data takes precedence over a file, as in kubectl.
fn inline_user(user: &mut AuthInfo, files: &mut Files) -> Result<(), Error> {
    let file = user.client_certificate.take();
    if let (Some(file), None) = (file, &user.client_certificate_data) {
        user.client_certificate_data = Some(files.read_base64(&file)?);
    }
    let file = user.client_key.take();
    if let (Some(file), None) = (file, &user.client_key_data) {
        user.client_key_data = Some(files.read_base64(&file)?.into());
    }
    let file = user.token_file.take();
    if let (Some(file), None) = (file, &user.token) {
        // A newline at the end of a token makes every request fail.
        let token = files.read_text(Path::new(&file))?;
        user.token = Some(token.trim().to_owned().into());
    }
    Ok(())
}

/// Reads files relative to the kubeconfig and hashes their content.
struct Files<'a> {
    folder: &'a Path,
    hash: Sha256,
}

impl Files<'_> {
    fn read_bytes(&mut self, name: &Path) -> Result<Vec<u8>, Error> {
        let path = self.folder.join(name);
        let bytes = std::fs::read(&path).map_err(|source| Error::Read { path, source })?;
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn read_text(&mut self, name: &Path) -> Result<String, Error> {
        let bytes = self.read_bytes(name)?;
        String::from_utf8(bytes).map_err(|_| Error::NotText { path: self.folder.join(name) })
    }

    fn read_base64(&mut self, name: &str) -> Result<String, Error> {
        Ok(STANDARD.encode(self.read_bytes(Path::new(name))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_relative_to_the_kubeconfig() {
        let folder = Folder::new("client-certificate: tls.crt, client-key: tls.key");
        let user = user(&folder.read().unwrap());
        assert_eq!(user.client_certificate_data.unwrap(), STANDARD.encode("a certificate"));
        assert!(user.client_key_data.is_some());
        assert_eq!((user.client_certificate, user.client_key), (None, None));
    }

    #[test]
    fn the_newline_after_a_token_is_not_part_of_it() {
        let folder = Folder::new("tokenFile: token");
        let user = serde_json::to_value(user(&folder.read().unwrap())).unwrap();
        assert_eq!(user["token"], "a-token");
        assert_eq!(user.get("tokenFile"), None);
    }

    #[test]
    fn a_user_that_needs_a_program_is_rejected() {
        let error = |user: &str| Folder::new(user).read().unwrap_err().to_string();
        assert!(error("exec: {command: get-token}").contains("exec"));
        assert!(error("auth-provider: {name: gcp}").contains("auth-provider"));
    }

    #[test]
    fn only_the_user_of_the_current_context_counts() {
        let folder = Folder::new("token: t");
        let other =
            folder.text().replace("users:", "users:\n- {name: other, user: {exec: {command: x}}}");
        folder.write("kubeconfig", &other);
        assert!(folder.read().is_ok());
    }

    #[test]
    fn any_changed_file_changes_the_fingerprint() {
        let folder = Folder::new("client-certificate: tls.crt, client-key: tls.key");
        let mut fingerprints = vec![folder.read().unwrap().fingerprint];
        for name in ["tls.crt", "tls.key", "ca.crt"] {
            folder.write(name, "another one");
            fingerprints.push(folder.read().unwrap().fingerprint);
        }
        folder.write("kubeconfig", &folder.text().replace("127.0.0.1", "127.0.0.2"));
        fingerprints.push(folder.read().unwrap().fingerprint);
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), 5);
        folder.write("unrelated", "x");
        assert_eq!(Some(&folder.read().unwrap().fingerprint), fingerprints.last());
    }

    #[test]
    fn a_missing_or_incomplete_file_is_an_error_without_secrets() {
        let folder = Folder::new("token: top-secret");
        let text = |error: Error| format!("{error} {error:?}");
        folder.write("kubeconfig", &folder.text().replace("users:", "users: [top-secret\n"));
        assert!(!text(folder.read().unwrap_err()).contains("top-secret"));
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
