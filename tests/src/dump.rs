//! What a person wants to see when a test has failed.

use std::fmt::Write;

use crate::ControlPlane;

/// The API server may be stopped or not well.
const TIMEOUT: &str = "--request-timeout=5s";

const LOOKS: [&[&str]; 5] = [
    &["get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"],
    &["get", "pods", "--all-namespaces", "--output=wide"],
    &["get", "managedaddons.lifecycle.open-cluster-management.io", "--output=yaml"],
    &["get", "leases", "--all-namespaces"],
    &[
        "get",
        "leases",
        "--all-namespaces",
        "--output=yaml",
        "--selector=lifecycle.open-cluster-management.io/addon",
    ],
];

impl ControlPlane {
    /// Events, pods, managed add-ons, leases and the last lines of every process's log, as text. Never fails:
    /// what cannot be read says why. A frozen API server is thawed for it.
    pub async fn dump(&self) -> String {
        let mut text = format!("===== control plane {}, {}\n", self.name(), self.server_url());
        self.thaw_api().ok();
        for look in LOOKS {
            let answer = self.kubectl(&[look, &[TIMEOUT]].concat()).await;
            let answer = answer.unwrap_or_else(|error| format!("{error:#}"));
            writeln!(text, "--- kubectl {}\n{}", look.join(" "), answer.trim_end()).ok();
        }
        text + &self.last_log_lines(30)
    }
}
