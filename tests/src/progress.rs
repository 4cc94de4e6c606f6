//! The progress of a program, with times, for a person or a CI log.

use std::pin::pin;
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// A silence of ten seconds looks like a hang.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Prints lines with the seconds since its start.
pub struct Progress {
    started: Instant,
}

impl Progress {
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub fn heading(&self, title: &str) {
        println!("\n== {title}");
    }

    pub fn line(&self, text: &str) {
        println!("  {:>6.1} s  {text}", self.started.elapsed().as_secs_f64());
    }

    /// Runs `work` to its end. Prints every five seconds that it is under way.
    pub async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            if let Ok(done) = timeout(LINE_EVERY, &mut work).await {
                return done;
            }
            self.line(&format!("… {what}"));
        }
    }
}
