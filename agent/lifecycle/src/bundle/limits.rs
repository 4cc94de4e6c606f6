//! Limits of a bundle, as `docs/managedaddon.md` documents them.

/// Size of a bundle's YAML in bytes: far above what fits into a Secret, far below what hurts the agent.
pub const MAX_BUNDLE_BYTES: u64 = 8 * 1024 * 1024;

/// Number of objects: more than any add-on known to us has, few enough to check them one by one.
pub const MAX_OBJECTS: usize = 1000;

/// Size of an OCI manifest in bytes: room for [`MAX_LAYERS`] and their annotations.
pub const MAX_MANIFEST_BYTES: u64 = 256 * 1024;

/// Number of layers of an OCI artifact, each of which is one file.
pub const MAX_LAYERS: usize = 256;
