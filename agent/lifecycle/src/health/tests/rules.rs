//! Health rules of a release: their evaluation, and expressions that are refused before it.

use crate::api::HealthRule;
use crate::reason::Reason;

use super::*;

fn rule(expressions: Value) -> HealthRule {
    let mut rule = json!({"apiVersion": "example.com/v1", "kind": "Backend"});
    for (name, text) in expressions.as_object().expect("expressions") {
        rule[name] = text.clone();
    }
    serde_json::from_value(rule).expect("a rule")
}

fn evaluate(expressions: &Value, object: Value) -> Health {
    let rules = Rules::compile(&[rule(expressions.clone())]).expect("a rule");
    rules.assess(&Object(object)).expect("a rule for it")
}

fn backend(status: Value) -> Value {
    object("example.com/v1", "Backend", json!({"size": 3}), status)
}

#[test]
fn failed_is_evaluated_first_then_in_progress_then_current() {
    let expressions = json!({
        "failed": "object.status.phase == 'Broken'",
        "inProgress": "object.status.phase in ['Broken', 'Starting']",
        "current": "object.status.phase != ''",
    });
    for (phase, status) in
        [("Broken", Failed), ("Starting", InProgress), ("Running", Current), ("", InProgress)]
    {
        assert_eq!(
            evaluate(&expressions, backend(json!({"phase": phase}))).status,
            status,
            "{phase}"
        );
    }
}

#[test]
fn the_health_of_an_object_that_would_cost_too_much_is_unknown() {
    let expressions =
        json!({"current": "object.status.list.map(x, object.status.text).size() > 0"});
    let health = |items: usize, text: usize| {
        let status = json!({"list": vec![1; items], "text": "x".repeat(text)});
        evaluate(&expressions, backend(status))
    };
    assert_eq!(health(100, 40_000).status, Current);
    assert_eq!(health(1, 500_000).status, Current);
    let health = health(50_000, 300_000);
    assert_eq!(health.status, HealthStatus::Unknown);
    assert!(health.message.contains("too large for a health rule"), "{}", health.message);
}

#[test]
fn a_missing_field_is_in_progress_and_reported() {
    let expressions = json!({"failed": "object.status.error != ''", "current": "true"});
    for status in [json!({}), json!({"errors": 1})] {
        let health = evaluate(&expressions, backend(status));
        assert_eq!(health.status, InProgress);
        let expected =
            "error in its health rule, expression failed: no such key: error; guard it with has()";
        assert_eq!(health.message, expected);
    }
    let guarded = json!({"failed": "has(object.status.error)", "current": "true"});
    assert_eq!(evaluate(&guarded, backend(json!({}))).status, Current);
}

#[test]
fn numbers_compare_as_people_write_them() {
    let status = json!({"ready": 3, "zero": 0, "less": -1, "load": 0.5, "huge": u64::MAX});
    for expression in [
        "object.status.ready == object.spec.size",
        "object.status.ready == 3",
        "object.status.ready - 1 == 2",
        "object.status.zero == 0 && object.status.less < 0",
        "object.status.load < 1.0",
        "object.status.ready >= 2.5",
        "object.status.huge > 1u",
        "double(object.status.ready) / 2.0 == 1.5",
    ] {
        let health = evaluate(&json!({"current": expression}), backend(status.clone()));
        assert_eq!(health.status, Current, "{expression}: {}", health.message);
    }
}

#[test]
fn the_functions_of_kubernetes_cel_are_available() {
    let status = json!({
        "conditions": [{"type": "Synced", "status": "True"}, {"type": "Ready", "status": "True"}],
        "url": "https://a.example.com", "members": ["a", "b"],
    });
    for expression in [
        "object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
        "object.status.conditions.filter(c, c.type == 'Ready').all(c, c.status == 'True')",
        "size(object.status.conditions.map(c, c.type)) == 2",
        "object.status.conditions.exists_one(c, c.type == 'Ready')",
        "object.status.url.startsWith('https://') && object.status.url.endsWith('.com')",
        "object.status.url.matches('^https://[a-z.]+$') && object.status.url.contains('example')",
        "'a' in object.status.members && object.metadata.name == 'x'",
        "has(object.status.url) ? true : false",
        "string(object.spec.size) == '3' && int('3') == object.spec.size",
        "object.status['url'] != ''",
        "object.status.members[1] == 'b' && object.status.members.size() == 2",
    ] {
        let health = evaluate(&json!({"current": expression}), backend(status.clone()));
        assert_eq!(health.status, Current, "{expression}: {}", health.message);
    }
}

#[test]
fn no_message_has_a_value_of_the_object() {
    let status = json!({"token": "s3cret", "list": ["s3cret"], "map": {"s3cret": 1}, "n": 0, "pattern": "(s3cret"});
    for expression in [
        "object.status.token > 1",
        "object.status.token",
        "object.status.list[object.status.token]",
        "object.status.map[object.status.token + 'x'] == 1",
        "object.status.list[7] == ''",
        "1 / object.status.n == 1",
        "object.status.token + 1 == ''",
        "int(object.status.token) == 1",
        "object.status.token.matches(object.status.pattern)",
        "object.status.token.all(x, true)",
        "-object.status.token == ''",
    ] {
        let health = evaluate(&json!({"current": expression}), backend(status.clone()));
        assert_eq!(health.status, InProgress, "{expression}");
        assert!(!health.message.contains("s3cret"), "{expression}: {}", health.message);
        let is_specific = !health.message.ends_with("cannot be evaluated");
        assert!(is_specific, "{expression}: {}", health.message);
    }
}

#[test]
fn deletion_and_generation_come_before_a_rule() {
    let expressions = json!({"current": "true"});
    let outdated = backend(json!({"observedGeneration": 1}));
    assert_eq!(evaluate(&expressions, outdated).status, InProgress);
    let terminating =
        with(&backend(json!({})), ["metadata", "deletionTimestamp"], json!("2026-01-01T00:00:00Z"));
    assert_eq!(evaluate(&expressions, terminating).status, Terminating);
    let stalled = backend(condition("Stalled", "True"));
    assert_eq!(evaluate(&expressions, stalled).status, Current, "the rule alone decides");
}

#[test]
fn a_rule_is_for_one_version_of_one_kind() {
    let rules = Rules::compile(&[rule(json!({"current": "true"}))]).expect("a rule");
    let of = |api_version, kind| Object(object(api_version, kind, json!({}), json!({})));
    assert!(rules.applies_to(&of("example.com/v1", "Backend")));
    for other in [of("example.com/v2", "Backend"), of("example.com/v1", "Frontend")] {
        assert!(!rules.applies_to(&other) && rules.assess(&other).is_none());
    }
}

/// Each of these is refused at the assignment, within the stack of a blocking thread.
#[test]
fn expressions_that_cost_too_much_or_can_never_be_evaluated_are_refused() {
    let long = format!("object.a == '{}'", "x".repeat(1024));
    let sums = format!("{} > 1", "1+".repeat(200) + "1");
    let selects = format!("object{}", ".a".repeat(500));
    let lists = format!("{}{} == []", "[".repeat(500), "]".repeat(500));
    for (expression, error) in [
        ("", "is not CEL"),
        ("object.a ==", "is not CEL"),
        ("object.a == 'x", "is not CEL"),
        ("((((((((((((((((((((((((((((((((", "is not CEL"),
        (&long, "longer than 1024 bytes"),
        (&sums, "deep"),
        (&selects, "deep"),
        (&lists, ""),
        ("object.a.all(x, object.b.all(y, x == y))", "in a loop"),
        ("object.a.map(x, object.b.filter(y, y)).size() == 1", "in a loop"),
        ("[1].exists(x, x == 1 && [2].exists(y, y == x))", "in a loop"),
        ("object.a.matches('(')", "\"(\" is not a regular expression"),
        ("object.a.all(x, x.matches('a{2,1}'))", "is not a regular expression"),
        ("self.status.ready", "self is unknown; there is only object"),
        ("object.a.all(x, y)", "y is unknown"),
        ("object.a.all(x, x) && x", "x is unknown"),
        ("readFile('/etc/passwd') == ''", "the function readFile is unknown"),
        ("object.status.replace('a', 'b') == ''", "the function replace is unknown"),
        ("Pod{name: 'x'} == object", "unknown"),
    ] {
        let refused =
            Rules::compile(&[rule(json!({"current": expression}))]).expect_err(expression);
        assert_eq!(refused.reason, Reason::InvalidAssignment);
        let words = "health rule for example.com/v1 Backend: current: ";
        assert!(refused.message.starts_with(words), "{}", refused.message);
        assert!(refused.message.contains(error), "{expression}: {}", refused.message);
        assert!(refused.message.len() < 600, "{}", refused.message);
    }
}

/// The parser refuses or folds these; none of them crashes the agent.
#[test]
fn expressions_that_the_parser_folds_are_harmless() {
    for (open, close) in [("!", ""), ("(", ")"), ("-", ""), ("object.a || ", ""), ("true ? ", "")] {
        let expression = format!("{}object.a{}", open.repeat(80), close.repeat(80));
        let compiled = Rules::compile(&[rule(json!({"current": expression}))]);
        if let Ok(rules) = compiled {
            assert!(rules.assess(&Object(backend(json!({})))).is_some(), "{expression}");
        }
    }
}

#[test]
fn two_rules_for_one_kind_and_too_many_rules_are_refused() {
    let one = rule(json!({"current": "true"}));
    assert!(Rules::compile(&[one.clone(), one.clone()]).is_err());
    let many = |count: usize| {
        let named = |n: usize| HealthRule { kind: format!("K{n}"), ..one.clone() };
        Rules::compile(&(0..count).map(named).collect::<Vec<_>>())
    };
    assert!(many(32).is_ok() && many(33).is_err());
    let secret = HealthRule { api_version: "v1".into(), kind: "Secret".into(), ..one };
    assert!(Rules::compile(&[secret]).is_err(), "a Secret has no health");
}
