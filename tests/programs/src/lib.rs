//! The programs that the tests and the demo run. They come from `KUBEBUILDER_ASSETS`, or Go and cargo build them once
//! into `target`. The program `launch` builds with Go and cargo side by side and shows the progress of both.
//!
//! This crate depends on almost nothing, so that it is compiled within seconds and the long builds start at once.

mod tool;
pub use tool::Tool;

mod binaries;
pub use binaries::Binaries;

mod assets;
mod crds;
mod go;
mod sources;

pub mod cargo;
pub mod monitor;

mod output;
mod target;
pub use target::{testbed_dir, workspace_dir};
