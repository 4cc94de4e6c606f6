//! Progress with times, for a person or a CI log.

use std::time::Instant;

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
