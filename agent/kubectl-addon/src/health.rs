//! `health`: every object judged with what else is in the file.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::health::{Health, HealthContext, HealthStatus, Rules, assess_with};
use lifecycle::{Object, printable};
use serde::Serialize;

use crate::table::aligned;

/// An object's health as it is printed.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Judged<'a> {
    api_version: &'a str,
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    status: HealthStatus,
    message: String,
}

impl Judged<'_> {
    fn row(&self) -> [String; 3] {
        let name = printable(&format!("{}/{}", self.kind, self.name));
        [name, self.status.name().to_owned(), self.message.clone()]
    }

    fn row_in_namespace(&self) -> [String; 4] {
        let [name, status, message] = self.row();
        [printable(self.namespace.unwrap_or("-")), name, status, message]
    }
}

/// One line an object; with its namespace first where they are of several, as two may have one name.
pub fn table(judged: &[Judged]) -> String {
    let namespaces: BTreeSet<&str> = judged.iter().filter_map(|one| one.namespace).collect();
    match namespaces.len() > 1 {
        true => aligned(judged.iter().map(Judged::row_in_namespace)),
        false => aligned(judged.iter().map(Judged::row)),
    }
}

/// When an object was applied is not in the file; its graces begin when it was made.
pub fn judge<'a>(objects: &'a [Object], rules: &Rules, now: Timestamp) -> Vec<Judged<'a>> {
    let of = |kind: &str| -> Vec<Object> {
        let those = objects.iter().filter(|object| (object.group(), object.kind()) == ("", kind));
        those.cloned().collect()
    };
    let (pods, nodes) = (of("Pod"), of("Node"));
    let judge = |object| {
        if let Some(told) = rules.assess(object) {
            return judged(object, told);
        }
        let since = age(object, now);
        let context = HealthContext {
            since,
            now: Some(now),
            pods: &pods,
            nodes: &nodes,
            ..HealthContext::default()
        };
        judged(object, assess_with(object, &context))
    };
    objects.iter().map(judge).collect()
}

fn judged(object: &Object, health: Health) -> Judged<'_> {
    let Health { status, message } = health;
    Judged {
        api_version: object.api_version(),
        kind: object.kind(),
        namespace: object.namespace(),
        name: object.name(),
        status,
        message: printable(&message),
    }
}

/// Nothing for an object that was never made, as in a manifest.
fn age(object: &Object, now: Timestamp) -> Duration {
    let made = object.0.pointer("/metadata/creationTimestamp").and_then(|made| made.as_str());
    let made = made.and_then(|made| made.parse::<Timestamp>().ok());
    made.and_then(|made| Duration::try_from(now.duration_since(made)).ok()).unwrap_or_default()
}

/// One JSON object a line.
pub fn lines(judged: &[Judged]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for one in judged {
        lines.push_str(&serde_json::to_string(one)?);
        lines.push('\n');
    }
    Ok(lines)
}
