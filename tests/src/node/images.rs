//! Container images, built by buildah from nothing but files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;

/// An image as an archive that containerd takes.
pub struct Image {
    pub name: String,
    pub archive: PathBuf,
}

impl Image {
    /// Of the archive: about that of the image when it is pulled, not packed.
    pub fn bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.archive)?.len())
    }
}

/// Builds `dockerfile` in a folder of its own under `work`. `stage` stands in for the Dockerfile's stage `build`,
/// whose own base image would have to be pulled.
pub async fn build_image(
    work: &Path,
    name: &str,
    dockerfile: &Path,
    stage: &Path,
) -> Result<Image> {
    let file = name.replace(['/', ':'], "-");
    let context = work.join(format!("{file}.context"));
    fs::create_dir_all(&context).context("make an image's context")?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let stage = format!("build={}", stage.display());
    buildah(
        work,
        &[
            "build",
            "--isolation",
            "chroot",
            "--build-context",
            &stage,
            "--file",
            &text(dockerfile),
            "--tag",
            name,
            &text(&context),
        ],
    )
    .await?;
    let archive = work.join(format!("{file}.tar"));
    fs::remove_file(&archive).ok();
    buildah(work, &["push", name, &format!("docker-archive:{}:{name}", archive.display())]).await?;
    Ok(Image { name: name.to_owned(), archive })
}

async fn buildah(work: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs"]);
    command.arg("--root").arg(work.join("storage"));
    command.arg("--runroot").arg(work.join("storage-run"));
    command.args(args);
    output(command, &format!("buildah {}", args.join(" "))).await
}
