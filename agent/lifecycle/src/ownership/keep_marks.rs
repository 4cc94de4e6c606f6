//! Marks by which the author of an object says that it outlives what it was installed with. They are Helm's, OCM's, Argo CD's
//! and Flux's, because bundles are made of manifests that were written for these.

/// An annotation, and whether a value of it is the mark.
struct Mark {
    annotation: &'static str,
    is_set: fn(&str) -> bool,
}

const MARKS: [Mark; 4] = [
    Mark { annotation: "helm.sh/resource-policy", is_set: |value| value.trim() == "keep" },
    // Its presence counts.
    Mark { annotation: "addon.open-cluster-management.io/deletion-orphan", is_set: |_| true },
    Mark { annotation: "argocd.argoproj.io/sync-options", is_set: keeps_in_argo_cd },
    Mark {
        annotation: "kustomize.toolkit.fluxcd.io/prune",
        is_set: |value| value.trim().eq_ignore_ascii_case("disabled"),
    },
];

/// Argo CD has a list of options. Either of these keeps the object when it is dropped or its application is deleted.
fn keeps_in_argo_cd(options: &str) -> bool {
    options.split(',').any(|option| matches!(option.trim(), "Prune=false" | "Delete=false"))
}

/// Returns why an object stays although a removal reached it; `None` if it has no mark. `annotation` returns the value of an
/// annotation of the object.
pub fn keep_reason<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let marked = |mark: &&Mark| annotation(mark.annotation).is_some_and(mark.is_set);
    let mark = MARKS.iter().find(marked)?;
    Some(format!("its annotation {} keeps it", mark.annotation))
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
            ("argocd.argoproj.io/sync-options", "Prune=confirm", false),
            ("kustomize.toolkit.fluxcd.io/prune", "disabled", true),
            ("kustomize.toolkit.fluxcd.io/prune", "enabled", false),
            ("example.com/keep", "keep", false),
        ] {
            let kept = keep_reason(|asked| (asked == name).then_some(value));
            assert_eq!(kept.is_some(), is_kept, "{name}: {value}");
        }
    }
}
