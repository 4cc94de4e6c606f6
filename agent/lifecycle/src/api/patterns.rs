//! Patterns, CEL rules and schemas by which the API server validates a `ManagedAddOn`.

use schemars::Schema;
use serde_json::Value;

/// Semantic versioning 2.0.0, by the expression of semver.org. A CEL rule, because the API server's message for a pattern is
/// only the pattern.
pub(super) const VERSION_RULE: &str = r"self.matches(r'^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$')";

/// A registry, which has a dot or a port or is `localhost`, and a name by the OCI distribution specification.
pub(super) const REPOSITORY_RULE: &str = r"self.matches(r'^([a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+(:[0-9]{1,5})?|[a-zA-Z0-9-]+:[0-9]{1,5}|localhost|\[[a-fA-F0-9:]+\](:[0-9]{1,5})?)(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+$')";

/// Durations in the notation of Go: 90s, 15m, 1h30m, 1.5h, 300ms.
pub(super) const DURATION: &str = r"^([0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h))+$";

/// An RFC 1123 label, such as the name of a namespace.
pub(super) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// An RFC 1123 subdomain, such as most names of objects.
pub(super) const DNS_NAME: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Makes the schema of an enum a plain list of names. With documented variants it is one schema for each variant, to which
/// `Option` adds no null, and the API server would refuse an explicit null.
pub(super) fn plain_enum(schema: &mut Schema) {
    let Some(Value::Array(variants)) = schema.remove("oneOf") else { return };
    let names: Vec<Value> = variants.iter().filter_map(|it| it.get("const").cloned()).collect();
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), names.into());
}
