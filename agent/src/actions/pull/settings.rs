//! What the cluster's owner configures for pulling bundles.

use std::path::PathBuf;

/// Trust, credentials and exceptions from TLS. The files are read at each pull.
#[derive(Clone, Debug, Default)]
pub struct PullSettings {
    /// PEM file of certificate authorities to trust besides the public ones.
    pub ca_bundle: Option<PathBuf>,
    /// Docker's `config.json` with credentials for registries.
    pub registry_config: Option<PathBuf>,
    /// Hosts that are reached without TLS, each with its port unless that is 80.
    pub plain_http_registries: Vec<String>,
}

impl PullSettings {
    /// Returns whether a host is reached without TLS.
    pub fn is_plain_http(&self, host: &str) -> bool {
        let normalize = |host: &str| host.strip_suffix(":80").unwrap_or(host).to_ascii_lowercase();
        self.plain_http_registries.iter().any(|plain| normalize(plain) == normalize(host))
    }
}
