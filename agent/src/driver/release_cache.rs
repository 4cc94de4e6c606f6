//! The releases to which a rollout refers, in memory. Each is read from its Secret once; only small ones stay open.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::ReleaseId;

use crate::storage::packed_release::{Content, PackedRelease};

/// A release above this size, in bytes of JSON, is large: it stays open during one action only.
pub const LARGE: u32 = 1024 * 1024;

/// The releases of one add-on. Those that are not open are packed.
#[derive(Default)]
pub struct ReleaseCache(BTreeMap<ReleaseId, Entry>);

struct Entry {
    packed: PackedRelease,
    open: Option<Arc<Content>>,
}

impl ReleaseCache {
    /// Returns a release that is known, still packed.
    pub fn packed(&self, id: &ReleaseId) -> Option<&PackedRelease> {
        self.0.get(id).map(|entry| &entry.packed)
    }

    /// Returns a release that is known, and keeps it open. Forgets one whose content does not have this id.
    pub fn open(&mut self, id: &ReleaseId) -> Option<Arc<Content>> {
        let entry = self.0.get_mut(id)?;
        if entry.open.is_none() {
            entry.open = entry.packed.unpack_as(id).map(Arc::new);
        }
        let open = entry.open.clone();
        if open.is_none() {
            self.0.remove(id);
        }
        open
    }

    /// Adds a release. It is opened when it is needed.
    pub fn insert(&mut self, id: ReleaseId, packed: PackedRelease) {
        self.0.insert(id, Entry { packed, open: None });
    }

    /// Forgets releases that are no longer needed.
    pub fn retain(&mut self, is_needed: impl Fn(&ReleaseId) -> bool) {
        self.0.retain(|id, _| is_needed(id));
    }

    /// Closes every release, or only the large ones.
    pub fn close(&mut self, only_large: bool) {
        for entry in self.0.values_mut() {
            if !only_large || entry.packed.unpacked_bytes() > LARGE {
                entry.open = None;
            }
        }
    }
}
