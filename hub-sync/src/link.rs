//! The link to the hub.
//!
//! `kubeconfig` reads the credentials from files, `credentials` turns them into a client and repeats that when a file
//! changes, `client` is the one client that every task uses, and `watch` follows this cluster's `ManagedClusterAddOn`s.
//! These talk. `http_rules` decides what to make of a request or a response.

pub mod client;
pub mod credentials;
mod http_rules;
mod kubeconfig;
pub mod watch;
