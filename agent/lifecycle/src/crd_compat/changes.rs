//! What is narrower in a definition than in the one before it.

use serde_json::Value;

use super::Definition;

/// One way in which objects that were right before may not be right any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Group, kind, plural or scope: the API server refuses it.
    Identity,
    /// Objects may be stored in this version, and it is gone: the API server refuses it.
    StoredVersionGone(String),
    /// Clients that use this version cannot any more.
    NotServed(String),
    /// Objects are written in another version from then on, for good.
    StorageMoved {
        from: String,
        to: String,
    },
    Conversion,
    /// A field of a version's schema, and what became of it.
    Field {
        path: String,
        how: Narrowing,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowing {
    /// Its values are dropped.
    Removed,
    /// Unknown fields below it are dropped.
    Closed,
    Retyped,
    Required,
    /// An enum or a limit that some values are outside of.
    Tightened,
    /// A pattern, a format, a CEL rule: not judged here.
    Rule,
}

impl Change {
    pub fn words(&self) -> String {
        match self {
            Change::Identity => "its names or its scope change".to_owned(),
            Change::StoredVersionGone(name) => {
                format!("objects may be stored as {name}, which is gone")
            }
            Change::NotServed(name) => format!("{name} is not served any more"),
            Change::StorageMoved { from, to } => {
                format!("objects are stored as {to} instead of {from}")
            }
            Change::Conversion => "the conversion between versions changes".to_owned(),
            Change::Field { path, how } => format!("{path} {}", how.words()),
        }
    }
}

impl Narrowing {
    fn words(self) -> &'static str {
        match self {
            Narrowing::Removed => "is gone",
            Narrowing::Closed => "takes no unknown fields any more",
            Narrowing::Retyped => "has another type",
            Narrowing::Required => "is required",
            Narrowing::Tightened => "takes fewer values",
            Narrowing::Rule => "has another rule",
        }
    }
}

/// All that is narrower in `new`. A field that is only added, and a rule that is only loosened, is no change here.
pub fn changes(old: &Definition, new: &Definition) -> Vec<Change> {
    let mut found = Vec::new();
    let identity =
        |of: &Definition| (of.group.clone(), of.kind.clone(), of.plural.clone(), of.namespaced);
    if identity(old) != identity(new) {
        found.push(Change::Identity);
    }
    let gone = old.stored.iter().filter(|name| new.version(name).is_none());
    found.extend(gone.cloned().map(Change::StoredVersionGone));
    let served = old.versions.iter().filter(|version| version.served);
    let unserved = served.filter(|old| !new.version(&old.name).is_some_and(|new| new.served));
    found.extend(unserved.map(|version| Change::NotServed(version.name.clone())));
    if old.converts != new.converts {
        found.push(Change::Conversion);
    }
    storage(old, new, &mut found);
    for version in &old.versions {
        if let Some(same) = new.version(&version.name) {
            schema(old, new, [&version.schema, &same.schema], &mut found);
        }
    }
    found
}

fn storage(old: &Definition, new: &Definition, found: &mut Vec<Change>) {
    let (Some(from), Some(to)) = (old.storage(), new.storage()) else { return };
    if from.name == to.name {
        return;
    }
    found.push(Change::StorageMoved { from: from.name.clone(), to: to.name.clone() });
    if new.converts == "None" {
        // Nobody converts: what the one version holds is read as if it were the other.
        schema(old, new, [&from.schema, &to.schema], found);
    }
}

fn schema(old: &Definition, new: &Definition, [from, to]: [&Value; 2], found: &mut Vec<Change>) {
    let mut add = |path: &str, how| {
        let change = Change::Field { path: path.to_owned(), how };
        if !found.contains(&change) {
            found.push(change);
        }
    };
    if new.preserves {
        return;
    }
    if old.preserves {
        add("the object", Narrowing::Closed);
    }
    for (name, below) in properties(from) {
        if super::TOLD_BY_OTHERS.contains(&name.as_str()) {
            continue;
        }
        match to.pointer(&format!("/properties/{}", escaped(name))) {
            Some(now) => narrowed(below, now, name, &mut add),
            None if is_open(to) => {}
            None => add(name, Narrowing::Removed),
        }
    }
    own_rules(from, to, "the object", &mut add);
}

fn narrowed(old: &Value, new: &Value, path: &str, add: &mut impl FnMut(&str, Narrowing)) {
    if !takes_type_of(new, old) {
        return add(path, Narrowing::Retyped);
    }
    for (name, below) in properties(old) {
        let path = format!("{path}.{name}");
        match new.get("properties").and_then(|all| all.get(name)) {
            Some(now) => narrowed(below, now, &path, add),
            None if is_open(new) => {}
            None => add(&path, Narrowing::Removed),
        }
    }
    if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
        narrowed(old, new, &format!("{path}[]"), add);
    }
    own_rules(old, new, path, add);
}

/// What a schema says of its own value, not of what is below.
fn own_rules(old: &Value, new: &Value, path: &str, add: &mut impl FnMut(&str, Narrowing)) {
    if is_open(old) && !is_open(new) {
        add(path, Narrowing::Closed);
    }
    let every =
        |schema: &Value| schema.get("additionalProperties").filter(|of| of.is_object()).cloned();
    if let (Some(old), Some(new)) = (every(old), every(new)) {
        narrowed(&old, &new, &format!("{path}.*"), add);
    }
    for name in required(new).filter(|name| !required(old).any(|old| old == *name)) {
        let default = new.get("properties").and_then(|all| all.get(name)?.get("default"));
        if default.is_none() {
            add(&format!("{path}.{name}"), Narrowing::Required);
        }
    }
    if takes_fewer(old, new) {
        add(path, Narrowing::Tightened);
    }
    if RULES.iter().any(|rule| new.get(rule).is_some() && new.get(rule) != old.get(rule)) {
        add(path, Narrowing::Rule);
    }
}

/// Not judged by value here.
const RULES: [&str; 9] = [
    "pattern",
    "format",
    "multipleOf",
    "oneOf",
    "anyOf",
    "allOf",
    "not",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
];

fn takes_fewer(old: &Value, new: &Value) -> bool {
    let number = |schema: &Value, name| schema.get(name).and_then(Value::as_f64);
    let lower =
        |name| number(new, name).is_some_and(|new| number(old, name).is_none_or(|old| new < old));
    let higher =
        |name| number(new, name).is_some_and(|new| number(old, name).is_none_or(|old| new > old));
    let truth = |schema: &Value, name| schema.get(name) == Some(&Value::Bool(true));
    let newly = |name| truth(new, name) && !truth(old, name);
    ["maximum", "maxLength", "maxItems", "maxProperties"].into_iter().any(lower)
        || ["minimum", "minLength", "minItems", "minProperties"].into_iter().any(higher)
        || ["exclusiveMaximum", "exclusiveMinimum", "uniqueItems"].into_iter().any(newly)
        || truth(old, "nullable") && !truth(new, "nullable")
        || lost_values(old, new)
}

fn lost_values(old: &Value, new: &Value) -> bool {
    let values = |schema: &Value| schema.get("enum").and_then(Value::as_array).cloned();
    match (values(old), values(new)) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(old), Some(new)) => old.iter().any(|value| !new.contains(value)),
    }
}

fn takes_type_of(new: &Value, old: &Value) -> bool {
    let of = |schema: &Value| schema.get("type").and_then(Value::as_str).map(str::to_owned);
    let either =
        |schema: &Value| schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    match (of(old).as_deref(), of(new).as_deref()) {
        (Some("integer" | "string"), _) if either(new) => true,
        (_, None) => !either(new) || either(old),
        (Some("integer"), Some("number")) => true,
        (old, new) => old == new,
    }
}

pub(super) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

pub(super) fn required(schema: &Value) -> impl Iterator<Item = &str> {
    let list = schema.get("required").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// Fields that it does not name are kept.
pub(super) fn is_open(schema: &Value) -> bool {
    let preserves = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    let more = schema.get("additionalProperties");
    preserves || more.is_some_and(|more| more != &Value::Bool(false))
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
