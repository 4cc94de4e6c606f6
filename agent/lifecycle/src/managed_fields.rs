//! Field sets of `metadata.managedFields`: which fields of a living object have an owner, and which of the others a write
//! has to remove.
//!
//! A field set is a trie of node names as in Kubernetes' `FieldsV1`: `f:` is a field, `k:` a list item by its keys, `v:` an
//! item of a set by its value, and `.` marks the node itself. A node without children is a leaf: a scalar, or a list or map
//! that has one owner as a whole.

mod adoption;
mod edited;
mod entries;
mod foreign;
mod merge;
mod set;
mod stale;

pub use adoption::{Adopted, adopt};
pub use edited::edited_items;
pub use entries::{owned, owned_by_others, owned_by_us, transfer};
pub use foreign::foreign_values;
pub use merge::{changes, merge_patch};
pub use set::FieldSet;
pub(crate) use set::has_keys;
pub use stale::stale_fields;

/// Top-level fields that no write of a manifest decides, or that have rules of their own.
const OUTSIDE: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];
