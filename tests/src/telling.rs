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

/// Tells a story as the command line asks for it: with those of the `known` flags that are given, or only its usage.
pub fn run<S: Future<Output = Result<()>>>(
    usage: &str,
    known: &[&str],
    story: impl FnOnce(&[String]) -> S,
) -> ExitCode {
    // `cargo demo -- --keep` is what people type; the alias has its own `--` already.
    let given: Vec<String> = std::env::args().skip(1).filter(|word| word != "--").collect();
    if given.iter().any(|word| word == "--help" || word == "-h") {
        println!("{usage}");
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = given.iter().find(|word| !known.contains(&word.as_str())) {
        eprintln!("unknown argument {unknown:?}\n\n{usage}");
        return ExitCode::from(2);
    }
    to_the_end(story(&given))
}

fn to_the_end(story: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(story) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis was not as told: {error:#}");
            ExitCode::FAILURE
        }
    }
}
