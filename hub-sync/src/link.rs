//! The connection to the hub: kubeconfig, credentials, client and watch.

pub mod client;
pub mod credentials;
pub mod kubeconfig;
pub mod watch;
