//! Servers that lie, break off, dawdle or fail.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use testbed::bundle::Spec;
use testbed::file_server::{Behavior, FileServer};

use super::running_add_on::{NEW, Running};
use crate::harness::Bed;

const PATH: &str = "/bundle.yaml";

/// A running add-on, a server, and the bytes of the version to come.
struct Pulling<'a> {
    running: Running<'a>,
    server: FileServer,
    bytes: Vec<u8>,
}

impl<'a> Pulling<'a> {
    async fn start(bed: &'a Bed, name: &str) -> Result<Self> {
        let running = Running::start(bed, name).await?;
        let bytes = running.good("new").yaml().into_bytes();
        Ok(Self { running, server: FileServer::start().await?, bytes })
    }

    /// The assignment of the right bytes, served so.
    fn served(&self, manner: Behavior) -> Spec {
        self.serves(&self.bytes, manner)
    }

    /// The same assignment, but other bytes are served.
    fn serves(&self, content: &[u8], manner: Behavior) -> Spec {
        Spec::http(NEW, &self.server.serve(PATH, content, manner), &self.bytes)
    }

    async fn refuses(&self, spec: &Spec, reason: Reason, words: &[&str]) -> Result<()> {
        self.running.refuses(spec, reason, words).await
    }

    async fn succeeds(&self, spec: &Spec) -> Result<()> {
        self.running.goes_on_to(spec, "new").await?;
        let status = self.running.add_on.status().await?;
        ensure!(status.history.len() == 2, "it was refused in between: {:#?}", status.history);
        Ok(())
    }

    /// How many requests came, and from where on the last one asked.
    fn asked(&self) -> (usize, Option<String>) {
        let ranges = self.server.ranges(PATH);
        (ranges.len(), ranges.into_iter().next_back().flatten())
    }
}

pub async fn refuses_other_bytes_than_were_assigned(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "other-bytes").await?;
    let other = pulling.running.good("other").yaml().into_bytes();
    let spec = pulling.serves(&other, Behavior::Normal);
    let found = lifecycle::digest(&other);
    pulling.refuses(&spec, Reason::DigestMismatch, &[&found]).await?;
    let url = pulling.server.url(PATH);
    pulling.running.goes_on_to(&Spec::http(NEW, &url, &other), "other").await
}

/// Cut short, but with a length that fits: only the digest can tell.
pub async fn refuses_a_truncated_body(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "truncated").await?;
    let half = &pulling.bytes[..pulling.bytes.len() / 2];
    pulling.refuses(&pulling.serves(half, Behavior::Normal), Reason::DigestMismatch, &[]).await?;
    pulling.running.mended().await
}

pub async fn resumes_where_the_connection_was_cut(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "cut").await?;
    pulling.succeeds(&pulling.served(Behavior::Cut(100))).await?;
    ensure!(pulling.asked() == (2, Some("bytes=100-".to_owned())), "{:?}", pulling.asked());
    Ok(())
}

pub async fn begins_anew_where_a_server_cannot_resume(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "cut-without-range").await?;
    pulling.succeeds(&pulling.served(Behavior::CutWithoutRange(100))).await?;
    ensure!(pulling.asked().0 == 2, "{:?}", pulling.asked());
    Ok(())
}

/// Everything has come, though the server promised more.
pub async fn takes_what_is_whole_though_its_length_was_overstated(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "overstated").await?;
    pulling.succeeds(&pulling.served(Behavior::Overstated(100))).await
}

pub async fn says_when_there_is_no_such_file(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "no-file").await?;
    let spec = Spec::http(NEW, &pulling.server.url("/none.yaml"), &pulling.bytes);
    pulling.refuses(&spec, Reason::PullFailed, &["404"]).await?;
    pulling.running.goes_on_to(&pulling.served(Behavior::Normal), "new").await
}

pub async fn says_when_nobody_serves(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "nobody").await?;
    let nowhere = FileServer::start().await?.url(PATH);
    let spec = Spec::http(NEW, &nowhere, &pulling.bytes);
    pulling.refuses(&spec, Reason::PullFailed, &["no connection"]).await?;
    pulling.running.goes_on_to(&pulling.served(Behavior::Normal), "new").await
}

pub async fn rides_out_an_errors_end(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "errors-end").await?;
    pulling.succeeds(&pulling.served(Behavior::Status(500, 4))).await?;
    ensure!(pulling.asked().0 == 5, "{:?}", pulling.asked());
    Ok(())
}

pub async fn gives_up_on_lasting_errors_until_asked_again(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "lasting-errors").await?;
    let spec = pulling.served(Behavior::Status(503, usize::MAX));
    pulling.refuses(&spec, Reason::PullFailed, &["503"]).await?;
    pulling.served(Behavior::Normal);
    pulling.running.add_on.annotate("retry", Some("once more")).await?;
    pulling.running.runs(NEW, "new").await
}

pub async fn ends_an_endless_body(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "endless").await?;
    pulling
        .refuses(&pulling.served(Behavior::Endless), Reason::BundleTooLarge, &["8388608"])
        .await?;
    pulling.running.mended().await
}

pub async fn gives_up_on_a_byte_a_second(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "drip").await?;
    let words = ["received only"];
    pulling.refuses(&pulling.served(Behavior::BytePerSecond), Reason::PullFailed, &words).await?;
    pulling.running.mended().await
}

/// A redirect is followed, but not for ever.
pub async fn leaves_a_circle_of_redirects(bed: &Bed) -> Result<()> {
    let pulling = Pulling::start(bed, "redirects").await?;
    let round = pulling.server.url(PATH);
    let spec = pulling.served(Behavior::Redirect(round));
    pulling.refuses(&spec, Reason::PullFailed, &["too many redirects"]).await?;
    let there = pulling.server.serve("/there.yaml", &pulling.bytes, Behavior::Normal);
    pulling.served(Behavior::Redirect(there));
    pulling.running.add_on.annotate("retry", Some("it leads somewhere")).await?;
    pulling.running.runs(NEW, "new").await
}
