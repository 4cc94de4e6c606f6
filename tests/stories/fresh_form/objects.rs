//! Objects of many kinds in two forms each.

use serde_json::{Value, json};
use testbed::bundle::READY;

/// API version, kind, name, and the two forms of the spec. `READY` in it stands for an image.
pub type Row = (&'static str, &'static str, &'static str, (Value, Value));

pub fn objects() -> Vec<Row> {
    let mut rows = workloads();
    rows.extend(services());
    rows.extend(others());
    rows
}

fn workloads() -> Vec<Row> {
    let apps = |kind, name, first: Value, second: Value| {
        ("apps/v1", kind, name, (workload(name, first), workload(name, second)))
    };
    let rolling = || json!({});
    let container = |fields: Value| pod(json!([]), fields);
    let mut on_delete = container(json!({"image": READY}));
    on_delete["updateStrategy"] = json!({"type": "OnDelete"});
    let mut without_host = container(json!({"ports": [{"containerPort": 18080}]}));
    without_host["replicas"] = json!(0);
    let mut rows = vec![
        apps("StatefulSet", "db", rolling(), json!({"updateStrategy": {"type": "OnDelete"}})),
        apps("StatefulSet", "db-back", json!({"updateStrategy": {"type": "OnDelete"}}), rolling()),
        apps("Deployment", "web", rolling(), json!({"strategy": {"type": "Recreate"}})),
        apps("Deployment", "web-back", json!({"strategy": {"type": "Recreate"}}), rolling()),
        // Nobody replaces a broken pod of a DaemonSet with OnDelete, so this one is never broken.
        apps("DaemonSet", "node", container(json!({"image": READY})), on_delete),
        apps(
            "Deployment",
            "env",
            container(
                json!({"env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}),
            ),
            container(
                json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "B", "value": "x"}]}),
            ),
        ),
        apps(
            "Deployment",
            "probes",
            container(
                json!({"livenessProbe": {"httpGet": {"port": 1}}, "startupProbe": {"exec": {"command": ["a"]}}}),
            ),
            container(
                json!({"livenessProbe": {"exec": {"command": ["a"]}}, "startupProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 7}}),
            ),
        ),
        apps(
            "Deployment",
            "pull",
            container(json!({"image": "registry.example.com/ready"})),
            container(json!({"image": READY})),
        ),
        apps(
            "Deployment",
            "host",
            // Without pods: only one could have the port.
            json!({"replicas": 0, "template": {"spec": {"hostNetwork": true, "containers": [{"name": "main", "image": READY, "ports": [{"containerPort": 18080}]}]}}}),
            without_host,
        ),
    ];
    let sources = [
        json!({}),
        json!({"emptyDir": {}}),
        json!({"configMap": {"name": "settings"}}),
        json!({"secret": {"secretName": "s", "optional": true}}),
        json!({"projected": {"sources": [{"configMap": {"name": "settings"}}]}}),
        json!({"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}]}}),
    ];
    let volumes = |shift: usize| {
        let named = sources.iter().cycle().skip(shift).take(sources.len()).enumerate();
        let volumes = named.map(|(number, source)| {
            let mut volume = source.clone();
            volume["name"] = json!(format!("v{number}"));
            volume
        });
        json!(volumes.collect::<Vec<_>>())
    };
    for (name, shift) in [("volumes-1", 1), ("volumes-2", 2), ("volumes-4", 4)] {
        rows.push(apps(
            "Deployment",
            name,
            pod(volumes(0), json!({})),
            pod(volumes(shift), json!({})),
        ));
    }
    rows
}

fn pod(volumes: Value, container: Value) -> Value {
    let mut main = json!({"name": "main", "image": "READY"});
    for (name, value) in container.as_object().into_iter().flatten() {
        main[name] = value.clone();
    }
    json!({"template": {"spec": {"volumes": volumes, "containers": [main]}}})
}

/// Returns the spec of a workload with more fields.
fn workload(name: &str, more: Value) -> Value {
    let labels = json!({"app": name});
    let mut spec = pod(json!([]), json!({}));
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    spec["selector"] = json!({"matchLabels": labels});
    spec["template"]["metadata"] = json!({"labels": labels});
    spec
}

fn services() -> Vec<Row> {
    let ports = || json!([{"port": 80}]);
    let service = |name, first, second| ("v1", "Service", name, (first, second));
    let cluster_ip = || json!({"selector": {"a": "b"}, "ports": ports()});
    let external = || json!({"type": "ExternalName", "externalName": "example.com"});
    let node_port = || json!({"type": "NodePort", "selector": {"a": "b"}, "ports": ports(), "externalTrafficPolicy": "Local"});
    let sticky =
        || json!({"selector": {"a": "b"}, "ports": ports(), "sessionAffinity": "ClientIP"});
    vec![
        service("to-external", cluster_ip(), external()),
        service("from-external", external(), cluster_ip()),
        service("to-node-port", cluster_ip(), node_port()),
        service("from-node-port", node_port(), cluster_ip()),
        service("sticky", cluster_ip(), sticky()),
        service(
            "not-sticky",
            sticky(),
            json!({"selector": {"a": "b"}, "ports": ports(), "sessionAffinity": "None"}),
        ),
    ]
}

fn others() -> Vec<Row> {
    let job = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a"}]}}});
    let cron = |more: Value| {
        let mut spec = json!({"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job}});
        for (name, value) in more.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        spec
    };
    let backend = |name: &str| json!({"service": {"name": name, "port": {"number": 80}}});
    let select = || json!({"matchLabels": {"a": "b"}});
    vec![
        (
            "batch/v1",
            "CronJob",
            "cron",
            (cron(json!({})), cron(json!({"concurrencyPolicy": "Forbid", "suspend": true}))),
        ),
        (
            "networking.k8s.io/v1",
            "Ingress",
            "ingress",
            (
                json!({"defaultBackend": backend("a")}),
                json!({"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend("b")}]}}]}),
            ),
        ),
        (
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "policy",
            (json!({"podSelector": {}}), json!({"podSelector": {}, "egress": [{}]})),
        ),
        (
            "policy/v1",
            "PodDisruptionBudget",
            "budget",
            (
                json!({"minAvailable": 1, "selector": select()}),
                json!({"maxUnavailable": 1, "selector": select()}),
            ),
        ),
        (
            "fresh.example.com/v1",
            "Shape",
            "shape",
            (json!({"circle": {}}), json!({"square": {"side": 3}})),
        ),
    ]
}
