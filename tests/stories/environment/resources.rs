//! No room for a bundle's temporary file, and no descriptors left.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, bail, ensure};
use lifecycle::Phase;
use rustix::process::Resource;
use testbed::Managed;
use testbed::file_server::FileServer;
use testbed::wait::until;

use super::{is_refused, served};
use crate::LONG;
use crate::harness::Bed;

pub async fn no_room_for_a_bundle_is_told_and_the_running_version_stays(_: &Bed) -> Result<()> {
    let managed = Managed::start("no-room").await?;
    let files = FileServer::start().await?;
    let room = managed.plane.write("beside-the-room", "")?.with_file_name("room");
    fs::create_dir(&room)?;
    managed.start_agent_with_tmpdir(&room).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let words = "could not write the bundle to a temporary file";

    // The folder is gone.
    fs::remove_dir(&room)?;
    is_refused(&add_on, &served(&files, "1.1.0"), words, "1.0.0").await?;
    fs::create_dir(&room)?;
    add_on.annotate("retry", Some("there is room")).await?;
    add_on.until_available("1.1.0").await?;

    // It takes no files.
    fs::remove_dir(&room)?;
    symlink("/proc", &room)?;
    is_refused(&add_on, &served(&files, "1.2.0"), words, "1.1.0").await?;
    fs::remove_file(&room)?;
    fs::create_dir(&room)?;
    add_on.annotate("retry", Some("it takes files")).await?;
    add_on.until_available("1.2.0").await?;

    // It is full after some bytes.
    managed.limit_agent(Resource::Fsize, Some(16))?;
    is_refused(&add_on, &served(&files, "1.3.0"), words, "1.2.0").await?;
    managed.limit_agent(Resource::Fsize, None)?;
    add_on.annotate("retry", Some("it is empty")).await?;
    add_on.until_available("1.3.0").await?;
    ensure!(fs::read_dir(&room)?.next().is_none(), "something is left behind");
    Ok(())
}

pub async fn without_descriptors_it_waits_and_goes_on(_: &Bed) -> Result<()> {
    let managed = Managed::start_with_agent("descriptors").await?;
    let files = FileServer::start().await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    managed.limit_agent(Resource::Nofile, Some(8))?;
    add_on.assign(&served(&files, "1.1.0")).await?;
    until("the agent to say what it lacks", LONG, || async {
        let log = managed.agent_log();
        if log.contains("Too many open files") { Ok(Some(())) } else { bail!("not said") }
    })
    .await?;
    ensure!(add_on.config("shop", "v").await?.as_deref() == Some("1.0.0"));
    ensure!(managed.agent_exit_status()?.is_none(), "it ended");
    managed.limit_agent(Resource::Nofile, None)?;
    let asked = "to be refused, or to have been late enough";
    let status = add_on.until(asked, |it| it.phase.is_some_and(Phase::is_settled)).await?;
    if status.phase == Some(Phase::Rejected) {
        add_on.annotate("retry", Some("there are descriptors")).await?;
    }
    let status = add_on.until_available("1.1.0").await?;
    ensure!(status.previous_version.as_deref() == Some("1.0.0"));
    Ok(())
}
