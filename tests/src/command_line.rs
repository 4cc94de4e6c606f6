//! The command line of the test bed's programs.

use std::process::ExitCode;

use anyhow::Result;

/// Runs `program` with those of the `known` flags that are given. Prints `usage` if it is asked for, or if another argument
/// is given, which ends with exit code 2. Ends with exit code 1 when the program fails.
pub fn run<P: Future<Output = Result<()>>>(
    usage: &str,
    known: &[&str],
    program: impl FnOnce(&[String]) -> P,
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
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(program(&given)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
