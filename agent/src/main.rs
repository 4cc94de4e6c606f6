//! The program `addon-agent`.

use std::process::ExitCode;

use addon_agent::Args;
use clap::Parser;

fn main() -> ExitCode {
    addon_agent::main(Args::parse())
}
