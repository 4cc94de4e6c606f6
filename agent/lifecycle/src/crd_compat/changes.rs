//! In which ways a definition is narrower than the one before it.

use std::fmt::{Display, Formatter, Result};

use super::definition::{Definition, DefinitionVersion};
use super::narrowing::{Narrowing, compare_schemas};

/// One way in which objects that were valid before may not be valid any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Group, kind, plural or scope. The API server refuses it.
    Identity,
    /// Objects may be stored in this version, which the new definition does not have. The API server refuses it.
    StoredVersionGone(String),
    /// Clients that use this version cannot do so any more.
    NotServed(String),
    /// From then on objects are written in another version, for good.
    StorageMoved {
        /// Version in which objects are stored before.
        from: String,
        /// Version in which objects are stored after.
        to: String,
    },
    /// Another conversion strategy.
    Conversion,
    /// A field of a version's schema became narrower.
    Field {
        /// Path such as `spec.ports[].name`; `*` stands for every key of a map.
        path: String,
        /// How the field became narrower.
        narrowing: Narrowing,
    },
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Change::Identity => f.write_str("its names or its scope change"),
            Change::StoredVersionGone(name) => {
                write!(f, "objects may be stored as {name}, which is gone")
            }
            Change::NotServed(name) => write!(f, "{name} is no longer served"),
            Change::StorageMoved { from, to } => {
                write!(f, "objects are stored as {to} instead of {from}")
            }
            Change::Conversion => f.write_str("the conversion between versions changes"),
            Change::Field { path, narrowing } => write!(f, "{path} {narrowing}"),
        }
    }
}

/// Returns every way in which `new` is narrower than `old`. An added field or a looser rule is no change here.
pub fn changes(old: &Definition, new: &Definition) -> Vec<Change> {
    let mut changes = Vec::new();
    if identity(old) != identity(new) {
        changes.push(Change::Identity);
    }
    let gone = old.stored.iter().filter(|name| new.version(name).is_none());
    changes.extend(gone.cloned().map(Change::StoredVersionGone));
    changes.extend(unserved(old, new).map(Change::NotServed));
    if old.conversion != new.conversion {
        changes.push(Change::Conversion);
    }
    compare_storage(old, new, &mut changes);
    for version in &old.versions {
        if let Some(same) = new.version(&version.name) {
            add_fields(old, new, [version, same], &mut changes);
        }
    }
    changes
}

fn identity(definition: &Definition) -> (&str, &str, &str, bool) {
    (&definition.group, &definition.kind, &definition.plural, definition.namespaced)
}

fn unserved<'a>(old: &'a Definition, new: &'a Definition) -> impl Iterator<Item = String> + 'a {
    let is_served = |name: &str| new.version(name).is_some_and(|version| version.served);
    let served = old.versions.iter().filter(|version| version.served);
    served.map(|version| version.name.clone()).filter(move |name| !is_served(name))
}

fn compare_storage(old: &Definition, new: &Definition, changes: &mut Vec<Change>) {
    let (Some(from), Some(to)) = (old.storage(), new.storage()) else { return };
    if from.name == to.name {
        return;
    }
    changes.push(Change::StorageMoved { from: from.name.clone(), to: to.name.clone() });
    if !new.converts() {
        add_fields(old, new, [from, to], changes);
    }
}

/// Adds the fields that are narrower in a version of `new` than in one of `old`, each change once.
fn add_fields(
    old: &Definition,
    new: &Definition,
    [from, to]: [&DefinitionVersion; 2],
    changes: &mut Vec<Change>,
) {
    if new.preserves_unknown {
        return;
    }
    let mut add = |path: &str, narrowing| {
        let change = Change::Field { path: path.to_owned(), narrowing };
        if !changes.contains(&change) {
            changes.push(change);
        }
    };
    if old.preserves_unknown {
        add("the object", Narrowing::Closed);
    }
    compare_schemas(&from.schema, &to.schema, &mut add);
}
