//! Fetches a bundle: bounded in size and time, resumed after a cut, hashed while it is written to a temporary file.

mod client;

use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::StreamExt;
use lifecycle::{Assignment, Fault, LARGEST_BUNDLE, Pull, Reason, hex, printable};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

/// A server that sends nothing for this long is given up; the next try resumes.
const STALL: Duration = Duration::from_secs(15);

/// Bytes a second. Slower than this on average, and a bundle of the largest size would take hours: refused, since
/// resuming such a drip for ever would look like progress.
const SLOWEST: u64 = 1024;
/// A start may be slow: the pace is judged after this.
const SLOWEST_AFTER: Duration = Duration::from_secs(10);

/// Tries in one pull: with doubling pauses, some ten seconds of a server's absence are ridden out.
const TRIES: usize = 5;

/// A bundle's bytes, their digest verified.
#[derive(Debug)]
pub struct Pulled {
    pub digest: String,
    file: std::fs::File,
}

impl Pulled {
    pub fn bytes(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        (&self.file).take(LARGEST_BUNDLE + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// `ca_bundle` is a file of certificate authorities that are trusted besides the system's.
pub async fn pull(ca_bundle: Option<&Path>, assignment: &Assignment) -> Result<Pulled, Fault> {
    match &assignment.pull {
        Pull::Http { url, digest } => http(&client::client(ca_bundle)?, url, digest).await,
        Pull::Inline { yaml } => {
            let mut partial = Partial::new()?;
            partial.write(yaml)?;
            partial.verified(&assignment.release.digest)
        }
    }
}

async fn http(client: &reqwest::Client, url: &str, digest: &str) -> Result<Pulled, Fault> {
    let partial = tokio::sync::Mutex::new(Partial::new()?);
    let attempt = || async { fetch(client, url, &mut *partial.lock().await).await };
    let pace = ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(8))
        .with_max_times(TRIES - 1);
    attempt
        .retry(pace)
        .when(|fault: &Fault| fault.passing)
        .notify(|fault, pause| tracing::info!(?pause, cause = fault.message, "pulling again"))
        .await
        .map_err(|fault| Fault { passing: false, ..fault })?;
    partial.into_inner().verified(digest)
}

/// One try: everything, or what is missing.
async fn fetch(client: &reqwest::Client, url: &str, partial: &mut Partial) -> Result<(), Fault> {
    let mut request = client.get(url);
    if partial.length > 0 {
        request = request.header(RANGE, format!("bytes={}-", partial.length));
    }
    let response = timeout(STALL, request.send())
        .await
        .map_err(|_| passing("the server does not answer"))?
        .map_err(|e| if e.is_redirect() { lasting(words(&e)) } else { passing(&words(&e)) })?;
    match body(&response, partial.length)? {
        Body::Whole => partial.restart()?,
        Body::Rest => {}
        Body::Nothing => return Ok(()),
    }
    let (started, before) = (Instant::now(), partial.length);
    let mut body = response.bytes_stream();
    loop {
        let chunk =
            timeout(STALL, body.next()).await.map_err(|_| passing("the server stopped sending"))?;
        match chunk {
            None => return Ok(()),
            Some(Err(error)) => return Err(passing(&words(&error))),
            Some(Ok(bytes)) => partial.write(&bytes)?,
        }
        refuse_drip(partial.length.saturating_sub(before), started.elapsed())?;
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
            if fits { Ok(Body::Rest) } else { Err(passing("the server resumed at another place")) }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => Ok(Body::Nothing),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
            Err(passing(&format!("the server answers {status}")))
        }
        _ if status.is_server_error() => Err(passing(&format!("the server answers {status}"))),
        _ => Err(lasting(format!("the server answers {status}"))),
    }
}

/// What has come so far. The file has no name: nobody else can change it, and it goes with the process.
struct Partial {
    file: std::fs::File,
    hash: Sha256,
    length: u64,
}

impl Partial {
    fn new() -> Result<Self, Fault> {
        let file = tempfile::tempfile().map_err(|e| disk(&e))?;
        Ok(Self { file, hash: Sha256::new(), length: 0 })
    }

    fn restart(&mut self) -> Result<(), Fault> {
        *self = Self::new()?;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.length += bytes.len() as u64;
        if self.length > LARGEST_BUNDLE {
            let message = format!("the bundle is larger than {LARGEST_BUNDLE} bytes");
            return Err(Fault::new(Reason::BundleTooLarge, message));
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(|e| disk(&e))
    }

    fn verified(self, digest: &str) -> Result<Pulled, Fault> {
        let found = format!("sha256:{}", hex(&self.hash.finalize()));
        if found != digest {
            let message = format!("{digest} is assigned, but the bundle is {found}");
            return Err(Fault::new(Reason::DigestMismatch, message));
        }
        Ok(Pulled { digest: found, file: self.file })
    }
}

fn passing(message: &str) -> Fault {
    Fault::passing(Reason::PullFailed, message)
}

fn lasting(message: String) -> Fault {
    Fault::new(Reason::PullFailed, message)
}

fn disk(error: &std::io::Error) -> Fault {
    lasting(format!("the bundle cannot be kept for a moment: {error}"))
}

/// The whole chain of causes, without the URL: it may carry a signature.
fn words(error: &reqwest::Error) -> String {
    let mut words = String::from(if error.is_connect() { "no connection" } else { "broken off" });
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    printable(&words)
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
