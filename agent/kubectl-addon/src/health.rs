//! The subcommand `health`: assesses every object, with the pods and nodes in the same file.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::health::{Health, HealthContext, HealthStatus, Rules, assess_with};
use lifecycle::{KnownKind, Object, printable};
use serde::Serialize;

use crate::table;

/// An object and its health, as they are printed.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    status: HealthStatus,
    message: String,
}

impl<'a> Row<'a> {
    fn new(object: &'a Object, health: Health) -> Self {
        let Health { status, message } = health;
        Self {
            api_version: object.api_version(),
            kind: object.kind(),
            namespace: object.namespace(),
            name: object.name(),
            status,
            message: printable(&message),
        }
    }

    fn cells(&self) -> [String; 3] {
        let name = printable(&format!("{}/{}", self.kind, self.name));
        [name, self.status.name().to_owned(), self.message.clone()]
    }

    fn cells_with_namespace(&self) -> [String; 4] {
        let [name, status, message] = self.cells();
        [printable(self.namespace.unwrap_or("-")), name, status, message]
    }
}

/// Assesses each object, by its rule if one applies. The file does not say when an object was applied, so its grace periods
/// begin at its creation.
pub fn assess_all<'a>(objects: &'a [Object], rules: &Rules, now: Timestamp) -> Vec<Row<'a>> {
    let (pods, nodes) = (select(objects, KnownKind::Pod), select(objects, KnownKind::Node));
    let assess = |object| {
        rules.assess(object).unwrap_or_else(|| {
            let context = HealthContext {
                since_apply: age(object, now),
                now: Some(now),
                pods: &pods,
                nodes: &nodes,
                ..HealthContext::default()
            };
            assess_with(object, &context)
        })
    };
    objects.iter().map(|object| Row::new(object, assess(object))).collect()
}

fn select(objects: &[Object], kind: KnownKind) -> Vec<Object> {
    objects.iter().filter(|object| object.is(kind)).cloned().collect()
}

/// Zero for an object that was never created, as in a manifest.
fn age(object: &Object, now: Timestamp) -> Duration {
    let created = object.0.pointer("/metadata/creationTimestamp").and_then(|time| time.as_str());
    let created = created.and_then(|time| time.parse::<Timestamp>().ok());
    let age = created.and_then(|created| Duration::try_from(now.duration_since(created)).ok());
    age.unwrap_or_default()
}

/// Formats one line per object. The namespace comes first if the objects have several, because two may have the same name.
pub fn format_table(rows: &[Row]) -> String {
    let namespaces: BTreeSet<&str> = rows.iter().filter_map(|row| row.namespace).collect();
    match namespaces.len() > 1 {
        true => table::align(rows.iter().map(Row::cells_with_namespace)),
        false => table::align(rows.iter().map(Row::cells)),
    }
}

/// Formats one JSON object per line.
pub fn format_json(rows: &[Row]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for row in rows {
        lines.push_str(&serde_json::to_string(row)?);
        lines.push('\n');
    }
    Ok(lines)
}
