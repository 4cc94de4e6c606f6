//! Waiting for a condition with a deadline, or for what has to outlast one. Nothing in this crate sleeps for any other
//! reason.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

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

/// Returns when `begun` is more than `bound` ago: what is away for longer than it may has to be away for so long.
pub async fn outlast(begun: Instant, bound: Duration) {
    sleep_until(begun + bound + Duration::from_secs(1)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_error_says_what_was_awaited_and_what_was_last_seen() {
        let never = until("rain", Duration::from_secs(9), || async { bail!("sky is blue") });
        let error = never.await.map(|()| "rain").expect_err("it never rains");
        assert_eq!(error.to_string(), "waited 9s for rain; last seen: sky is blue");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_does_not_outlast_the_deadline() {
        let hung =
            until("rain", Duration::from_secs(9), std::future::pending::<Result<Option<()>>>);
        let error = hung.await.expect_err("it hangs");
        assert!(error.to_string().ends_with("the last look did not return"), "{error}");
    }
}
