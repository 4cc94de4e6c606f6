//! No space for a bundle's temporary file, and no file descriptors left.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, bail, ensure};
use lifecycle::Phase;
use rustix::process::Resource;
use testbed::Managed;
use testbed::file_server::FileServer;
use testbed::wait::until;

use super::{expect_pull_failure, served_spec};
use crate::TIMEOUT;
use crate::harness::Shared;

pub async fn without_disk_space_a_version_is_rejected_and_the_current_one_stays(
    _: &Shared,
) -> Result<()> {
    let managed = Managed::start("no-room").await?;
    let files = FileServer::start().await?;
    let folder = managed.plane.write("next-to-the-folder", "")?.with_file_name("temporary");
    fs::create_dir(&folder)?;
    managed.start_agent_with_tmpdir(&folder).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served_spec(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let message = "could not write the bundle to a temporary file";

    // The folder does not exist. The agent's identity was in it.
    fs::remove_dir_all(&folder)?;
    expect_pull_failure(&add_on, &served_spec(&files, "1.1.0"), message, "1.0.0").await?;
    fs::create_dir(&folder)?;
    add_on.annotate("retry", Some("the folder exists")).await?;
    add_on.until_available("1.1.0").await?;

    // The folder is read-only.
    fs::remove_dir(&folder)?;
    symlink("/proc", &folder)?;
    expect_pull_failure(&add_on, &served_spec(&files, "1.2.0"), message, "1.1.0").await?;
    fs::remove_file(&folder)?;
    fs::create_dir(&folder)?;
    add_on.annotate("retry", Some("the folder is writable")).await?;
    add_on.until_available("1.2.0").await?;

    // The folder is full after some bytes.
    managed.limit_agent(Resource::Fsize, Some(16))?;
    expect_pull_failure(&add_on, &served_spec(&files, "1.3.0"), message, "1.2.0").await?;
    managed.limit_agent(Resource::Fsize, None)?;
    add_on.annotate("retry", Some("there is space")).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(fs::read_dir(&folder)?.next().is_none(), "a temporary file was not removed");
    Ok(())
}

pub async fn without_file_descriptors_the_agent_waits_and_continues(_: &Shared) -> Result<()> {
    let managed = Managed::start_with_agent("descriptors").await?;
    let files = FileServer::start().await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served_spec(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    managed.limit_agent(Resource::Nofile, Some(8))?;
    add_on.assign(&served_spec(&files, "1.1.0")).await?;
    until("the agent to log the missing descriptors", TIMEOUT, || async {
        let log = managed.agent_log();
        if log.contains("Too many open files") { Ok(Some(())) } else { bail!("not logged") }
    })
    .await?;
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
    ensure!(managed.agent_exit_status()?.is_none(), "the agent exited");
    managed.limit_agent(Resource::Nofile, None)?;
    let settled = "to be rejected, or to be late enough to succeed";
    let status = add_on.until(settled, |it| it.phase.is_some_and(Phase::is_settled)).await?;
    if status.phase == Some(Phase::Rejected) {
        add_on.annotate("retry", Some("there are descriptors")).await?;
    }
    let status = add_on.until_available("1.1.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    Ok(())
}
