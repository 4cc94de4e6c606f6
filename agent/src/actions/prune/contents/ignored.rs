//! What every namespace has without anybody's doing, and kinds that only report or coordinate. None of it keeps a namespace.

/// One row of the table. Kinds are compared with their API group.
struct Ignored {
    group: &'static str,
    kind: &'static str,
    name: Name,
}

enum Name {
    Any,
    Is(&'static str),
    StartsWith(&'static str),
}

/// API groups whose objects are measurements: nothing of them is stored.
const MEASUREMENTS: [&str; 3] =
    ["metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"];

const RBAC: &str = "rbac.authorization.k8s.io";
const OPENSHIFT_RBAC: &str = "authorization.openshift.io";

const TABLE: [Ignored; 19] = [
    row("", "ConfigMap", Name::Is("kube-root-ca.crt")),
    row("", "ServiceAccount", Name::Is("default")),
    row("", "Event", Name::Any),
    row("events.k8s.io", "Event", Name::Any),
    // Those of a Service are deleted some time after it.
    row("", "Endpoints", Name::Any),
    row("discovery.k8s.io", "EndpointSlice", Name::Any),
    // Those of elections outlive the pods that took part.
    row("coordination.k8s.io", "Lease", Name::Any),
    // OpenShift's.
    row("", "ConfigMap", Name::Is("openshift-service-ca.crt")),
    row("", "ServiceAccount", Name::Is("builder")),
    row("", "ServiceAccount", Name::Is("deployer")),
    row("", "Secret", Name::StartsWith("default-dockercfg-")),
    row("", "Secret", Name::StartsWith("builder-dockercfg-")),
    row("", "Secret", Name::StartsWith("deployer-dockercfg-")),
    row(RBAC, "RoleBinding", Name::Is("system:deployers")),
    row(RBAC, "RoleBinding", Name::Is("system:image-builders")),
    row(RBAC, "RoleBinding", Name::Is("system:image-pullers")),
    row(OPENSHIFT_RBAC, "RoleBinding", Name::Is("system:deployers")),
    row(OPENSHIFT_RBAC, "RoleBinding", Name::Is("system:image-builders")),
    row(OPENSHIFT_RBAC, "RoleBinding", Name::Is("system:image-pullers")),
];

const fn row(group: &'static str, kind: &'static str, name: Name) -> Ignored {
    Ignored { group, kind, name }
}

/// Returns whether an object of this name keeps no namespace.
pub fn is_ignored(group: &str, kind: &str, name: &str) -> bool {
    is_measured(group)
        || TABLE.iter().any(|row| {
            let is_named = match row.name {
                Name::Any => true,
                Name::Is(known) => name == known,
                Name::StartsWith(prefix) => name.starts_with(prefix),
            };
            is_named && row.group == group && row.kind == kind
        })
}

/// Returns whether an API group only has measurements.
pub fn is_measured(group: &str) -> bool {
    MEASUREMENTS.contains(&group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_compared_with_its_group() {
        for (group, kind, name, expected) in [
            ("", "Event", "a", true),
            ("example.com", "Event", "a", false),
            ("coordination.k8s.io", "Lease", "leader", true),
            ("car.example.com", "Lease", "leader", false),
            ("metrics.k8s.io", "PodMetrics", "a", true),
            ("", "ServiceAccount", "builder", true),
            ("", "ServiceAccount", "mine", false),
            ("", "Secret", "deployer-dockercfg-x7k2p", true),
            ("", "Secret", "password", false),
        ] {
            assert_eq!(is_ignored(group, kind, name), expected, "{group} {kind} {name}");
        }
    }
}
