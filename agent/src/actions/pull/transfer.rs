//! Transfers one file over HTTP: limited in size and time, resumed after an interruption, and with its digest verified.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::StreamExt;
use lifecycle::Fault;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::download::{ExpectedFile, PartialFile, PulledFiles};
use super::fault::{of_http, permanent, transient};

/// Longest time in which a server may send nothing. The next attempt resumes.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Lowest average rate of an attempt, in bytes per second. Below it, a bundle of the largest size would take hours, and
/// resuming such a transfer for ever would look like progress.
pub const MIN_RATE: u64 = 1024;
/// Time from which on the rate is checked, since a start may be slow.
const MIN_RATE_AFTER: Duration = Duration::from_secs(10);

/// Attempts for one file. With their backoff they bridge a server's absence of about ten seconds.
const ATTEMPTS: usize = 5;
const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(8);

/// Adds one more file to the pulled ones. `request` requests it from an offset in bytes.
///
/// # Errors
/// `PullFailed`, `BundleTooLarge`, `DigestMismatch`. None is transient, because the attempts are used up.
pub async fn transfer<F>(
    pulled: &mut PulledFiles,
    expected: ExpectedFile,
    request: impl Fn(u64) -> F,
) -> Result<(), Fault>
where
    F: Future<Output = Result<Response, Fault>>,
{
    let file = Mutex::new(PartialFile::new(pulled, expected)?);
    let attempt = || async { attempt_transfer(&request, &mut *file.lock().await).await };
    let backoff = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(MIN_BACKOFF)
        .with_max_delay(MAX_BACKOFF)
        .with_max_times(ATTEMPTS - 1);
    attempt
        .retry(backoff)
        .when(|fault: &Fault| fault.transient)
        .notify(|fault, backoff| tracing::info!(?backoff, cause = fault.message, "retrying pull"))
        .await
        .map_err(|fault| Fault { transient: false, ..fault })?;
    file.into_inner().verify()
}

/// Sends a request for the content from an offset in bytes.
///
/// # Errors
/// `PullFailed`.
pub async fn send(request: RequestBuilder, offset: u64) -> Result<Response, Fault> {
    let request = match offset {
        0 => request,
        _ => request.header(RANGE, format!("bytes={offset}-")),
    };
    let response = timeout(STALL_TIMEOUT, request.send()).await;
    let response = response.map_err(|_| transient("the server does not answer"))?;
    response.map_err(|error| of_http(&error))
}

/// Pulls the whole file, or what is missing of it.
async fn attempt_transfer<F>(
    request: &impl Fn(u64) -> F,
    file: &mut PartialFile<'_>,
) -> Result<(), Fault>
where
    F: Future<Output = Result<Response, Fault>>,
{
    let response = request(file.size()).await?;
    match body_of(&response, file.size())? {
        Body::Whole => file.restart()?,
        Body::Rest => {}
        Body::Nothing => return Ok(()),
    }
    let (start, size_before) = (Instant::now(), file.size());
    let mut body = response.bytes_stream();
    loop {
        let chunk = timeout(STALL_TIMEOUT, body.next()).await;
        match chunk.map_err(|_| transient("the server stopped sending"))? {
            None => return Ok(()),
            Some(Err(error)) => return Err(of_http(&error)),
            Some(Ok(bytes)) => file.write(&bytes)?,
        }
        check_rate(file.size().saturating_sub(size_before), start.elapsed())?;
    }
}

/// Each attempt is checked by itself, because the backoff between attempts is not the server's fault.
fn check_rate(size: u64, elapsed: Duration) -> Result<(), Fault> {
    if elapsed > MIN_RATE_AFTER && size < MIN_RATE * elapsed.as_secs() {
        return Err(permanent(format!("received only {size} bytes in {} s", elapsed.as_secs())));
    }
    Ok(())
}

/// Which part of the file a response carries.
enum Body {
    Whole,
    /// The part after the offset.
    Rest,
    /// The file was complete.
    Nothing,
}

fn body_of(response: &Response, offset: u64) -> Result<Body, Fault> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(Body::Whole),
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
            let fits = range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")));
            let wrong_offset = || transient("the server resumed at the wrong offset");
            fits.then_some(Body::Rest).ok_or_else(wrong_offset)
        }
        StatusCode::RANGE_NOT_SATISFIABLE if offset > 0 => Ok(Body::Nothing),
        _ => Err(status_fault(status)),
    }
}

/// Returns the fault for a status that carries no content. One that may pass is transient.
pub fn status_fault(status: StatusCode) -> Fault {
    let message = format!("the server answered {status}");
    let is_transient = status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    if is_transient { transient(message) } else { permanent(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rate_that_stays_low_is_refused() {
        assert!(check_rate(1, Duration::from_secs(9)).is_ok());
        assert!(check_rate(11, Duration::from_secs(11)).is_err());
        assert!(check_rate(20 * MIN_RATE, Duration::from_secs(11)).is_ok());
    }
}
