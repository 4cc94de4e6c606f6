//! A release as its Secret holds it: JSON, packed with gzip. A packed release takes a tenth of the memory of an open one.

use std::io::{Read, Write};
use std::sync::Arc;

use lifecycle::{Fault, MAX_BUNDLE_BYTES, Object, Reason, Release, ReleaseId, Shape};
use serde::{Deserialize, Serialize};

/// Maximum size of a packed release: what the API server accepts in one Secret, less the rest of the object.
const MAX_PACKED_BYTES: usize = 1_000_000;

/// Maximum size of an unpacked release, with room for what JSON adds to YAML.
const MAX_UNPACKED_BYTES: u64 = 4 * MAX_BUNDLE_BYTES;

/// A release with its objects: all that is needed to apply it again.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    pub add_on: String,
    pub release: Release,
    pub shape: Shape,
    pub objects: Vec<Object>,
}

/// A packed release. Clones share its bytes.
#[derive(Clone)]
pub struct PackedRelease(Arc<[u8]>);

impl PackedRelease {
    /// Packs a release.
    ///
    /// # Errors
    /// `BundleTooLarge` if it could not be unpacked again or does not fit into a Secret.
    pub fn pack(content: &Content) -> Result<Self, Fault> {
        let failed = |e: &dyn std::fmt::Display| {
            Fault::new(Reason::RetainFailed, format!("could not pack the release: {e}"))
        };
        let json = serde_json::to_vec(content).map_err(|e| failed(&e))?;
        reject_large(json.len() as u64, MAX_UNPACKED_BYTES, "unpacked")?;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&json).map_err(|e| failed(&e))?;
        let packed = packer.finish().map_err(|e| failed(&e))?;
        reject_large(packed.len() as u64, MAX_PACKED_BYTES as u64, "packed")?;
        Ok(Self(packed.into()))
    }

    /// Returns the release if it has this id.
    pub fn unpack_as(&self, id: &ReleaseId) -> Option<Content> {
        self.unpack().filter(|content| &content.release.id == id && &content.shape.id() == id)
    }

    /// Returns the release; `None` if the bytes are none, or more than a release may have.
    fn unpack(&self) -> Option<Content> {
        let mut json = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&*self.0).take(MAX_UNPACKED_BYTES);
        reader.read_to_end(&mut json).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// The size of the JSON in bytes, as gzip states it in its last four bytes.
    pub fn unpacked_bytes(&self) -> u32 {
        let stated = self.0.last_chunk::<4>();
        stated.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for PackedRelease {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

fn reject_large(bytes: u64, max: u64, state: &str) -> Result<(), Fault> {
    if bytes <= max {
        return Ok(());
    }
    let message = format!(
        "the release has {bytes} bytes {state}, at most {max} can be retained; split the add-on"
    );
    Err(Fault::new(Reason::BundleTooLarge, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lifecycle::ServiceAccount;
    use serde_json::json;

    use super::*;

    fn content(filler: &str, count: usize) -> Content {
        let object = json!({"kind": "ConfigMap", "data": {"a": filler}});
        Content {
            add_on: "shop".to_owned(),
            release: Release {
                id: ReleaseId("a".to_owned()),
                version: semver::Version::new(1, 0, 0),
                digest: String::new(),
            },
            shape: Shape {
                digest: String::new(),
                namespace: "shop".to_owned(),
                service_account: ServiceAccount {
                    namespace: "agents".to_owned(),
                    name: "installer".to_owned(),
                },
                health: Vec::new(),
                values: BTreeMap::new(),
            },
            objects: vec![Object(object); count],
        }
    }

    #[test]
    fn a_release_is_unpacked_as_it_was_packed() {
        let content = content("b", 3);
        let packed = PackedRelease::pack(&content).unwrap();
        assert_eq!(packed.unpack(), Some(content.clone()));
        let json = serde_json::to_vec(&content).unwrap();
        assert_eq!(packed.unpacked_bytes() as usize, json.len());
    }

    #[test]
    fn a_release_that_could_not_be_unpacked_again_is_not_packed() {
        // It packs well: thirty-three times one MiB of the same letter.
        let large = content(&"a".repeat(1024 * 1024), 33);
        let fault = PackedRelease::pack(&large).err().unwrap();
        assert_eq!(fault.reason, Reason::BundleTooLarge);
        assert!(fault.message.contains("unpacked"), "{}", fault.message);
    }
}
