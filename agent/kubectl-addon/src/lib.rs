//! The plugin's commands. Each reads files, calls the `lifecycle` crate and prints the result; nothing is decided here.

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

/// Evaluates add-ons by the same rules as the add-on agent, from files and without a cluster.
///
/// Exit codes: 0 if all objects were evaluated, whatever their health; 2 if the input cannot be read or a flag is wrong.
#[derive(Parser, Debug)]
#[command(name = "kubectl-addon", version)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Print the health of each object in a file, by the rules of the agent
    ///
    /// Prints one line per object: KIND/NAME  STATUS  MESSAGE, preceded by the namespace if the objects have several. Pods and
    /// nodes in the file count for its workloads:
    /// `kubectl get deployments,daemonsets,pods,nodes -o yaml | kubectl addon health -f -`
    Health {
        /// File with objects in YAML or JSON, as kubectl prints them: lists and several documents; - reads standard input
        #[arg(short, long = "filename", value_name = "FILE")]
        filename: PathBuf,
        /// File with health rules of your own: a ManagedAddOn, or a list as in its spec.health
        #[arg(long, value_name = "FILE")]
        rules: Option<PathBuf>,
        /// Output format; the default is a table
        #[arg(short, long, value_name = "FORMAT")]
        output: Option<Output>,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Output {
    /// One JSON object per line: apiVersion, kind, namespace, name, status, message
    Json,
}

/// Runs the plugin. Prints errors to standard error and returns the exit code: 0 or 2.
pub fn main(args: Args) -> ExitCode {
    let Args { command } = args;
    let result = match command {
        Command::Health { filename, rules, output } => {
            assess_health(&filename, rules.as_deref(), output).and_then(|text| print(&text))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubectl-addon: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn assess_health(
    objects: &Path,
    rules: Option<&Path>,
    output: Option<Output>,
) -> anyhow::Result<String> {
    let rules = match rules {
        Some(path) => input::read_file(path)
            .and_then(|bytes| input::parse_rules(&bytes))
            .with_context(|| format!("--rules {}", path.display()))?,
        None => Rules::default(),
    };
    let objects = input::parse_objects(&input::read_file(objects)?)?;
    let rows = health::assess_all(&objects, &rules, Timestamp::now());
    match output {
        Some(Output::Json) => health::format_json(&rows),
        None => Ok(health::format_table(&rows)),
    }
}

/// Prints the text. A reader that stops reading, such as `head`, is not an error.
fn print(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write the result"),
    }
}
