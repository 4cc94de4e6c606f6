//! Logs: values are fields, messages are constant.

use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// kube logs every failed connect as an error; here an absent hub is normal.
const DEFAULT: &str = "info,kube_client::client::builder=off,kube_runtime::watcher=error";

pub fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
}
