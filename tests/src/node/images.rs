//! Container images, which buildah builds from files alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::output;

/// An image as an archive that containerd can import.
pub struct Image {
    pub name: String,
    pub archive: PathBuf,
}

impl Image {
    /// Returns the size of the archive, which is about that of the unpacked image.
    pub fn bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.archive)?.len())
    }
}

/// Builds `dockerfile` in a folder of its own under `work`. The folder `stage` replaces the Dockerfile's stage `build`,
/// whose base image would have to be pulled.
pub async fn build_image(
    work: &Path,
    name: &str,
    dockerfile: &Path,
    stage: &Path,
) -> Result<Image> {
    let file = name.replace(['/', ':'], "-");
    let context = work.join(format!("{file}.context"));
    fs::create_dir_all(&context).context("create an image's context")?;
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
