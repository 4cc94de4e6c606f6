//! Assignments in stand-alone mode: from a `ManagedClusterAddOn` and its `AddOnTemplate` to a `ManagedAddOn`.
//!
//! These files decide: `template` (the `ManagedAddOn` that a template asks for), `inline_bundle` (its bundle where a template
//! holds plain manifests), `ownership` (which `ManagedAddOn`s may be written, deleted or marked), `tracker` and `trackers`
//! (what to look up and write next), `outcome` (how each assignment ended). These talk: `assign` is the task, `lookup` reads
//! the hub, `write` writes to the managed cluster.

pub mod assign;
mod inline_bundle;
mod lookup;
pub mod outcome;
mod ownership;
pub mod template;
mod tracker;
mod trackers;
mod write;
