//! What a stand-alone `ManagedClusterAddOn` asks for, read from its `AddOnTemplate`. Pure.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use lifecycle::names::annotation::{self, MCA_UID};
use lifecycle::names::{GROUP, RESERVED_NAMES, label};
use lifecycle::{Fault, Reason};
use semver::Version;
use serde_json::{Map, Value, json};

use crate::names::WRITER;
use crate::ocm::{AddOnTemplate, ManagedClusterAddOn};

/// Of an inline bundle, encoded: the limit of the CRD.
const LARGEST_INLINE: usize = 160 * 1024;

/// A `ManagedAddOn` as it should be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub name: String,
    pub version: String,
    /// The whole object, as the template gives it. Fields that this program does not know are the API server's to judge.
    pub object: Value,
}

/// Names for which the hub has another use.
pub fn permit_name(name: &str) -> Result<(), Fault> {
    if RESERVED_NAMES.contains(&name) {
        return Err(invalid(format!("the name {name} is reserved")));
    }
    Ok(())
}

/// The template that is referred to; `None` asks for nothing here.
pub fn template_name(mca: &ManagedClusterAddOn) -> Result<Option<&str>, Fault> {
    let mut templates = mca.templates();
    match (templates.next(), templates.next()) {
        (named, None) => Ok(named),
        (_, Some(_)) => Err(invalid("spec.configs refers to more than one addontemplate")),
    }
}

pub fn read(mca: &ManagedClusterAddOn, template: &AddOnTemplate) -> Result<Wanted, Fault> {
    let manifests = &template.spec.agent_spec.workload.manifests;
    let (given, others): (Vec<_>, Vec<_>) = manifests.iter().partition(|it| is_managed_add_on(it));
    let (version, object) = match (given.as_slice(), others.as_slice()) {
        ([], []) => Err(Fault::new(Reason::EmptyBundle, "the template holds no manifests")),
        ([], bundle) => inline(mca, template, bundle),
        ([given], []) => whole(mca, given),
        (_, []) => Err(invalid("the template holds more than one ManagedAddOn")),
        (_, _) => Err(invalid("the template holds other manifests beside a ManagedAddOn")),
    }?;
    let object = signed(object, mca, template);
    Ok(Wanted { name: mca.name().to_owned(), version, object })
}

/// What a template's name says of its version: `<add-on>-<version>`.
pub fn version_in_name<'a>(add_on: &str, template: &'a str) -> Option<&'a str> {
    template.strip_prefix(add_on)?.strip_prefix('-').filter(|version| !version.is_empty())
}

fn is_managed_add_on(manifest: &Value) -> bool {
    let group = manifest["apiVersion"].as_str().and_then(|version| version.split('/').next());
    group == Some(GROUP) && manifest["kind"] == "ManagedAddOn"
}

/// A template that holds the assignment itself.
fn whole(mca: &ManagedClusterAddOn, given: &Value) -> Result<(String, Value), Fault> {
    let name = given["metadata"]["name"].as_str().unwrap_or_default();
    if name != mca.name() {
        return Err(invalid(format!(
            "the template's ManagedAddOn is named {name:?}; it must be named {:?} as the ManagedClusterAddOn",
            mca.name()
        )));
    }
    let version = given["spec"]["version"].as_str().unwrap_or_default();
    let version = semantic(version)?;
    let object = json!({
        "apiVersion": given["apiVersion"],
        "kind": "ManagedAddOn",
        "metadata": {
            "name": name,
            "labels": given["metadata"]["labels"],
            "annotations": given["metadata"]["annotations"],
        },
        "spec": given["spec"],
    });
    Ok((version, object))
}

/// A template that holds the add-on's own manifests.
fn inline(
    mca: &ManagedClusterAddOn,
    template: &AddOnTemplate,
    bundle: &[&Value],
) -> Result<(String, Value), Fault> {
    let version = told_version(mca, template)?;
    let packed = pack(bundle)?;
    if packed.len() > LARGEST_INLINE {
        return Err(Fault::new(
            Reason::BundleTooLarge,
            format!(
                "the template's manifests are {} bytes packed, {LARGEST_INLINE} are possible; use source.http",
                packed.len()
            ),
        ));
    }
    let object = json!({
        "apiVersion": format!("{GROUP}/v1alpha1"),
        "kind": "ManagedAddOn",
        "metadata": {"name": mca.name()},
        "spec": {"version": version, "source": {"inline": {"manifests": packed}}},
    });
    Ok((version, object))
}

fn told_version(mca: &ManagedClusterAddOn, template: &AddOnTemplate) -> Result<String, Fault> {
    let annotations = template.metadata.annotations.as_ref();
    let annotated = annotations.and_then(|all| all.get(annotation::VERSION));
    let name = template.metadata.name.as_deref().unwrap_or_default();
    match (annotated, version_in_name(mca.name(), name)) {
        (Some(version), _) => semantic(version),
        (None, Some(version)) => semantic(version),
        (None, None) => Err(Fault::new(
            Reason::InvalidVersion,
            format!(
                "template {name} tells no version: name it {}-<version> or give it the annotation {}",
                mca.name(),
                annotation::VERSION
            ),
        )),
    }
}

fn semantic(version: &str) -> Result<String, Fault> {
    match Version::parse(version) {
        Ok(_) => Ok(version.to_owned()),
        Err(error) => {
            Err(Fault::new(Reason::InvalidVersion, format!("version {version:?}: {error}")))
        }
    }
}

/// Multi-document YAML, gzip, base64. The same manifests give the same bytes: JSON is YAML, its keys are in order, and
/// the gzip header holds no time.
fn pack(bundle: &[&Value]) -> Result<String, Fault> {
    let unpackable = |error| invalid(format!("the template's manifests cannot be packed: {error}"));
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    for manifest in bundle {
        writeln!(gzip, "---\n{manifest}").map_err(unpackable)?;
    }
    Ok(STANDARD.encode(gzip.finish().map_err(unpackable)?))
}

/// Says on the object who wrote it, and from what.
fn signed(mut object: Value, mca: &ManagedClusterAddOn, template: &AddOnTemplate) -> Value {
    let name = template.metadata.name.as_deref().unwrap_or_default();
    let metadata = &mut object["metadata"];
    sign(&mut metadata["labels"], &[(label::WRITTEN_BY, WRITER)]);
    sign(&mut metadata["annotations"], &[(annotation::TEMPLATE, name), (MCA_UID, mca.uid())]);
    object
}

fn sign(place: &mut Value, words: &[(&str, &str)]) {
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    for (key, word) in words {
        place[*key] = json!(word);
    }
}

pub fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Reason::InvalidAssignment, message)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::fixtures::{config_map, managed_add_on, mca, template};

    #[test]
    fn a_template_with_a_managed_add_on_is_taken_whole() {
        let mut given = managed_add_on("metrics", "1.5.0");
        given["metadata"]["annotations"] = json!({"note": "kept"});
        given["metadata"]["finalizers"] = json!(["dropped"]);
        given["spec"]["fromTheFuture"] = json!(true);
        let wanted =
            read(&mca("metrics", "u1"), &template("metrics-1.5.0", [given.clone()])).unwrap();
        assert_eq!((wanted.name.as_str(), wanted.version.as_str()), ("metrics", "1.5.0"));
        assert_eq!(wanted.object["spec"], given["spec"]);
        assert_eq!(
            wanted.object["metadata"],
            json!({
                "name": "metrics",
                "labels": {label::WRITTEN_BY: "hub-sync"},
                "annotations": {"note": "kept", annotation::TEMPLATE: "metrics-1.5.0", MCA_UID: "u1"},
            })
        );
    }

    #[test]
    fn a_template_without_one_becomes_an_inline_bundle() {
        let template = template("metrics-1.5.0", [config_map("a"), config_map("b")]);
        let wanted = read(&mca("metrics", "u1"), &template).unwrap();
        assert_eq!(wanted.object["spec"]["version"], "1.5.0");
        assert_eq!(
            unpack(&wanted),
            format!("---\n{}\n---\n{}\n", config_map("a"), config_map("b"))
        );
        assert_eq!(read(&mca("metrics", "u1"), &template).unwrap(), wanted);
    }

    #[test]
    fn the_annotated_version_goes_before_the_named_one() {
        let mut template = template("metrics-1.5.0", [config_map("a")]);
        template.metadata.annotations =
            Some([(annotation::VERSION.to_owned(), "2.0.0".to_owned())].into());
        assert_eq!(read(&mca("metrics", "u1"), &template).unwrap().version, "2.0.0");
    }

    #[test]
    fn every_refusal_has_its_reason() {
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
            ("other things", "m-1", vec![one(), config_map("a")], Reason::InvalidAssignment),
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
            ("inline, other's name", "logs-1.0.0", vec![config_map("a")], Reason::InvalidVersion),
            ("inline, no semver", "metrics-latest", vec![config_map("a")], Reason::InvalidVersion),
        ];
        for (story, name, manifests, reason) in table {
            let fault = read(&mca("metrics", "u1"), &template(name, manifests)).unwrap_err();
            assert_eq!(fault.reason, reason, "{story}: {}", fault.message);
        }
    }

    #[test]
    fn what_does_not_fit_inline_is_refused() {
        let mut large = config_map("a");
        let noise = (0..40_000_u64).map(|n| lifecycle::digest(&n.to_be_bytes())[7..15].to_owned());
        large["data"]["noise"] = json!(noise.collect::<String>());
        let fault = read(&mca("metrics", "u1"), &template("metrics-1.0.0", [large])).unwrap_err();
        assert_eq!(fault.reason, Reason::BundleTooLarge);
    }

    #[test]
    fn one_template_is_followed_and_two_are_refused() {
        let mut mca = mca("metrics", "u1");
        assert_eq!(template_name(&mca), Ok(Some("metrics-1.5.0")));
        let mut foreign = mca.spec.configs[0].clone();
        foreign.resource = "addondeploymentconfigs".to_owned();
        mca.spec.configs.push(foreign);
        assert_eq!(template_name(&mca), Ok(Some("metrics-1.5.0")));
        mca.spec.configs.push(mca.spec.configs[0].clone());
        assert_eq!(template_name(&mca).unwrap_err().reason, Reason::InvalidAssignment);
        mca.spec.configs.clear();
        assert_eq!(template_name(&mca), Ok(None));
    }

    #[test]
    fn reserved_names_are_refused() {
        for name in ["managed-cluster-lease", "addon-lifecycle-agent"] {
            assert_eq!(permit_name(name).unwrap_err().reason, Reason::InvalidAssignment);
        }
        assert_eq!(permit_name("metrics"), Ok(()));
    }

    fn unpack(wanted: &Wanted) -> String {
        let packed = wanted.object["spec"]["source"]["inline"]["manifests"].as_str().unwrap();
        let packed = STANDARD.decode(packed).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        text
    }
}
