//! Waits for a condition with a deadline, or until a deadline has passed. Nothing in this crate sleeps for any other
//! reason.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

const INTERVAL: Duration = Duration::from_millis(50);

/// Polls until `condition` returns a value. `Ok(None)` and `Err` both mean "not yet". The error at the deadline has the last
/// `Err` as "last seen", so that a condition describes what it sees by failing with it: `bail!("phase is {phase}")`. A poll
/// that hangs, as on a frozen API server, is cancelled at the deadline.
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
                "waited {deadline:?} for {what}; last seen: {seen}; the last poll did not return"
            ),
        }
        if Instant::now() + INTERVAL >= end {
            bail!("waited {deadline:?} for {what}; last seen: {seen}");
        }
        sleep(INTERVAL).await;
    }
}

/// Waits until `bound` has passed since `started`, for an outage that must last longer than that.
pub async fn outlast(started: Instant, bound: Duration) {
    sleep_until(started + bound + Duration::from_secs(1)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_error_has_what_was_awaited_and_what_was_last_seen() {
        let never = until("rain", Duration::from_secs(9), || async { bail!("sky is blue") });
        let error = never.await.map(|()| "rain").expect_err("it never rains");
        assert_eq!(error.to_string(), "waited 9s for rain; last seen: sky is blue");
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_hangs_is_cancelled_at_the_deadline() {
        let hung =
            until("rain", Duration::from_secs(9), std::future::pending::<Result<Option<()>>>);
        let error = hung.await.expect_err("it hangs");
        assert!(error.to_string().ends_with("the last poll did not return"), "{error}");
    }
}
