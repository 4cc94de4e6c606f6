//! Stories on real API servers: each assigns, disturbs, waits and looks, as a person would.
//!
//! Stories run side by side on one managed cluster with one agent, each with add-ons and namespaces of its own; those
//! that stop, cut off or restart something have clusters of their own.

mod harness;

mod rollout;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run(vec![
        story!(rollout::installs_upgrades_and_prunes),
        story!(rollout::rolls_back_what_does_not_become_ready),
    ])
}
