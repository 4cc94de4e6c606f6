//! Waiting for a condition with a deadline. Nothing in this crate sleeps for any other reason.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, timeout_at};

const INTERVAL: Duration = Duration::from_millis(50);

/// Polls until `condition` gives a value. `Ok(None)` and `Err` both mean "not yet"; the last `Err` is what the
/// error at the deadline calls "last seen", so a condition describes what it sees by failing with it:
/// `bail!("phase is {phase}")`. A poll that hangs, as on a frozen API server, is cut off at the deadline.
pub async fn until<T, F, Seen>(what: &str, deadline: Duration, mut condition: F) -> Result<T>
where
    F: FnMut() -> Seen,
    Seen: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    let mut seen = String::from("nothing yet");
    loop {
        match timeout_at(end, condition()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => seen = format!("{error:#}"),
            Err(_) => bail!(
                "waited {deadline:?} for {what}; last seen: {seen}; the last look did not return"
            ),
        }
        if Instant::now() + INTERVAL >= end {
            bail!("waited {deadline:?} for {what}; last seen: {seen}");
        }
        sleep(INTERVAL).await;
    }
}
