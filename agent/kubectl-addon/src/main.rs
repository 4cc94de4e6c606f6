//! The plugin `kubectl addon`: evaluates add-ons as the agent does, without a cluster.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    kubectl_addon::main(kubectl_addon::Args::parse())
}
