//! OCI manifests: the files of a bundle that an artifact has. Every layer is a file of YAML, and none is an archive: nothing
//! is unpacked, and no archive chooses a path.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::limits::{MAX_BUNDLE_BYTES, MAX_LAYERS};
use crate::reason::{Fault, Reason};

/// Media type of a layer without content, by the OCI image specification 1.1.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Annotation with the name that a file had when it was pushed, by the OCI image specification.
const TITLE: &str = "org.opencontainers.image.title";

/// Length in characters up to which messages repeat a title.
const MAX_TITLE: usize = 80;

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name for messages: the title, or the layer's number.
    pub name: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Size in bytes.
    pub size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    layers: Option<Vec<Descriptor>>,
    manifests: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    urls: Option<Vec<String>>,
    annotations: Option<BTreeMap<String, String>>,
}

/// Reads the files that an OCI manifest names, in its order.
///
/// # Errors
/// - `InvalidBundle`: it is not a manifest, or one of something else than plain files.
/// - `BundleTooLarge`: it has more than [`MAX_LAYERS`] layers, or more than [`MAX_BUNDLE_BYTES`] in them.
/// - `EmptyBundle`: it has no files.
pub fn read_layers(manifest: &[u8]) -> Result<Vec<Layer>, Fault> {
    let descriptors = parse_manifest(manifest)?;
    if descriptors.len() > MAX_LAYERS {
        let count = descriptors.len();
        return Err(too_large(&format!("has {count} layers, more than {MAX_LAYERS}")));
    }
    let files = descriptors
        .iter()
        .enumerate()
        .filter(|(_, layer)| layer.media_type.as_deref() != Some(EMPTY));
    let layers =
        files.map(|(index, layer)| read_layer(index, layer)).collect::<Result<Vec<_>, _>>()?;
    validate_size(&layers)?;
    Ok(layers)
}

fn parse_manifest(manifest: &[u8]) -> Result<Vec<Descriptor>, Fault> {
    let invalid = |message: String| Fault::new(Reason::InvalidBundle, message);
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| invalid(format!("not an OCI image manifest: {error}")))?;
    if manifest.manifests.is_some() {
        return Err(invalid(
            "an index of several manifests; assign the digest of one of them".into(),
        ));
    }
    manifest.layers.ok_or_else(|| invalid("not an OCI image manifest: it has no layers".into()))
}

fn read_layer(index: usize, layer: &Descriptor) -> Result<Layer, Fault> {
    let name = name(index, layer);
    let rejected = |why: &str| Fault::new(Reason::InvalidBundle, format!("{name} {why}"));
    let media_type = layer.media_type.as_deref().unwrap_or_default();
    if media_type.contains("gzip") || media_type.contains("zstd") {
        return Err(rejected("is compressed; push the YAML files as they are, each as a layer"));
    }
    if layer.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err(rejected("lies outside the registry; push it as a layer of its own"));
    }
    if !is_sha256(&layer.digest) {
        return Err(rejected("has a digest that is not sha256 and 64 lowercase hex digits"));
    }
    Ok(Layer { digest: layer.digest.clone(), size: layer.size, name })
}

/// The title without characters that could confuse a terminal or a log, or `layer <number>`.
fn name(index: usize, layer: &Descriptor) -> String {
    let title = layer.annotations.as_ref().and_then(|annotations| annotations.get(TITLE));
    let harmless = title
        .map_or("", String::as_str)
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || "._-/ ".contains(*c));
    let name: String = harmless.take(MAX_TITLE).collect();
    if name.is_empty() { format!("layer {}", index + 1) } else { name }
}

fn is_sha256(digest: &str) -> bool {
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

fn validate_size(layers: &[Layer]) -> Result<(), Fault> {
    if layers.is_empty() {
        return Err(Fault::new(Reason::EmptyBundle, "the artifact has no files"));
    }
    let total = layers.iter().try_fold(0_u64, |total, layer| total.checked_add(layer.size));
    match total {
        Some(total) if total <= MAX_BUNDLE_BYTES => Ok(()),
        _ => Err(too_large(&format!("is larger than {MAX_BUNDLE_BYTES} bytes"))),
    }
}

fn too_large(problem: &str) -> Fault {
    Fault::new(Reason::BundleTooLarge, format!("the bundle {problem}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn layer() -> Value {
        let digest = format!("sha256:{}", "0".repeat(64));
        json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 7, "annotations": {TITLE: "a.yaml"}})
    }

    fn with(field: &str, value: Value) -> Value {
        let mut layer = layer();
        layer[field] = value;
        layer
    }

    fn check(layers: Value) -> Result<Vec<String>, (Reason, String)> {
        let manifest = json!({"schemaVersion": 2, "layers": layers}).to_string();
        read_layers(manifest.as_bytes())
            .map(|layers| layers.into_iter().map(|layer| layer.name).collect())
            .map_err(|fault| (fault.reason, fault.message))
    }

    #[test]
    fn every_layer_is_a_file_named_by_its_title() {
        let untitled = with("annotations", json!(null));
        let empty = with("mediaType", json!(EMPTY));
        let names = Ok(vec!["a.yaml".to_owned(), "layer 3".to_owned()]);
        assert_eq!(check(json!([layer(), empty, untitled])), names);
        let odd =
            with("annotations", json!({TITLE: format!("../\u{1b}[2J\n{}", "x".repeat(5000))}));
        let name = check(json!([odd])).unwrap().remove(0);
        assert!(name.len() <= MAX_TITLE && name.starts_with("../2Jx"), "{name}");
    }

    #[test]
    fn artifacts_of_anything_but_plain_files_are_rejected() {
        let half = MAX_BUNDLE_BYTES / 2 + 1;
        for (layers, reason, word) in [
            (json!([]), Reason::EmptyBundle, "no files"),
            (json!([with("mediaType", json!(EMPTY))]), Reason::EmptyBundle, "no files"),
            (
                json!([with("mediaType", json!("application/x.tar+gzip"))]),
                Reason::InvalidBundle,
                "a.yaml is compressed",
            ),
            (
                json!([with("mediaType", json!("application/x.tar+zstd"))]),
                Reason::InvalidBundle,
                "compressed",
            ),
            (
                json!([with("urls", json!(["https://example.com"]))]),
                Reason::InvalidBundle,
                "outside",
            ),
            (json!([with("digest", json!("sha256:00"))]), Reason::InvalidBundle, "digest"),
            (
                json!([with("digest", json!(format!("sha256:{}", "A".repeat(64))))]),
                Reason::InvalidBundle,
                "digest",
            ),
            (
                json!([with("digest", json!(format!("sha512:{}", "a".repeat(128))))]),
                Reason::InvalidBundle,
                "digest",
            ),
            (json!([with("size", json!(-1))]), Reason::InvalidBundle, "manifest"),
            (
                json!([with("size", json!(half)), with("size", json!(half))]),
                Reason::BundleTooLarge,
                "8388608",
            ),
            (json!([with("size", json!(u64::MAX)), layer()]), Reason::BundleTooLarge, "8388608"),
            (json!(vec![layer(); MAX_LAYERS + 1]), Reason::BundleTooLarge, "257 layers"),
        ] {
            let (actual, message) = check(layers).expect_err(word);
            assert!(actual == reason && message.contains(word), "{actual:?}: {message}");
        }
    }

    #[test]
    fn documents_other_than_a_manifest_are_rejected() {
        for (manifest, word) in [
            (json!({"schemaVersion": 2, "manifests": []}), "index"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "no layers"),
            (json!({"layers": "none"}), "not an OCI"),
            (json!([]), "not an OCI"),
        ] {
            let fault = read_layers(manifest.to_string().as_bytes()).expect_err(word);
            assert!(fault.message.contains(word), "{}", fault.message);
        }
        assert!(read_layers(b"{").is_err());
    }
}
