//! A real registry on a free port, and oras, with which users push to it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{KeyPair, PKCS_ED25519, PublicKeyData, SigningKey};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;

use crate::ports::free_port;
use crate::process::{Process, output};
use crate::run_folder::RunFolder;
use crate::wait;
use programs::{Binaries, Tool};

const STARTED: Duration = Duration::from_secs(60);

/// The user who may pull, and the password.
const USER: &str = "edge";
pub const PASSWORD: &str = "swordfish";

/// `htpasswd -B` of the two.
const HTPASSWD: &str = "edge:$2a$04$zu2TzMDI7ByiBPdFZ9rH8u04d51w6wDbHaWujxq7ltibafHW.a7hG\n";

/// The names by which the registry and the token server know each other.
const SERVICE: &str = "registry";
const ISSUER: &str = "token-server";
const KEY: &str = "key-1";

/// A running registry. It is stopped and removed with its content when dropped.
pub struct Registry {
    process: Process,
    folder: RunFolder,
    port: u16,
    programs: Binaries,
    /// The options of its configuration beyond the default: who may pull, and where blobs are.
    options: Value,
}

impl Registry {
    /// Starts a registry that anyone may use. The first call on a machine builds it.
    pub async fn start() -> Result<Self> {
        let tools = || Binaries::ensure_also(&[Tool::Registry, Tool::Oras]);
        let programs = spawn_blocking(tools).await??;
        let (folder, port) = (RunFolder::create()?, free_port()?);
        let options = json!({});
        let process = start(&programs, &folder, port, &options)?;
        let registry = Self { process, folder, port, programs, options };
        registry.wait_until_ready().await?;
        Ok(registry)
    }

    /// Returns the host of its repositories' names.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Pushes files, each as a layer, with `oras push`. A name may have a media type after a colon. Returns the digest of
    /// the manifest.
    pub async fn push(&self, name: &str, files: &[(&str, &str)]) -> Result<String> {
        let folder = tempfile::tempdir_in(self.folder.path())?;
        for (file, content) in files {
            let file = file.split(':').next().unwrap_or_default();
            std::fs::write(folder.path().join(file), content)?;
        }
        let mut oras = Command::new(self.programs.path(Tool::Oras));
        oras.current_dir(folder.path())
            .args(["push", "--plain-http", "--format", "go-template={{.digest}}"])
            .arg(format!("{}:newest", self.repository(name)))
            .args(files.iter().map(|(file, _)| file));
        Ok(output(oras, "oras push").await?.trim().to_owned())
    }

    /// Replaces the blob `content` on its disk.
    pub fn corrupt(&self, content: &str, new: &str) -> Result<()> {
        let path = format!("content{}", Self::path_in_storage(content));
        let file = self.folder.path().join(path);
        ensure!(file.is_file(), "there is no {}", file.display());
        Ok(std::fs::write(file, new)?)
    }

    /// Restarts it so that it requires the user and the password.
    pub async fn require_password(&mut self) -> Result<()> {
        let file = self.folder.write("htpasswd", HTPASSWD)?;
        self.restart_with("auth", json!({"htpasswd": {"realm": "test", "path": file}})).await
    }

    /// Restarts it so that it requires a token of the server at `realm`. Returns the answer of that server with a token to
    /// pull `name`.
    pub async fn require_token(&mut self, realm: &str, name: &str) -> Result<Value> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let public = BASE64_URL_SAFE_NO_PAD.encode(key.der_bytes());
        let known = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY, "x": public}]});
        let jwks = self.folder.write("jwks.json", known.to_string())?;
        let token = json!({"realm": realm, "service": SERVICE, "issuer": ISSUER, "jwks": jwks});
        self.restart_with("auth", json!({"token": token})).await?;
        Ok(json!({"token": token_for(name, &key)?}))
    }

    /// Returns the query by which a client asks the token server for a token to pull `name`.
    pub fn token_query(name: &str) -> String {
        format!("service={SERVICE}&scope=repository%3A{}%3Apull", name.replace('/', "%2F"))
    }

    /// Restarts it so that it redirects every client to `url` for blobs, as registries with an object storage do.
    pub async fn redirect_blobs(&mut self, url: &str) -> Result<()> {
        let redirect = json!([{"name": "redirect", "options": {"baseurl": url}}]);
        self.restart_with("middleware", json!({"storage": redirect})).await
    }

    /// Returns the path of a blob in its storage.
    pub fn path_in_storage(content: &str) -> String {
        let digest = lifecycle::digest(content.as_bytes());
        let digits = digest.trim_start_matches("sha256:");
        format!("/docker/registry/v2/blobs/sha256/{}/{digits}/data", &digits[..2])
    }

    async fn restart_with(&mut self, option: &str, value: Value) -> Result<()> {
        self.options[option] = value;
        self.process.kill()?;
        self.process = start(&self.programs, &self.folder, self.port, &self.options)?;
        self.wait_until_ready().await
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let answers = || async move {
            let connected = TcpStream::connect(("127.0.0.1", self.port)).await;
            Ok(connected.ok())
        };
        let answered = wait::until("the registry to answer", STARTED, answers).await;
        answered.map(drop).with_context(|| self.process.last_lines(20))
    }
}

/// Returns Docker's config.json with the user and a password for a registry.
pub fn docker_config(registry: &str, password: &str) -> String {
    let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
    json!({"auths": {registry: {"auth": auth}}}).to_string()
}

fn start(programs: &Binaries, folder: &RunFolder, port: u16, options: &Value) -> Result<Process> {
    let mut config = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": folder.path().join("content")}},
        "http": {"addr": format!("127.0.0.1:{port}")},
    });
    for (option, value) in options.as_object().into_iter().flatten() {
        config[option] = value.clone();
    }
    // JSON is YAML.
    let config = folder.write("config.yaml", config.to_string())?;
    let program = programs.path(Tool::Registry);
    // The registry would read the variable, which other programs set for another purpose, as its own configuration.
    let args = [
        "-u",
        "REGISTRY_AUTH_FILE",
        &program.to_string_lossy(),
        "serve",
        &config.to_string_lossy(),
    ]
    .map(str::to_owned);
    let env = [("OTEL_TRACES_EXPORTER", "none")];
    Process::spawn(Path::new("env"), args, &env, &folder.path().join("registry.log"))
}

/// Returns a JSON Web Token that allows pulling `name` for ten minutes.
fn token_for(name: &str, key: &KeyPair) -> Result<String> {
    let now = jiff::Timestamp::now().as_second();
    let header = json!({"typ": "JWT", "alg": "EdDSA", "kid": KEY});
    let claims = json!({
        "iss": ISSUER, "sub": "", "aud": SERVICE, "jti": "1",
        "nbf": now - 60, "iat": now, "exp": now + 600,
        "access": [{"type": "repository", "name": name, "actions": ["pull"]}],
    });
    let encoded = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}
