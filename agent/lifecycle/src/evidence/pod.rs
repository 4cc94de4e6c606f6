//! The status of a pod as evidence.

use serde_json::Value;

use super::line::{format_line, join_reason};
use crate::object::Object;
use crate::redaction::Redaction;

/// Formats the status of a pod: its phase, the conditions that are not `True`, and its containers.
pub fn format_pod(pod: &Object, redaction: &Redaction) -> String {
    let text = |pointer: &str| pod.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let status = [text("/status/phase"), text("/status/reason"), text("/status/message")];
    let mut lines = vec![format!("pod {}: {}", pod.name(), join_reason(status))];
    let conditions = list_at(&pod.0, "/status/conditions").iter();
    lines.extend(conditions.filter(|it| it["status"] != "True").map(format_condition));
    for pointer in ["/status/initContainerStatuses", "/status/containerStatuses"] {
        lines.extend(list_at(&pod.0, pointer).iter().map(format_container));
    }
    lines.iter().map(|line| format_line(line, redaction)).collect::<Vec<_>>().join("\n")
}

fn format_condition(condition: &Value) -> String {
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let status = join_reason([text("status"), text("reason"), text("message")]);
    format!("  condition {} {status}", text("type"))
}

fn format_container(status: &Value) -> String {
    let name = status["name"].as_str().unwrap_or_default();
    let restarts = status["restartCount"].as_u64().unwrap_or_default();
    let before = match format_state(&status["lastState"]) {
        before if before.is_empty() => before,
        before => format!("; before: {before}"),
    };
    format!("  container {name}: {}; {restarts} restarts{before}", format_state(&status["state"]))
}

/// Formats a container's state, such as `waiting CrashLoopBackOff: back-off 10s` or `terminated Error, exit code 1`.
fn format_state(state: &Value) -> String {
    let Some((name, details)) = state.as_object().and_then(|state| state.iter().next()) else {
        return String::new();
    };
    let text = |field: &str| details[field].as_str().unwrap_or_default();
    let state = join_reason([name, text("reason"), text("message")]);
    match details["exitCode"].as_i64() {
        Some(code) => format!("{state}, exit code {code}"),
        None => state,
    }
}

fn list_at<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_formatted_in_a_few_lines() {
        let object = Object(json!({
            "metadata": {"name": "web-1", "namespace": "shop"},
            "status": {
                "phase": "Running",
                "conditions": [
                    {"type": "Initialized", "status": "True"},
                    {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "web"},
                ],
                "containerStatuses": [{
                    "name": "web", "restartCount": 3,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                    "lastState": {"terminated": {"reason": "Error", "exitCode": 1}},
                }],
            },
        }));
        let expected = "pod web-1: Running
  condition Ready False ContainersNotReady: web
  container web: waiting CrashLoopBackOff: back-off 40s; 3 restarts; before: terminated Error, exit code 1";
        assert_eq!(format_pod(&object, &Redaction::default()), expected);
    }
}
