//! OCI artifacts: where they lie, and which files of a bundle their manifest names. No archives: every layer is a file
//! of YAML, so that nothing is unpacked and no path is anybody's to choose.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::bundle::limits::{MAX_BUNDLE_BYTES, MAX_LAYERS};
use crate::reason::{Fault, Reason};

/// What stands where there is nothing to say, by the OCI image specification 1.1.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The name a file had when it was pushed, by the OCI image specification.
const TITLE: &str = "org.opencontainers.image.title";

/// A title is repeated in messages, up to so many characters.
const LONGEST_TITLE: usize = 80;

/// A registry and the name of a repository there, as in `registry.example.com/addons/metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub registry: String,
    pub name: String,
}

impl Repository {
    /// # Errors
    /// In words, for what names no registry, or more than a repository. Names without a registry are not taken to be
    /// some default registry's.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (registry, name) = text.split_once('/').unwrap_or((text, ""));
        if text.contains("://") {
            return Err(format!("{text:?} has a scheme; leave it out"));
        }
        if !is_registry(registry) {
            return Err(format!(
                "{text:?} must begin with a registry, as in registry.example.com/addons/metrics"
            ));
        }
        if name.contains([':', '@']) {
            return Err(format!(
                "{text:?} has a tag or digest; only source.oci.digest says which artifact"
            ));
        }
        if !name.split('/').all(is_component) {
            return Err(format!(
                "{text:?} is no repository; names are lowercase letters and digits, with . _ - between them"
            ));
        }
        Ok(Self { registry: registry.to_owned(), name: name.to_owned() })
    }
}

impl std::fmt::Display for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

/// A host, told from the first part of a name as everywhere: by a dot, a port, or being localhost.
pub fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match is_address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        }),
    };
    is_host
        && port.is_none_or(|port| !port.starts_with('+') && port.parse::<u16>().is_ok())
        && (port.is_some() || host.contains(['.', '[']) || host == "localhost")
}

/// By the OCI distribution specification.
fn is_component(text: &str) -> bool {
    let mut between = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let at_ends = (between.next(), between.next_back());
    let separates =
        |part: &str| matches!(part, "" | "." | "_" | "__") || part.bytes().all(|c| c == b'-');
    at_ends == (Some(""), Some("")) && between.all(separates)
}

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// For messages.
    pub name: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Bytes.
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

/// The files that a manifest names, in its order.
///
/// # Errors
/// `InvalidBundle` for what is no manifest, or one of something else than plain files; `BundleTooLarge` for more than
/// 256 layers, or more than `MAX_BUNDLE_BYTES` bytes in them; `EmptyBundle` for none.
pub fn layers(manifest: &[u8]) -> Result<Vec<Layer>, Fault> {
    let invalid = |message: String| Fault::new(Reason::InvalidBundle, message);
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|error| invalid(format!("not an OCI image manifest: {error}")))?;
    if manifest.manifests.is_some() {
        return Err(invalid(
            "an index of several manifests; assign the digest of one of them".into(),
        ));
    }
    let Some(descriptors) = manifest.layers else {
        return Err(invalid("not an OCI image manifest: it has no layers".into()));
    };
    if descriptors.len() > MAX_LAYERS {
        let count = descriptors.len();
        return Err(too_large(&format!("has {count} layers, more than {MAX_LAYERS}")));
    }
    let files = descriptors
        .iter()
        .enumerate()
        .filter(|(_, layer)| layer.media_type.as_deref() != Some(EMPTY));
    let layers = files.map(|(index, layer)| read(index, layer)).collect::<Result<Vec<_>, _>>()?;
    refuse_size(&layers)?;
    Ok(layers)
}

fn read(index: usize, layer: &Descriptor) -> Result<Layer, Fault> {
    let name = name(index, layer);
    let refused = |what: &str| Fault::new(Reason::InvalidBundle, format!("{name} {what}"));
    let media_type = layer.media_type.as_deref().unwrap_or_default();
    if media_type.contains("gzip") || media_type.contains("zstd") {
        return Err(refused("is compressed; push the YAML files as they are, each as a layer"));
    }
    if layer.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err(refused("lies outside of the registry; push it as a layer of its own"));
    }
    if !is_sha256(&layer.digest) {
        return Err(refused("has a digest that is not sha256 and 64 lowercase hex digits"));
    }
    Ok(Layer { digest: layer.digest.clone(), size: layer.size, name })
}

fn name(index: usize, layer: &Descriptor) -> String {
    let title = layer.annotations.as_ref().and_then(|annotations| annotations.get(TITLE));
    let harmless = title
        .map_or("", String::as_str)
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || "._-/ ".contains(*c));
    let name: String = harmless.take(LONGEST_TITLE).collect();
    if name.is_empty() { format!("layer {}", index + 1) } else { name }
}

fn is_sha256(digest: &str) -> bool {
    let digits = digest.strip_prefix("sha256:").unwrap_or_default();
    digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

fn refuse_size(layers: &[Layer]) -> Result<(), Fault> {
    if layers.is_empty() {
        return Err(Fault::new(Reason::EmptyBundle, "the artifact has no files"));
    }
    let total = layers.iter().try_fold(0_u64, |total, layer| total.checked_add(layer.size));
    match total {
        Some(total) if total <= MAX_BUNDLE_BYTES => Ok(()),
        _ => Err(too_large(&format!("is larger than {MAX_BUNDLE_BYTES} bytes"))),
    }
}

fn too_large(what: &str) -> Fault {
    Fault::new(Reason::BundleTooLarge, format!("the bundle {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_repository_begins_with_its_registry() {
        for (text, registry, name) in [
            ("registry.example.com/addons/metrics", "registry.example.com", "addons/metrics"),
            ("localhost/a", "localhost", "a"),
            ("registry:5000/a-b/c__d/e.f", "registry:5000", "a-b/c__d/e.f"),
            ("192.0.2.1:5000/a", "192.0.2.1:5000", "a"),
            ("[::1]:5000/a", "[::1]:5000", "a"),
            ("[::1]/a", "[::1]", "a"),
        ] {
            let wanted = Repository { registry: registry.into(), name: name.into() };
            assert_eq!(Repository::parse(text), Ok(wanted));
        }
        for (text, word) in [
            ("addons/metrics", "must begin with a registry"),
            ("metrics", "must begin with a registry"),
            ("", "must begin with a registry"),
            ("a b.example.com/c", "must begin with a registry"),
            ("user@example.com/c", "must begin with a registry"),
            ("example.com:port/c", "must begin with a registry"),
            ("example.com:99999/c", "must begin with a registry"),
            ("[::zz]/a", "must begin with a registry"),
            ("https://example.com/c", "scheme"),
            ("oci://example.com/c", "scheme"),
            ("example.com/c:v1", "tag"),
            ("example.com/c@sha256:00", "tag or digest"),
            ("example.com", "no repository"),
            ("example.com/", "no repository"),
            ("example.com/a//b", "no repository"),
            ("example.com/../b", "no repository"),
            ("example.com/A", "no repository"),
            ("example.com/a?b", "no repository"),
            ("example.com/-a", "no repository"),
            ("example.com/a-", "no repository"),
            ("example.com/a..b", "no repository"),
            ("example.com/a___b", "no repository"),
            ("example.com:+1/a", "must begin with a registry"),
        ] {
            let said = Repository::parse(text).expect_err(text);
            assert!(said.contains(word), "{text:?}: {said}");
        }
    }

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
        super::layers(manifest.as_bytes())
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
        assert!(name.len() <= LONGEST_TITLE && name.starts_with("../2Jx"), "{name}");
    }

    #[test]
    fn what_is_not_plain_files_is_refused() {
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
            let (found, said) = check(layers).expect_err(word);
            assert!(found == reason && said.contains(word), "{found:?}: {said}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for (manifest, word) in [
            (json!({"schemaVersion": 2, "manifests": []}), "index"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "no layers"),
            (json!({"layers": "none"}), "not an OCI"),
            (json!([]), "not an OCI"),
        ] {
            let fault = super::layers(manifest.to_string().as_bytes()).expect_err(word);
            assert!(fault.message.contains(word), "{}", fault.message);
        }
        assert!(super::layers(b"{").is_err());
    }
}
