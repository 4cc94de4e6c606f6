//! Stale fields: the API server set them for an earlier form of the object, nobody owns them, and a fresh install of the
//! present manifest would not have them.

use serde_json::{Map, Value, json};

use super::set::{everything, field, has_keys, is_leaf, items};
use super::{FieldSet, OUTSIDE};
use crate::kind::{KnownKind, is_built_in};
use crate::object::Object;

/// Returns the stale fields of a living object, from its fresh form: the object that the API server would make of the
/// manifest if there was none.
///
/// A field that a fresh install has with another value is a default that depends on another field; its removal sets the
/// default of now. It is left alone where values may be allocated, such as a `clusterIP`.
///
/// `owned` are the fields that anyone owns, `others` those that others than we own.
pub fn stale_fields(
    living: &Object,
    fresh: &Object,
    owned: &FieldSet,
    others: &FieldSet,
) -> FieldSet {
    if living.is(KnownKind::Pod) {
        return FieldSet::default();
    }
    let compare = Compare { values: !may_be_allocated(living) };
    let fields = living.0.as_object().into_iter().flatten();
    let stale =
        fields.filter(|(name, _)| !OUTSIDE.contains(&name.as_str())).map(|(name, value)| {
            let owners =
                Owners { all: owned.0.get(field(name)), others: others.0.get(field(name)) };
            (field(name), compare.stale(value, fresh.0.get(name), owners))
        });
    node(stale).map(FieldSet).unwrap_or_default()
}

/// Returns whether some values of the kind are found, not derived from the manifest. Of a custom resource nobody knows.
fn may_be_allocated(object: &Object) -> bool {
    let allocated = [
        KnownKind::Service,
        KnownKind::Job,
        KnownKind::PersistentVolume,
        KnownKind::PersistentVolumeClaim,
    ];
    !is_built_in(object.group()) || allocated.iter().any(|kind| object.is(*kind))
}

struct Compare {
    /// Also fields with another value count.
    values: bool,
}

/// Who applies a null or an empty map owns a leaf, and the API server may set fields below it.
fn below_leaf(living: &Value, fresh: Option<&Value>, owners: Owners) -> Option<Value> {
    let fields = living.as_object().filter(|_| owners.others.is_none())?;
    match fresh {
        Some(fresh) => Compare { values: false }.beyond(living, fresh),
        None => (!fields.is_empty()).then(|| everything(living)),
    }
}

/// The owners at one place: nodes of field sets.
#[derive(Clone, Copy)]
struct Owners<'a> {
    all: Option<&'a Value>,
    others: Option<&'a Value>,
}

impl<'a> Owners<'a> {
    fn enter(self, name: &str) -> Self {
        let enter = |node: Option<&'a Value>| node.and_then(|node| node.get(name));
        Self { all: enter(self.all), others: enter(self.others) }
    }
}

impl Compare {
    fn stale(&self, living: &Value, fresh: Option<&Value>, owners: Owners) -> Option<Value> {
        match (owners.all, fresh) {
            (Some(owned), _) if is_leaf(owned) => below_leaf(living, fresh, owners),
            // The apply removes what we own of it, and leaves what the API server set beside that.
            (Some(_), None) => owners.others.is_none().then(|| everything(living)),
            (Some(owned), Some(fresh)) => match living {
                Value::Object(fields) => self.stale_in_fields(fields, fresh, owners),
                Value::Array(list) => self.stale_in_items(list, fresh, owned, owners),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            },
            (None, None) => Some(everything(living)),
            (None, Some(fresh)) => self.beyond(living, fresh),
        }
    }

    fn stale_in_fields(
        &self,
        fields: &Map<String, Value>,
        fresh: &Value,
        owners: Owners,
    ) -> Option<Value> {
        node(fields.iter().map(|(name, value)| {
            let node = field(name);
            let stale = self.stale(value, fresh.get(name), owners.enter(&node));
            (node, stale)
        }))
    }

    /// An item that nobody owns stays: admission added it.
    fn stale_in_items(
        &self,
        list: &[Value],
        fresh: &Value,
        owned: &Value,
        owners: Owners,
    ) -> Option<Value> {
        node(items(owned).filter_map(|(name, keys, _)| {
            let living = list.iter().find(|item| has_keys(item, &keys))?;
            let fresh = fresh.as_array()?.iter().find(|item| has_keys(item, &keys));
            Some((name.clone(), self.stale(living, fresh, owners.enter(name))))
        }))
    }

    /// Returns what a value without an owner has beyond its fresh form.
    fn beyond(&self, living: &Value, fresh: &Value) -> Option<Value> {
        match (living, fresh) {
            (Value::Object(fields), Value::Object(_)) => {
                node(fields.iter().map(|(name, value)| {
                    let beyond = match fresh.get(name) {
                        None => Some(everything(value)),
                        Some(fresh) => self.beyond(value, fresh),
                    };
                    (field(name), beyond)
                }))
            }
            _ => (self.values && living != fresh).then(|| json!({})),
        }
    }
}

/// Makes a node of the children that are something.
pub(super) fn node(children: impl Iterator<Item = (String, Option<Value>)>) -> Option<Value> {
    let children = children.filter_map(|(name, child)| Some((name, child?)));
    let node: Map<String, Value> = children.collect();
    (!node.is_empty()).then_some(Value::Object(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the stale paths of a spec, of which we own `ours` and others own `theirs`.
    fn stale(kind: &str, living: Value, fresh: Value, ours: Value, theirs: Value) -> Vec<String> {
        let api_version = match kind {
            "Service" | "Pod" => "v1",
            "Custom" => "example.com/v1",
            _ => "apps/v1",
        };
        let object = |spec| Object(json!({"apiVersion": api_version, "kind": kind, "spec": spec}));
        let theirs = FieldSet(json!({"f:spec": theirs}));
        let mut owned = FieldSet(json!({"f:spec": ours}));
        owned.add(&theirs);
        stale_fields(&object(living), &object(fresh), &owned, &theirs).paths()
    }

    #[test]
    fn a_field_is_stale_without_owner_and_beyond_the_fresh_form() {
        let ours = || json!({"f:updateStrategy": {"f:type": {}}});
        let rolling = || json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}});
        let on_delete = || json!({"updateStrategy": {"type": "OnDelete"}});
        let stale = |fresh, theirs| stale("StatefulSet", rolling(), fresh, ours(), theirs);
        let partition = ["spec.updateStrategy.rollingUpdate.partition"];
        assert_eq!(stale(on_delete(), json!({})), partition);
        assert!(stale(rolling(), json!({})).is_empty());
        let theirs = json!({"f:updateStrategy": {"f:rollingUpdate": {"f:partition": {}}}});
        assert!(stale(on_delete(), theirs).is_empty());
    }

    #[test]
    fn what_the_api_server_set_beside_a_dropped_field_of_ours_goes_with_it() {
        let living = json!({"source": {"name": "a", "mode": 420}, "type": "b"});
        let source = || json!({"f:source": {"f:name": {}}});
        let stale =
            |theirs| stale("ConfigMap", living.clone(), json!({"type": "b"}), source(), theirs);
        assert_eq!(stale(json!({})), ["spec.source.mode", "spec.source.name", "spec.type"][..2]);
        assert!(stale(source()).is_empty());
    }

    #[test]
    fn what_the_api_server_set_below_a_null_of_ours_is_stale() {
        let living =
            || json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
        let fresh = json!({"strategy": {"type": "Recreate"}});
        let null = || json!({"f:strategy": {}});
        let surge = ["spec.strategy.rollingUpdate.maxSurge"];
        assert_eq!(stale("Deployment", living(), fresh.clone(), null(), json!({})), surge);
        assert!(stale("Deployment", living(), fresh, null(), null()).is_empty());
    }

    #[test]
    fn items_are_compared_by_their_keys_and_those_of_others_stay() {
        let volumes = |volumes: Value| json!({"volumes": volumes});
        let living =
            volumes(json!([{"name": "a", "hostPath": {}}, {"name": "etc", "emptyDir": {}}]));
        let fresh = volumes(json!([{"name": "etc", "configMap": {"name": "c"}}]));
        let item = |name| {
            let item = json!({format!("k:{{\"name\":\"{name}\"}}"): {".": {}, "f:name": {}}});
            json!({"f:volumes": item})
        };
        let stale = stale("Deployment", living, fresh, item("etc"), item("a"));
        assert_eq!(stale, ["spec.volumes[etc].emptyDir"]);
    }

    #[test]
    fn another_value_is_stale_where_none_is_allocated() {
        let (living, fresh) = (json!({"x": "Always", "l": [1]}), json!({"x": "Never", "l": [1]}));
        for (kind, expected) in
            [("Deployment", &["spec.x"][..]), ("Service", &[]), ("Pod", &[]), ("Custom", &[])]
        {
            let stale = stale(kind, living.clone(), fresh.clone(), json!({"f:y": {}}), json!({}));
            assert_eq!(stale, expected, "{kind}");
        }
    }
}
