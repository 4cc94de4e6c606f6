//! Progress with times, for a person or a CI log.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;

pub struct Telling {
    begun: Instant,
}

impl Telling {
    pub fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    pub fn chapter(&self, title: &str) {
        println!("\n== {title}");
    }

    pub fn line(&self, words: &str) {
        println!("  {:>6.1} s  {words}", self.begun.elapsed().as_secs_f64());
    }
}

/// Runs a story to its end, and says if it was not as told.
pub fn run(story: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(story) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis was not as told: {error:#}");
            ExitCode::FAILURE
        }
    }
}
