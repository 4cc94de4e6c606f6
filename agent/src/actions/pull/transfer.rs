//! One file over HTTP: bounded in size and time, resumed after a cut, and its digest verified.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::StreamExt;
use lifecycle::Fault;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::download::{Expected, Partial};
use super::{PulledFiles, lasting, transient, words};

/// A server that sends nothing for this long is given up; the next try resumes.
pub const STALL: Duration = Duration::from_secs(15);

/// Bytes a second. Slower than this on average, and a bundle of the largest size would take hours: refused, since
/// resuming such a drip for ever would look like progress.
pub const SLOWEST: u64 = 1024;
/// A start may be slow: the pace is judged after this.
const SLOWEST_AFTER: Duration = Duration::from_secs(10);

/// Tries for one file: with doubling pauses, some ten seconds of a server's absence are ridden out.
const TRIES: usize = 5;

/// Adds one more file to what is pulled. `ask` asks for it, from an offset in bytes on.
///
/// # Errors
/// `PullFailed`, `BundleTooLarge`, `DigestMismatch`.
pub async fn transfer<F>(
    pulled: &mut PulledFiles,
    expected: Expected,
    ask: impl Fn(u64) -> F,
) -> Result<(), Fault>
where
    F: Future<Output = Result<Response, Fault>>,
{
    let partial = Mutex::new(Partial::new(pulled, expected)?);
    let attempt = || async { fetch(&ask, &mut *partial.lock().await).await };
    let pace = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(TRIES - 1);
    attempt
        .retry(pace)
        .when(|fault: &Fault| fault.transient)
        .notify(|fault, pause| tracing::info!(?pause, cause = fault.message, "pulling again"))
        .await
        .map_err(|fault| Fault { transient: false, ..fault })?;
    partial.into_inner().verified()
}

/// Sends a request for what is there from an offset in bytes on.
pub async fn send(request: RequestBuilder, from: u64) -> Result<Response, Fault> {
    let request = if from > 0 { request.header(RANGE, format!("bytes={from}-")) } else { request };
    timeout(STALL, request.send())
        .await
        .map_err(|_| transient("the server does not answer"))?
        .map_err(|e| {
            let lasts = e.is_redirect() || e.is_builder();
            if lasts { lasting(words(&e)) } else { transient(&words(&e)) }
        })
}

/// One try: everything, or what is missing.
async fn fetch<F>(ask: &impl Fn(u64) -> F, partial: &mut Partial<'_>) -> Result<(), Fault>
where
    F: Future<Output = Result<Response, Fault>>,
{
    let response = ask(partial.length()).await?;
    match body(&response, partial.length())? {
        Body::Whole => partial.restart()?,
        Body::Rest => {}
        Body::Nothing => return Ok(()),
    }
    let (started, before) = (Instant::now(), partial.length());
    let mut body = response.bytes_stream();
    loop {
        let chunk = timeout(STALL, body.next())
            .await
            .map_err(|_| transient("the server stopped sending"))?;
        match chunk {
            None => return Ok(()),
            Some(Err(error)) => return Err(transient(&words(&error))),
            Some(Ok(bytes)) => partial.write(&bytes)?,
        }
        refuse_drip(partial.length().saturating_sub(before), started.elapsed())?;
    }
}

/// Of one try: pauses between tries are no fault of the server's pace.
fn refuse_drip(length: u64, elapsed: Duration) -> Result<(), Fault> {
    if elapsed > SLOWEST_AFTER && length < SLOWEST * elapsed.as_secs() {
        return Err(lasting(format!("only {length} bytes came in {} s", elapsed.as_secs())));
    }
    Ok(())
}

/// What an answer brings.
enum Body {
    Whole,
    /// It goes on where the last try ended.
    Rest,
    /// All there is was here already.
    Nothing,
}

fn body(response: &Response, from: u64) -> Result<Body, Fault> {
    let status = response.status();
    match status {
        StatusCode::OK => Ok(Body::Whole),
        StatusCode::PARTIAL_CONTENT => {
            let range = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
            let fits = range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")));
            if fits {
                Ok(Body::Rest)
            } else {
                Err(transient("the server resumed at another place"))
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Ok(Body::Nothing),
        _ if may_pass(status) => Err(transient(&format!("the server answers {status}"))),
        _ => Err(lasting(format!("the server answers {status}"))),
    }
}

/// Whether the same request may be answered well in a moment.
pub fn may_pass(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lasting_drip_is_refused() {
        assert!(refuse_drip(1, Duration::from_secs(9)).is_ok());
        assert!(refuse_drip(11, Duration::from_secs(11)).is_err());
        assert!(refuse_drip(20 * SLOWEST, Duration::from_secs(11)).is_ok());
    }
}
