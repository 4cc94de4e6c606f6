//! Real Kubernetes control planes for tests and the demo: etcd, API server, controller-manager, scheduler
//! and nodes played by kwok, on free loopback ports, several side by side, gone when their value is dropped.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! let plane = testbed::ControlPlane::start(testbed::Options::full("edge")).await?;
//! plane.apply_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: shop}}").await?;
//! println!("{}", plane.kubectl(&["get", "namespaces"]).await?);
//! # Ok(()) }
//! ```

mod control_plane;
pub use control_plane::{ControlPlane, Options};

pub mod wait;

mod progress;
pub use progress::Progress;

pub mod command_line;

pub mod process;

pub use programs::{Binaries, Tool, testbed_dir, workspace_dir};

mod agent;
pub use agent::{agent_binary, release_binary};

mod add_on;
pub use add_on::{AddOn, summarize};

mod managed;
pub use managed::Managed;

mod hub;
pub use hub::Hub;

pub mod ocm;

pub mod clock;

mod helm;
pub use helm::Helm;

pub mod bundle;

pub mod file_server;

pub mod registry;

pub mod fault_proxy;

pub mod webhook;

pub mod doc_runner;

mod apply;
pub mod node;

mod clients;
mod dump;
mod nodes;
mod pki;
mod ports;
mod run_folder;
mod servers;
