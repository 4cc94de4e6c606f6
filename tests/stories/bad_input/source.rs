//! Servers that send wrong content, cut connections, are slow or fail.

use anyhow::{Result, ensure};
use lifecycle::Reason;
use testbed::bundle::Spec;
use testbed::file_server::{Behavior, FileServer};

use super::running_add_on::{NEW, RunningAddOn};
use crate::harness::Shared;

const PATH: &str = "/bundle.yaml";

/// A running add-on, a server, and the bundle of the next version.
struct Pull<'a> {
    running: RunningAddOn<'a>,
    server: FileServer,
    bytes: Vec<u8>,
}

impl<'a> Pull<'a> {
    async fn start(shared: &'a Shared, name: &str) -> Result<Self> {
        let running = RunningAddOn::start(shared, name).await?;
        let bytes = running.working_bundle("new").yaml().into_bytes();
        Ok(Self { running, server: FileServer::start().await?, bytes })
    }

    /// Returns the assignment of a bundle that the server serves with this behavior.
    fn served(&self, behavior: Behavior) -> Spec {
        self.served_as(&self.bytes, behavior)
    }

    /// Returns the same assignment while the server serves other content.
    fn served_as(&self, content: &[u8], behavior: Behavior) -> Spec {
        Spec::http(NEW, &self.server.serve(PATH, content, behavior), &self.bytes)
    }

    async fn expect_rejection(&self, spec: &Spec, reason: Reason, words: &[&str]) -> Result<()> {
        self.running.expect_rejection(spec, reason, words).await
    }

    async fn expect_success(&self, spec: &Spec) -> Result<()> {
        self.running.upgrade_to(spec, "new").await?;
        let status = self.running.add_on.status().await?;
        ensure!(status.history.len() == 2, "it was rejected in between: {:#?}", status.history);
        Ok(())
    }

    /// Returns the number of requests, and the range of the last one.
    fn requests(&self) -> (usize, Option<String>) {
        let ranges = self.server.ranges(PATH);
        (ranges.len(), ranges.into_iter().next_back().flatten())
    }
}

pub async fn a_bundle_with_another_digest_is_rejected(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "other-bytes").await?;
    let other = pull.running.working_bundle("other").yaml().into_bytes();
    let spec = pull.served_as(&other, Behavior::Normal);
    let actual = lifecycle::digest(&other);
    pull.expect_rejection(&spec, Reason::DigestMismatch, &[&actual]).await?;
    let url = pull.server.url(PATH);
    pull.running.upgrade_to(&Spec::http(NEW, &url, &other), "other").await
}

/// Its length is right, so only the digest shows it.
pub async fn a_truncated_body_is_rejected(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "truncated").await?;
    let half = &pull.bytes[..pull.bytes.len() / 2];
    pull.expect_rejection(&pull.served_as(half, Behavior::Normal), Reason::DigestMismatch, &[])
        .await?;
    pull.running.upgrade().await
}

pub async fn a_pull_resumes_where_the_connection_was_cut(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "cut").await?;
    pull.expect_success(&pull.served(Behavior::Cut(100))).await?;
    ensure!(pull.requests() == (2, Some("bytes=100-".to_owned())), "{:?}", pull.requests());
    Ok(())
}

pub async fn a_pull_starts_over_where_a_server_cannot_resume(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "cut-without-range").await?;
    pull.expect_success(&pull.served(Behavior::CutWithoutRange(100))).await?;
    ensure!(pull.requests().0 == 2, "{:?}", pull.requests());
    Ok(())
}

/// Everything arrives although the server announced more.
pub async fn a_complete_body_with_an_overstated_length_is_accepted(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "overstated").await?;
    pull.expect_success(&pull.served(Behavior::Overstated(100))).await
}

pub async fn a_missing_file_is_reported(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "no-file").await?;
    let spec = Spec::http(NEW, &pull.server.url("/none.yaml"), &pull.bytes);
    pull.expect_rejection(&spec, Reason::PullFailed, &["404"]).await?;
    pull.running.upgrade_to(&pull.served(Behavior::Normal), "new").await
}

pub async fn an_unreachable_server_is_reported(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "nobody").await?;
    let stopped = FileServer::start().await?.url(PATH);
    let spec = Spec::http(NEW, &stopped, &pull.bytes);
    pull.expect_rejection(&spec, Reason::PullFailed, &["no connection"]).await?;
    pull.running.upgrade_to(&pull.served(Behavior::Normal), "new").await
}

pub async fn transient_server_errors_are_retried(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "errors-end").await?;
    pull.expect_success(&pull.served(Behavior::Status(500, 4))).await?;
    ensure!(pull.requests().0 == 5, "{:?}", pull.requests());
    Ok(())
}

pub async fn lasting_server_errors_reject_a_version_until_a_retry(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "lasting-errors").await?;
    let spec = pull.served(Behavior::Status(503, usize::MAX));
    pull.expect_rejection(&spec, Reason::PullFailed, &["503"]).await?;
    pull.served(Behavior::Normal);
    pull.running.add_on.annotate("retry", Some("once more")).await?;
    pull.running.until_running(NEW, "new").await
}

pub async fn an_endless_body_is_rejected(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "endless").await?;
    pull.expect_rejection(&pull.served(Behavior::Endless), Reason::BundleTooLarge, &["8388608"])
        .await?;
    pull.running.upgrade().await
}

pub async fn a_body_of_one_byte_per_second_is_rejected(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "drip").await?;
    let words = ["received only"];
    pull.expect_rejection(&pull.served(Behavior::BytePerSecond), Reason::PullFailed, &words)
        .await?;
    pull.running.upgrade().await
}

/// Redirections are followed, but not for ever.
pub async fn a_loop_of_redirections_is_rejected(shared: &Shared) -> Result<()> {
    let pull = Pull::start(shared, "redirects").await?;
    let itself = pull.server.url(PATH);
    let spec = pull.served(Behavior::Redirect(itself));
    pull.expect_rejection(&spec, Reason::PullFailed, &["too many redirects"]).await?;
    let target = pull.server.serve("/there.yaml", &pull.bytes, Behavior::Normal);
    pull.served(Behavior::Redirect(target));
    pull.running.add_on.annotate("retry", Some("it leads somewhere")).await?;
    pull.running.until_running(NEW, "new").await
}
