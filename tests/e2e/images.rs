//! The images that run on the real node: the agent's own, from its Dockerfile, and those of the add-ons.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testbed::bundle::{NEVER_READY, READY};
use testbed::node::{Image, PAUSE, build_image};
use testbed::{Binaries, Tool};
use testbed::{release_binary, testbed_dir, workspace_dir};
use tokio::task::spawn_blocking;

use testbed::Progress;

/// The agent's image, as the documentation names it.
pub const AGENT: &str = "registry.example.com/addon-agent:0.1.0";
/// The same program under another name, which is another version for OCM.
pub const NEWER_AGENT: &str = "registry.example.com/addon-agent:0.1.1";

/// Image of an add-on that sends requests to an API server.
pub const KUBECTL: &str = "registry.example.com/kubectl:1";

/// Largest size of the agent's image in bytes.
const LARGEST: u64 = 20_000_000;

/// All images.
pub struct Images(Vec<Image>);

impl Images {
    /// Builds all images.
    pub async fn build(progress: &Progress) -> Result<Self> {
        progress.line(
            "building missing programs of Kubernetes and OCM, and the agent as a static binary",
        );
        let work = testbed_dir().join("images");
        // Otherwise every run would leave its layers behind.
        fs::remove_dir_all(&work).ok();
        let program = spawn_blocking(release_binary).await??;
        let agent = build_agent(&work, AGENT, &program).await?;
        let bytes = agent.bytes()?;
        progress.line(&format!("the agent's image has {:.1} MB", bytes as f64 / 1e6));
        ensure!(bytes < LARGEST, "the agent's image has {bytes} bytes; the limit is {LARGEST}");
        let newer = build_agent(&work, NEWER_AGENT, &program).await?;
        let mut images = vec![agent, newer];
        let binaries = spawn_blocking(|| Binaries::ensure_also(&[Tool::Pod])).await??;
        for (name, tool, args) in [
            (READY, Tool::Pod, &["run"][..]),
            (NEVER_READY, Tool::Pod, &["fail"]),
            (PAUSE, Tool::Pod, &["run"]),
            (KUBECTL, Tool::Kubectl, &[]),
        ] {
            images.push(build_single_program(&binaries.path(tool), args, &work, name).await?);
        }
        Ok(Self(images))
    }

    /// Returns all images.
    pub fn all(&self) -> impl Iterator<Item = &Image> {
        self.0.iter()
    }
}

/// Builds the agent's image. The toolchain of this host replaces the first stage of the Dockerfile.
async fn build_agent(work: &Path, name: &str, program: &Path) -> Result<Image> {
    let stage = make_stage(work, "agent")?;
    let release = stage.join("src/target/release");
    fs::create_dir_all(&release)?;
    fs::copy(program, release.join("addon-agent"))?;
    let certificates = stage.join("etc/ssl/certs");
    fs::create_dir_all(&certificates)?;
    fs::copy("/etc/ssl/certs/ca-certificates.crt", certificates.join("ca-certificates.crt"))
        .context("copy the host's certificate authorities; ca-certificates has them")?;
    build_image(work, name, &workspace_dir().join("Dockerfile.agent"), &stage).await
}

/// Builds an image that holds one program only.
async fn build_single_program(
    program: &Path,
    args: &[&str],
    work: &Path,
    name: &str,
) -> Result<Image> {
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    let stage = make_stage(work, &file)?;
    fs::copy(program, stage.join(&*file))?;
    let entrypoint = json!([&[&*format!("/{file}")], args].concat());
    let dockerfile = stage.join("Dockerfile");
    let lines = format!(
        "FROM scratch\nCOPY --from=build /{file} /{file}\nUSER 65532:65532\nENTRYPOINT {entrypoint}\n"
    );
    fs::write(&dockerfile, lines)?;
    build_image(work, name, &dockerfile, &stage).await
}

fn make_stage(work: &Path, name: &str) -> Result<PathBuf> {
    let stage = work.join(format!("{name}.stage"));
    fs::create_dir_all(&stage)?;
    Ok(stage)
}
