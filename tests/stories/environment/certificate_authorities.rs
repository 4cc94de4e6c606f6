//! The certificate authorities that the agent trusts for bundles over https.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::Result;
use testbed::file_server::{Behavior, FileServer};
use testbed::{AddOn, Managed};

use super::{expect_pull_failure, served_spec};
use crate::harness::Shared;

pub async fn the_ca_bundle_is_read_again_at_each_pull(_: &Shared) -> Result<()> {
    let (files, untrusted) = (start_secure().await?, start_secure().await?);
    let managed = Managed::start("authorities").await?;
    let trusted = managed.plane.write("trusted.pem", &files.ca_certificate()?)?;
    managed.start_agent(&["--ca-bundle", &trusted.to_string_lossy()]).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served_spec(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;

    expect_pull_failure(
        &add_on,
        &served_spec(&untrusted, "1.1.0"),
        "invalid peer certificate",
        "1.0.0",
    )
    .await?;
    fs::write(&trusted, files.ca_certificate()? + &untrusted.ca_certificate()?)?;
    retry(&add_on, "it is trusted", "1.1.0").await?;

    fs::write(&trusted, "no certificate")?;
    expect_pull_failure(
        &add_on,
        &served_spec(&files, "1.2.0"),
        "no certificate in PEM format",
        "1.1.0",
    )
    .await?;
    fs::write(&trusted, files.ca_certificate()?)?;
    retry(&add_on, "the file has a certificate", "1.2.0").await?;

    fs::remove_file(&trusted)?;
    expect_pull_failure(&add_on, &served_spec(&files, "1.3.0"), "No such file", "1.2.0").await?;
    fs::write(&trusted, files.ca_certificate()?)?;
    retry(&add_on, "the file is back", "1.3.0").await
}

/// A redirection to plain http would send a signed URL unencrypted.
pub async fn a_redirection_from_https_to_http_is_rejected(_: &Shared) -> Result<()> {
    let (files, plain) = (start_secure().await?, FileServer::start().await?);
    let managed = Managed::start("plain-http").await?;
    let trusted = managed.plane.write("trusted.pem", &files.ca_certificate()?)?;
    managed.start_agent(&["--ca-bundle", &trusted.to_string_lossy()]).await?;
    let add_on = managed.add_on("shop");
    add_on.assign(&served_spec(&files, "1.0.0")).await?;
    add_on.until_available("1.0.0").await?;
    let (redirected, _) = (served_spec(&files, "1.1.0"), served_spec(&plain, "1.1.0"));
    files.serve("/1.1.0", b"", Behavior::Redirect(plain.url("/1.1.0")));
    expect_pull_failure(&add_on, &redirected, "redirected from https to http", "1.0.0").await
}

async fn retry(add_on: &AddOn, why: &str, to: &str) -> Result<()> {
    add_on.annotate("retry", Some(why)).await?;
    add_on.until_available(to).await.map(drop)
}

async fn start_secure() -> Result<FileServer> {
    FileServer::start_secure(Ipv4Addr::LOCALHOST).await
}
