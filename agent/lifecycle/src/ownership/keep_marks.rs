//! Marks by which the author of an object says that it outlives what it was installed with. They are Helm's, OCM's, Argo CD's
//! and Flux's, because bundles are made of manifests that were written for these.

/// An annotation or label, and whether a value of it is the mark.
struct Mark {
    name: &'static str,
    is_set: fn(&str) -> bool,
}

const MARKS: [Mark; 4] = [
    Mark { name: "helm.sh/resource-policy", is_set: |value| value.trim() == "keep" },
    // Its presence counts.
    Mark { name: "addon.open-cluster-management.io/deletion-orphan", is_set: |_| true },
    Mark { name: "argocd.argoproj.io/sync-options", is_set: keeps_in_argo_cd },
    Mark {
        name: "kustomize.toolkit.fluxcd.io/prune",
        is_set: |value| value.trim().eq_ignore_ascii_case("disabled"),
    },
];

/// With `confirm`, a person has to confirm a removal, and nobody does that here.
const KEEPING_OPTIONS: [&str; 4] =
    ["Prune=false", "Prune=confirm", "Delete=false", "Delete=confirm"];

/// Argo CD has a list of options. Each of these keeps the object when it is dropped or its application is deleted.
fn keeps_in_argo_cd(options: &str) -> bool {
    options.split(',').any(|option| KEEPING_OPTIONS.contains(&option.trim()))
}

/// Returns why an object stays although a removal reached it; `None` if it has no mark. `value` returns the value of an
/// annotation or label of the living object: what its manifest has is there, too.
pub fn keep_reason<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let mark = MARKS.iter().find(|mark| value(mark.name).is_some_and(mark.is_set))?;
    Some(format!("its mark {} keeps it", mark.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_other_tools_keep_an_object() {
        for (name, value, is_kept) in [
            ("helm.sh/resource-policy", "keep", true),
            ("helm.sh/resource-policy", "delete", false),
            ("addon.open-cluster-management.io/deletion-orphan", "", true),
            ("argocd.argoproj.io/sync-options", "Replace=true, Prune=false", true),
            ("argocd.argoproj.io/sync-options", "Delete=false", true),
            ("argocd.argoproj.io/sync-options", "Prune=confirm", true),
            ("argocd.argoproj.io/sync-options", "Replace=true", false),
            ("kustomize.toolkit.fluxcd.io/prune", "disabled", true),
            ("kustomize.toolkit.fluxcd.io/prune", "enabled", false),
            ("example.com/keep", "keep", false),
        ] {
            let kept = keep_reason(|asked| (asked == name).then_some(value));
            assert_eq!(kept.is_some(), is_kept, "{name}: {value}");
        }
    }
}
