//! The inline bundle of a template that holds plain manifests. Pure.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, GzBuilder};
use lifecycle::{Fault, Reason};
use serde_json::Value;

/// Largest encoded bundle in bytes: the limit of the CRD for `source.inline`.
const LARGEST: usize = 160 * 1024;

/// Returns manifests as multi-document YAML, compressed by gzip, in base64. The same manifests give the same bytes: JSON
/// is YAML, its keys are sorted, and the gzip header has no time.
///
/// Fails with `BundleTooLarge` above 160 KiB.
pub fn encode(manifests: &[&Value]) -> Result<String, Fault> {
    let encoded = compress(manifests).map(|bytes| STANDARD.encode(bytes)).map_err(|error| {
        let message = format!("the template's manifests cannot be compressed: {error}");
        Fault::new(Reason::InvalidAssignment, message)
    })?;
    if encoded.len() > LARGEST {
        let message = format!(
            "the template's manifests are {} bytes compressed and encoded, the limit is {LARGEST}; use source.oci or source.http",
            encoded.len()
        );
        return Err(Fault::new(Reason::BundleTooLarge, message));
    }
    Ok(encoded)
}

fn compress(manifests: &[&Value]) -> std::io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    for manifest in manifests {
        writeln!(gzip, "---\n{manifest}")?;
    }
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::*;
    use crate::fixtures::config_map;

    #[test]
    fn the_same_manifests_give_the_same_yaml_documents_and_bytes() {
        let manifests = [config_map("a"), config_map("b")];
        let manifests: Vec<_> = manifests.iter().collect();
        let encoded = encode(&manifests).unwrap();
        assert_eq!(
            decode(&encoded),
            format!("---\n{}\n---\n{}\n", config_map("a"), config_map("b"))
        );
        assert_eq!(encode(&manifests), Ok(encoded));
    }

    #[test]
    fn a_bundle_above_the_limit_is_rejected() {
        let mut manifest = config_map("a");
        let noise = (0..40_000_u64).map(|n| lifecycle::digest(&n.to_be_bytes())[7..15].to_owned());
        manifest["data"]["noise"] = json!(noise.collect::<String>());
        assert_eq!(encode(&[&manifest]).unwrap_err().reason, Reason::BundleTooLarge);
    }

    fn decode(encoded: &str) -> String {
        let bytes = STANDARD.decode(encoded).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        text
    }
}
