//! Flags for pulling bundles.

use std::path::PathBuf;

use lifecycle::bundle::repository::is_registry;

use super::path;
use crate::actions::pull::PullSettings;

#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Bundles")]
pub struct PullFlags {
    /// PEM file of certificate authorities to trust for https sources, besides the public ones. Read at each pull
    #[arg(long, env = "CA_BUNDLE_FILE_PATH", value_name = "FILE", value_parser = path::parse)]
    ca_bundle: Option<PathBuf>,
    /// Docker config.json with credentials for OCI registries. Read at each pull; without the file, pulls are anonymous
    #[arg(long, env = "REGISTRY_AUTH_FILE", value_name = "FILE", value_parser = path::parse)]
    registry_config: Option<PathBuf>,
    /// OCI registry without TLS, as written in source.oci.repository. Can be repeated
    #[arg(long, value_name = "HOST[:PORT]", value_parser = parse_registry)]
    plain_http_registry: Vec<String>,
}

impl From<PullFlags> for PullSettings {
    fn from(flags: PullFlags) -> Self {
        let PullFlags { ca_bundle, registry_config, plain_http_registry } = flags;
        Self {
            ca_bundle: path::non_empty(ca_bundle),
            registry_config: path::non_empty(registry_config),
            plain_http_registries: plain_http_registry,
        }
    }
}

fn parse_registry(text: &str) -> Result<String, String> {
    let is_valid = is_registry(text);
    is_valid
        .then(|| text.to_owned())
        .ok_or_else(|| "not a registry such as registry.example.com:5000, without a scheme".into())
}
