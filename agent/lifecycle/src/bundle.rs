//! Bundles: from the files that were pulled to the objects of a release.

mod foreign_hook;
pub mod hook;
pub mod ignored_fields;
pub mod limits;
mod normalise;
pub mod oci_manifest;
pub mod pod;
mod read;
pub mod release;
pub mod repository;
mod values;
pub mod webhook;
pub mod yaml;

pub use read::read_objects;
