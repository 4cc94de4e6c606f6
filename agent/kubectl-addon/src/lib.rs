//! The plugin. Each subcommand reads, asks the core and prints; nothing here decides.

mod health;
mod input;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use lifecycle::health::Rules;

/// Asks what the add-on agent would say.
///
/// Exit codes: 0 when all could be judged, 2 when the input could not be read or a flag is wrong.
#[derive(Parser, Debug)]
#[command(name = "kubectl-addon", version)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print the health of each object in a file, by the rules the agent goes by
    ///
    /// One line per object: KIND/NAME  STATUS  MESSAGE, after its namespace where there are several. Pods and nodes in
    /// the file are used to judge the workloads in it: `kubectl get deployments,daemonsets,pods,nodes -o yaml | kubectl addon health -f -`
    Health {
        /// YAML or JSON as kubectl prints it, lists and several documents included; - reads standard input
        #[arg(short, long = "filename", value_name = "FILE")]
        filename: PathBuf,
        /// Health rules of your own: a ManagedAddOn, or a list as in its spec.health
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// One object a line: apiVersion, kind, namespace, name, status, message
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Output>,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Output {
    Json,
}

pub fn main(args: Args) -> ExitCode {
    let Args { command } = args;
    let done = match command {
        Command::Health { filename, rules, output } => {
            health_of(&filename, rules.as_deref(), output).and_then(|told| print(&told))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubectl-addon: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn health_of(
    objects: &Path,
    rules: Option<&Path>,
    output: Option<Output>,
) -> anyhow::Result<String> {
    let rules = match rules {
        Some(path) => input::read(path)
            .and_then(|bytes| input::rules(&bytes))
            .with_context(|| format!("--rules {}", path.display()))?,
        None => Rules::default(),
    };
    let objects = input::objects(&input::read(objects)?)?;
    let judged = health::judge(&objects, &rules, Timestamp::now());
    match output {
        Some(Output::Json) => health::lines(&judged),
        None => Ok(health::table(&judged)),
    }
}

/// Whoever reads may stop reading.
fn print(told: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(told.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("the answer could not be printed"),
    }
}
