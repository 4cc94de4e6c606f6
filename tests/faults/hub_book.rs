//! What the hub was told of an add-on, beside what the ledger says.

use anyhow::Result;
use lifecycle::ManagedAddOnStatus;
use serde_json::{Value, json};
use testbed::Hub;

pub const NAME: &str = "what the hub knows";

const OURS: &str = "lifecycle.open-cluster-management.io/";
/// For these the message is the version.
const VERSIONS: [&str; 2] = ["CurrentVersion", "DesiredVersion"];

/// Without what differs between any two runs: times are compared with those of the ledger.
pub async fn read(hub: &Hub, name: &str, ledger: Option<&ManagedAddOnStatus>) -> Result<Value> {
    let Some(object) = hub.add_on_opt(name).await? else { return Ok(json!("gone")) };
    let Some(ledger) = ledger else { return Ok(json!("nothing to know")) };
    let ledger = serde_json::to_value(ledger)?;
    let lease = hub.lease_opt(name).await?.unwrap_or_default();
    let reported = hub.parse_report(&lease).unwrap_or_default();
    let spec = lease.spec.unwrap_or_default();
    let initiated = spec.acquire_time.map(|time| json!(time.0));
    let none = Vec::new();
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let conditions = conditions.unwrap_or(&none).iter().map(|condition| shown(condition, &ledger));
    Ok(json!({
        "differs": differing(&reported, &ledger),
        "initiated": initiated == Some(ledger["startedTime"].clone()),
        "transitions": spec.lease_transitions,
        "conditions": conditions.collect::<Vec<String>>(),
    }))
}

/// Whether all that was told is what the ledger says.
pub fn is_true(book: &Value) -> bool {
    book["differs"] == json!([]) && book["initiated"] == true
}

/// Fields in which a report is not the ledger.
fn differing(reported: &Value, ledger: &Value) -> Vec<String> {
    let Some(fields) = reported.as_object().filter(|fields| !fields.is_empty()) else {
        return vec!["no report".to_owned()];
    };
    let told = fields.iter().filter(|(key, value)| match (key.as_str(), value) {
        ("history", Value::Array(told)) => {
            ledger["history"].as_array().is_none_or(|all| !all.starts_with(told))
        }
        (key, value) => ledger[key] != **value,
    });
    let forgotten = ["phase", "result", "completionTime"].into_iter();
    let forgotten = forgotten.filter(|key| reported[*key].is_null() && !ledger[*key].is_null());
    told.map(|(key, _)| key.clone()).chain(forgotten.map(str::to_owned)).collect()
}

fn shown(condition: &Value, ledger: &Value) -> String {
    let text = |key: &str| condition[key].as_str().unwrap_or_default();
    let kind = text("type").trim_start_matches(OURS);
    let message = match kind {
        kind if VERSIONS.contains(&kind) => text("message").to_owned(),
        "Rollout" => format!("with the ledger's times: {}", has_times(text("message"), ledger)),
        _ => String::new(),
    };
    format!("{kind} {} {} {message}", text("status"), text("reason"))
}

fn has_times(message: &str, ledger: &Value) -> bool {
    let time = |(word, key): (&str, &str)| {
        ledger[key].as_str().is_none_or(|time| message.contains(&format!("{word} {time}")))
    };
    [("started", "startedTime"), ("completed", "completionTime")].into_iter().all(time)
}

/// Reports that say what no saved ledger said, or say it in another order. What was refused before it became a
/// `ManagedAddOn` is in no ledger.
pub fn ahead_of<'a>(
    reports: &[Value],
    ledgers: impl Iterator<Item = &'a ManagedAddOnStatus>,
) -> Vec<String> {
    let ledgers: Vec<Value> = ledgers.filter_map(|it| serde_json::to_value(it).ok()).collect();
    let mut from = 0;
    let mut found = Vec::new();
    for report in reports.iter().filter(|report| report["phase"] != "Rejected") {
        let said = ledgers[from..].iter().position(|ledger| differing(report, ledger).is_empty());
        match said {
            Some(at) => from += at,
            None => found.push(format!("the hub was told what no ledger said then: {report}")),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(phase: &str) -> ManagedAddOnStatus {
        serde_json::from_value(json!({"phase": phase, "startedTime": "2026-01-01T00:00:00Z"}))
            .unwrap()
    }

    #[test]
    fn a_report_follows_the_ledger() {
        let ledgers = [ledger("Applying"), ledger("Verifying"), ledger("Available")];
        let report = |phase: &str| serde_json::to_value(ledger(phase)).unwrap();
        let found = |phases: &[&str]| {
            let reports: Vec<Value> = phases.iter().map(|phase| report(phase)).collect();
            ahead_of(&reports, ledgers.iter()).len()
        };
        assert_eq!(found(&["Applying", "Available"]), 0);
        assert_eq!(found(&["Available", "Applying"]), 1, "in another order");
        assert_eq!(found(&["Pruning"]), 1, "never saved");
    }
}
