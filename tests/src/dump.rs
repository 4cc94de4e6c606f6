//! The state of a control plane as text, for a person whose test has failed.

use std::fmt::Write;

use crate::ControlPlane;

/// The API server may be stopped or overloaded.
const TIMEOUT: &str = "--request-timeout=5s";

const QUERIES: [&[&str]; 5] = [
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
    /// Returns events, pods, managed add-ons, leases and the last lines of every process's log. Never fails: the text has
    /// the error of each part that cannot be read. Thaws a frozen API server.
    pub async fn dump(&self) -> String {
        let mut text = format!("===== control plane {}, {}\n", self.name(), self.server_url());
        self.thaw_api().ok();
        for query in QUERIES {
            let answer = self.kubectl(&[query, &[TIMEOUT]].concat()).await;
            let answer = answer.unwrap_or_else(|error| format!("{error:#}"));
            writeln!(text, "--- kubectl {}\n{}", query.join(" "), answer.trim_end()).ok();
        }
        text + &self.last_log_lines(30)
    }
}
