//! Whom the agent believes that serves bundles over https.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::Result;
use testbed::file_server::{Behavior, FileServer};
use testbed::{AddOn, Managed};

use super::{is_refused, served};
use crate::harness::Bed;

pub async fn those_in_its_bundle_are_believed_as_it_is_at_each_pull(_: &Bed) -> Result<()> {
    let (files, stranger) = (secure().await?, secure().await?);
    let managed = Managed::start("authorities").await?;
    let trusted = managed.plane.write("trusted.pem", &files.ca_certificate()?)?;
    managed.start_agent(&["--ca-bundle", &trusted.to_string_lossy()]).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;

    is_refused(&add_on, &served(&stranger, "1.1.0"), "invalid peer certificate", "1.0.0").await?;
    fs::write(&trusted, files.ca_certificate()? + &stranger.ca_certificate()?)?;
    goes_on(&add_on, "it is trusted now", "1.1.0").await?;

    fs::write(&trusted, "no certificate")?;
    is_refused(&add_on, &served(&files, "1.2.0"), "no certificate in PEM format", "1.1.0").await?;
    fs::write(&trusted, files.ca_certificate()?)?;
    goes_on(&add_on, "it has one", "1.2.0").await?;

    fs::remove_file(&trusted)?;
    is_refused(&add_on, &served(&files, "1.3.0"), "No such file", "1.2.0").await?;
    fs::write(&trusted, files.ca_certificate()?)?;
    goes_on(&add_on, "it is back", "1.3.0").await
}

/// A signed URL would go over the open network.
pub async fn none_of_them_leads_it_to_plain_http(_: &Bed) -> Result<()> {
    let (files, plain) = (secure().await?, FileServer::start().await?);
    let managed = Managed::start("plain-http").await?;
    let trusted = managed.plane.write("trusted.pem", &files.ca_certificate()?)?;
    managed.start_agent(&["--ca-bundle", &trusted.to_string_lossy()]).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let (leading, _) = (served(&files, "1.1.0"), served(&plain, "1.1.0"));
    files.serve("/1.1.0", b"", Behavior::Redirect(plain.url("/1.1.0")));
    is_refused(&add_on, &leading, "redirected from https to http", "1.0.0").await
}

async fn goes_on(add_on: &AddOn, why: &str, to: &str) -> Result<()> {
    add_on.annotate("retry", Some(why)).await?;
    add_on.until_available(to).await.map(drop)
}

async fn secure() -> Result<FileServer> {
    FileServer::start_secure(Ipv4Addr::LOCALHOST).await
}
