//! `kubectl addon`: what the agent would say, asked without it.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    kubectl_addon::main(kubectl_addon::Args::parse())
}
