//! Log lines on stderr: messages are constant, values are fields.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The default of `RUST_LOG`. kube logs every failed connection as an error; here an absent hub is normal.
const DEFAULT_FILTER: &str = "info,kube_client::client::builder=off,kube_runtime::watcher=error";

/// Format of the log lines.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

/// Installs the process's logger. The level is that of `RUST_LOG`.
pub fn init(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
}
