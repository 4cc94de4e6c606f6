//! A real registry on a free port, and what users push to it with: oras.

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

/// Who may pull, and by which password.
const USER: &str = "edge";
pub const PASSWORD: &str = "swordfish";

/// `htpasswd -B` of the two.
const HTPASSWD: &str = "edge:$2a$04$zu2TzMDI7ByiBPdFZ9rH8u04d51w6wDbHaWujxq7ltibafHW.a7hG\n";

/// By these the registry and the token server know each other.
const SERVICE: &str = "registry";
const ISSUER: &str = "token-server";
const KEY: &str = "key-1";

/// Gone when dropped, with all it holds.
pub struct Registry {
    process: Process,
    folder: RunFolder,
    port: u16,
    programs: Binaries,
    /// Of its configuration: whom it lets in, and where its blobs are.
    options: Value,
}

impl Registry {
    /// Open to everybody. The first call on a machine builds it.
    pub async fn start() -> Result<Self> {
        let tools = || Binaries::ensure_also(&[Tool::Registry, Tool::Oras]);
        let programs = spawn_blocking(tools).await??;
        let (folder, port) = (RunFolder::create()?, free_port()?);
        let options = json!({});
        let process = serve(&programs, &folder, port, &options)?;
        let registry = Self { process, folder, port, programs, options };
        registry.until_it_answers().await?;
        Ok(registry)
    }

    /// As it stands in names.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn repository(&self, name: &str) -> String {
        format!("{}/{name}", self.host())
    }

    /// Pushes files, each as a layer, as `oras push` does; a name may have a media type behind a colon. Returns the
    /// manifest's digest.
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

    /// Changes on its disk what it serves as `content`.
    pub fn spoil(&self, content: &str, to: &str) -> Result<()> {
        let path = format!("content{}", Self::path_in_storage(content));
        let file = self.folder.path().join(path);
        ensure!(file.is_file(), "there is no {}", file.display());
        Ok(std::fs::write(file, to)?)
    }

    /// From now on it wants the name and the password.
    pub async fn guard_by_password(&mut self) -> Result<()> {
        let file = self.folder.write("htpasswd", HTPASSWD)?;
        self.serve_anew("auth", json!({"htpasswd": {"realm": "test", "path": file}})).await
    }

    /// From now on it wants a token of the server at `realm`. Returns what that server has to say for one with which
    /// `name` can be pulled.
    pub async fn guard_by_token(&mut self, realm: &str, name: &str) -> Result<Value> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let public = BASE64_URL_SAFE_NO_PAD.encode(key.der_bytes());
        let known = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY, "x": public}]});
        let jwks = self.folder.write("jwks.json", known.to_string())?;
        let token = json!({"realm": realm, "service": SERVICE, "issuer": ISSUER, "jwks": jwks});
        self.serve_anew("auth", json!({"token": token})).await?;
        Ok(json!({"token": token_for(name, &key)?}))
    }

    /// What is asked of the token server for pulling `name`.
    pub fn token_query(name: &str) -> String {
        format!("service={SERVICE}&scope=repository%3A{}%3Apull", name.replace('/', "%2F"))
    }

    /// From now on it sends everybody there for blobs, as registries do that have them in an object storage.
    pub async fn send_for_blobs_to(&mut self, url: &str) -> Result<()> {
        let redirect = json!([{"name": "redirect", "options": {"baseurl": url}}]);
        self.serve_anew("middleware", json!({"storage": redirect})).await
    }

    /// Where the storage has a blob.
    pub fn path_in_storage(content: &str) -> String {
        let digest = lifecycle::digest(content.as_bytes());
        let digits = digest.trim_start_matches("sha256:");
        format!("/docker/registry/v2/blobs/sha256/{}/{digits}/data", &digits[..2])
    }

    async fn serve_anew(&mut self, option: &str, value: Value) -> Result<()> {
        self.options[option] = value;
        self.process.kill()?;
        self.process = serve(&self.programs, &self.folder, self.port, &self.options)?;
        self.until_it_answers().await
    }

    async fn until_it_answers(&self) -> Result<()> {
        let answers = || async move {
            let connected = TcpStream::connect(("127.0.0.1", self.port)).await;
            Ok(connected.ok())
        };
        let answered = wait::until("the registry to answer", STARTED, answers).await;
        answered.map(drop).with_context(|| self.process.last_lines(20))
    }
}

/// Docker's config.json with the name and a password for a registry.
pub fn config(registry: &str, password: &str) -> String {
    let auth = BASE64_STANDARD.encode(format!("{USER}:{password}"));
    json!({"auths": {registry: {"auth": auth}}}).to_string()
}

fn serve(programs: &Binaries, folder: &RunFolder, port: u16, options: &Value) -> Result<Process> {
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
    // The variable means something else to it than to whoever has it set.
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

/// A JSON Web Token that allows to pull `name` for ten minutes.
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
