//! `cargo e2e`: real Open Cluster Management, two managed clusters, and the agent between them.

mod bed;
mod fleet;
mod telling;

use std::process::ExitCode;

use anyhow::Result;

use bed::Bed;
use telling::Telling;

const USAGE: &str = "\
cargo e2e

Starts a hub with Open Cluster Management's own controllers and two managed clusters with its klusterlet agents, and
drives add-ons through them. Exits with 1 when anything was not as told.";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("e2e: unknown arguments {other:?}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(e2e()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThis was not as told: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn e2e() -> Result<()> {
    let telling = Telling::begin();
    let bed = Bed::start(&telling).await?;
    let told = stories(&telling, &bed).await;
    if told.is_err() {
        eprintln!("{}", bed.dump().await);
    }
    told
}

async fn stories(telling: &Telling, bed: &Bed) -> Result<()> {
    fleet::gates_on_health(telling, bed).await?;
    telling.line("all was as told");
    Ok(())
}
