//! The `ManagedAddOn` that a stand-alone `ManagedClusterAddOn` asks for, read from its `AddOnTemplate`. Pure.

use lifecycle::names::annotation::{self, MCA_UID};
use lifecycle::names::{GROUP, RESERVED_NAMES, label};
use lifecycle::{Fault, Reason};
use semver::Version;
use serde_json::{Map, Value, json};

use crate::assignments::inline_bundle;
use crate::names::WRITER;
use crate::ocm::{AddOnTemplate, ManagedClusterAddOn};

/// A `ManagedAddOn` as the hub asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredAddOn {
    pub name: String,
    pub version: String,
    /// The whole object. The API server judges the fields that this program does not know.
    pub object: Value,
}

/// Returns a fault for a name that the hub uses for another lease.
pub fn check_name(name: &str) -> Result<(), Fault> {
    if RESERVED_NAMES.contains(&name) {
        return Err(invalid_assignment(format!("the name {name} is reserved")));
    }
    Ok(())
}

/// Returns the name of the template that `spec.configs` refers to; `None` if it refers to no template.
///
/// Fails if it refers to several.
pub fn template_name(mca: &ManagedClusterAddOn) -> Result<Option<&str>, Fault> {
    let mut templates = mca.templates();
    match (templates.next(), templates.next()) {
        (name, None) => Ok(name),
        (_, Some(_)) => {
            Err(invalid_assignment("spec.configs refers to more than one addontemplate"))
        }
    }
}

/// Returns the `ManagedAddOn` that a template holds, or the one of its plain manifests.
///
/// Fails with the fault that the hub gets as a rejection.
pub fn desired_add_on(
    mca: &ManagedClusterAddOn,
    template: &AddOnTemplate,
) -> Result<DesiredAddOn, Fault> {
    let manifests = &template.spec.agent_spec.workload.manifests;
    let (add_ons, others): (Vec<_>, Vec<_>) =
        manifests.iter().partition(|it| is_managed_add_on(it));
    let (version, object) = match (add_ons.as_slice(), others.as_slice()) {
        ([], []) => Err(Fault::new(Reason::EmptyBundle, "the template holds no manifests")),
        ([], manifests) => from_manifests(mca, template, manifests),
        ([add_on], []) => from_managed_add_on(mca, add_on),
        (_, []) => Err(invalid_assignment("the template holds more than one ManagedAddOn")),
        (_, _) => {
            Err(invalid_assignment("the template holds other manifests besides a ManagedAddOn"))
        }
    }?;
    let object = with_origin(object, mca, template);
    Ok(DesiredAddOn { name: mca.name().to_owned(), version, object })
}

/// Returns the version in a template's name, which is `<add-on>-<version>`.
pub fn version_in_name<'a>(add_on: &str, template: &'a str) -> Option<&'a str> {
    template.strip_prefix(add_on)?.strip_prefix('-').filter(|version| !version.is_empty())
}

/// Returns a fault that the author of the assignment can correct.
pub fn invalid_assignment(message: impl Into<String>) -> Fault {
    Fault::new(Reason::InvalidAssignment, message)
}

fn is_managed_add_on(manifest: &Value) -> bool {
    let group = manifest["apiVersion"].as_str().and_then(|version| version.split('/').next());
    group == Some(GROUP) && manifest["kind"] == "ManagedAddOn"
}

fn from_managed_add_on(
    mca: &ManagedClusterAddOn,
    add_on: &Value,
) -> Result<(String, Value), Fault> {
    let name = add_on["metadata"]["name"].as_str().unwrap_or_default();
    if name != mca.name() {
        return Err(invalid_assignment(format!(
            "the template's ManagedAddOn is named {name:?}; it must have the name {:?} of the ManagedClusterAddOn",
            mca.name()
        )));
    }
    let version = add_on["spec"]["version"].as_str().unwrap_or_default();
    let version = check_version(version)?;
    let object = json!({
        "apiVersion": add_on["apiVersion"],
        "kind": "ManagedAddOn",
        "metadata": {
            "name": name,
            "labels": add_on["metadata"]["labels"],
            "annotations": add_on["metadata"]["annotations"],
        },
        "spec": add_on["spec"],
    });
    Ok((version, object))
}

fn from_manifests(
    mca: &ManagedClusterAddOn,
    template: &AddOnTemplate,
    manifests: &[&Value],
) -> Result<(String, Value), Fault> {
    let version = template_version(mca, template)?;
    let bundle = inline_bundle::encode(manifests)?;
    let object = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "ManagedAddOn",
        "metadata": {"name": mca.name()},
        "spec": {"version": version, "source": {"inline": {"manifests": bundle}}},
    });
    Ok((version, object))
}

/// The annotation takes precedence over the name.
fn template_version(mca: &ManagedClusterAddOn, template: &AddOnTemplate) -> Result<String, Fault> {
    let annotations = template.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|all| all.get(annotation::VERSION));
    let name = template.metadata.name.as_deref().unwrap_or_default();
    match (annotated, version_in_name(mca.name(), name)) {
        (Some(version), _) => check_version(version),
        (None, Some(version)) => check_version(version),
        (None, None) => Err(Fault::new(
            Reason::InvalidVersion,
            format!(
                "the template {name} has no version: name it {}-<version> or set the annotation {}",
                mca.name(),
                annotation::VERSION
            ),
        )),
    }
}

fn check_version(version: &str) -> Result<String, Fault> {
    match Version::parse(version) {
        Ok(_) => Ok(version.to_owned()),
        Err(error) => {
            Err(Fault::new(Reason::InvalidVersion, format!("version {version:?}: {error}")))
        }
    }
}

/// Marks the object with its writer, its template and its `ManagedClusterAddOn`.
fn with_origin(mut object: Value, mca: &ManagedClusterAddOn, template: &AddOnTemplate) -> Value {
    let name = template.metadata.name.as_deref().unwrap_or_default();
    let metadata = &mut object["metadata"];
    set_all(&mut metadata["labels"], &[(label::WRITTEN_BY, WRITER)]);
    set_all(&mut metadata["annotations"], &[(annotation::TEMPLATE, name), (MCA_UID, mca.uid())]);
    object
}

fn set_all(map: &mut Value, entries: &[(&str, &str)]) {
    if !map.is_object() {
        *map = Value::Object(Map::new());
    }
    for (key, value) in entries {
        map[*key] = json!(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{config_map, managed_add_on, mca, template};

    #[test]
    fn the_managed_add_on_of_a_template_is_written_whole_but_for_foreign_metadata() {
        let mut add_on = managed_add_on("metrics", "1.5.0");
        add_on["metadata"]["annotations"] = json!({"note": "stays"});
        add_on["metadata"]["finalizers"] = json!(["dropped"]);
        add_on["spec"]["fromTheFuture"] = json!(true);
        let desired =
            desired_add_on(&mca("metrics", "u1"), &template("metrics-1.5.0", [add_on.clone()]))
                .unwrap();
        assert_eq!((desired.name.as_str(), desired.version.as_str()), ("metrics", "1.5.0"));
        assert_eq!(desired.object["spec"], add_on["spec"]);
        assert_eq!(
            desired.object["metadata"],
            json!({
                "name": "metrics",
                "labels": {label::WRITTEN_BY: "hub-sync"},
                "annotations": {"note": "stays", annotation::TEMPLATE: "metrics-1.5.0", MCA_UID: "u1"},
            })
        );
    }

    #[test]
    fn plain_manifests_become_an_inline_bundle() {
        let template = template("metrics-1.5.0", [config_map("a"), config_map("b")]);
        let desired = desired_add_on(&mca("metrics", "u1"), &template).unwrap();
        assert_eq!(desired.object["spec"]["version"], "1.5.0");
        let bundle = inline_bundle::encode(&[&config_map("a"), &config_map("b")]).unwrap();
        assert_eq!(desired.object["spec"]["source"]["inline"]["manifests"], bundle);
    }

    #[test]
    fn the_annotated_version_takes_precedence_over_the_one_in_the_name() {
        let mut template = template("metrics-1.5.0", [config_map("a")]);
        template.metadata.annotations =
            Some([(annotation::VERSION.to_owned(), "2.0.0".to_owned())].into());
        assert_eq!(desired_add_on(&mca("metrics", "u1"), &template).unwrap().version, "2.0.0");
    }

    #[test]
    fn every_rejection_has_its_reason() {
        let one = || managed_add_on("metrics", "1.5.0");
        let table: [(&str, &str, Vec<Value>, Reason); 10] = [
            ("nothing", "metrics-1.5.0", vec![], Reason::EmptyBundle),
            (
                "another name",
                "m-1",
                vec![managed_add_on("logs", "1.5.0")],
                Reason::InvalidAssignment,
            ),
            ("two", "m-1", vec![one(), one()], Reason::InvalidAssignment),
            ("other manifests", "m-1", vec![one(), config_map("a")], Reason::InvalidAssignment),
            ("leading v", "m-1", vec![managed_add_on("metrics", "v1.5.0")], Reason::InvalidVersion),
            ("two numbers", "m-1", vec![managed_add_on("metrics", "1.5")], Reason::InvalidVersion),
            (
                "no version",
                "m-1",
                vec![
                    json!({"apiVersion": one()["apiVersion"], "kind": "ManagedAddOn", "metadata": {"name": "metrics"}}),
                ],
                Reason::InvalidVersion,
            ),
            ("inline, no version", "metrics", vec![config_map("a")], Reason::InvalidVersion),
            (
                "inline, another add-on's name",
                "logs-1.0.0",
                vec![config_map("a")],
                Reason::InvalidVersion,
            ),
            ("inline, no semver", "metrics-latest", vec![config_map("a")], Reason::InvalidVersion),
        ];
        for (case, name, manifests, reason) in table {
            let fault =
                desired_add_on(&mca("metrics", "u1"), &template(name, manifests)).unwrap_err();
            assert_eq!(fault.reason, reason, "{case}: {}", fault.message);
        }
    }

    #[test]
    fn one_template_is_followed_and_two_are_rejected() {
        let mut mca = mca("metrics", "u1");
        assert_eq!(template_name(&mca), Ok(Some("metrics-1.5.0")));
        let mut other_kind = mca.spec.configs[0].clone();
        other_kind.resource = "addondeploymentconfigs".to_owned();
        mca.spec.configs.push(other_kind);
        assert_eq!(template_name(&mca), Ok(Some("metrics-1.5.0")));
        mca.spec.configs.push(mca.spec.configs[0].clone());
        assert_eq!(template_name(&mca).unwrap_err().reason, Reason::InvalidAssignment);
        mca.spec.configs.clear();
        assert_eq!(template_name(&mca), Ok(None));
    }

    #[test]
    fn reserved_names_are_rejected() {
        for name in ["managed-cluster-lease", "addon-lifecycle-agent"] {
            assert_eq!(check_name(name).unwrap_err().reason, Reason::InvalidAssignment);
        }
        assert_eq!(check_name("metrics"), Ok(()));
    }
}
