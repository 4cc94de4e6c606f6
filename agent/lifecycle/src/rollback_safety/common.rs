//! Objects that two releases have in common.

use std::collections::BTreeMap;

use crate::object::Object;

/// Returns the objects that both releases have, as they are and as they will be.
pub(super) fn common_objects<'a>(
    running: &'a [Object],
    target: &'a [Object],
) -> impl Iterator<Item = (&'a Object, &'a Object)> {
    let new: BTreeMap<_, _> = target.iter().map(|object| (object.key(), object)).collect();
    running.iter().filter_map(move |old| Some((old, *new.get(&old.key())?)))
}
