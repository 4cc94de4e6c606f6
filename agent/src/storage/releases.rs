//! Retained releases: each whole in one immutable Secret, so that going back needs neither hub nor registry.
//!
//! No ownerReference: a stale one would let the garbage collector delete what a rollback needs.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use lifecycle::names::{annotation, label};
use lifecycle::{
    Fault, LARGEST_BUNDLE, Object, Reason, Release, ReleaseId, Retained, RetainedState, Shape,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cluster::error;

/// What the API server takes in one Secret, less what the rest of the object needs.
const LARGEST: usize = 1_000_000;

/// Unpacked, with room for what JSON adds to YAML.
const LARGEST_UNPACKED: u64 = 4 * LARGEST_BUNDLE;

const SECRET_TYPE: &str = "lifecycle.open-cluster-management.io/release";
const CONTENT: &str = "release.json.gz";

/// All of a release: enough to apply it again with nothing else at hand.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    pub add_on: String,
    pub release: Release,
    pub shape: Shape,
    pub objects: Vec<Object>,
}

/// The retained releases of one add-on.
#[derive(Clone)]
pub struct Store {
    secrets: Api<Secret>,
    add_on: String,
}

impl Store {
    pub fn new(client: Client, namespace: &str, add_on: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace), add_on: add_on.to_owned() }
    }

    /// What is retained, without the contents.
    pub async fn list(&self) -> Result<Vec<Retained>, kube::Error> {
        let ours = ListParams::default().labels(&format!("{}={}", label::ADD_ON, self.add_on));
        let found = self.secrets.list_metadata(&ours).await?;
        let named = found.items.iter().filter_map(|secret| {
            let retained = described(&secret.metadata)?;
            // A copy under another name is not one.
            (secret.metadata.name.as_ref() == Some(&self.name(&retained.release.id)))
                .then_some(retained)
        });
        Ok(named.collect())
    }

    /// Saves a release. One that is there already is the same, for its name is its content's hash; but only what can be
    /// read is there.
    pub async fn save(&self, content: &Content) -> Result<(), Fault> {
        let packed = pack(content)?;
        let secret = self.secret(content, packed);
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(error) if error::is_conflict(&error) => {
                match self.load(&content.release.id).await? {
                    Some(_) => Ok(()),
                    None => Err(retain_fault("the release could not be retained", &error)),
                }
            }
            Err(error) => Err(retain_fault("the release could not be retained", &error)),
        }
    }

    /// `None` when there is no such release, or when it is not what its name says.
    pub async fn load(&self, id: &ReleaseId) -> Result<Option<Content>, Fault> {
        let name = self.name(id);
        let secret = match self.secrets.get(&name).await {
            Ok(secret) => secret,
            Err(error) if error::is_absent(&error, &name) => return Ok(None),
            Err(error) => {
                return Err(retain_fault("the retained release could not be read", &error));
            }
        };
        let packed = secret.data.as_ref().and_then(|data| data.get(CONTENT));
        let content = packed.and_then(|packed| unpack(&packed.0));
        Ok(content.filter(|content| &content.release.id == id && &content.shape.id() == id))
    }

    /// Marks the releases to keep and forgets the rest.
    pub async fn keep(&self, keep: &[(ReleaseId, RetainedState)]) -> Result<(), Fault> {
        let failed = |error| retain_fault("retained releases could not be tidied", &error);
        for retained in self.list().await.map_err(failed)? {
            let name = self.name(&retained.release.id);
            match keep.iter().find(|(id, _)| id == &retained.release.id) {
                Some((_, state)) if *state == retained.state => {}
                Some((_, state)) => {
                    let labels = json!({"metadata": {"labels": {label::STATE: state.name()}}});
                    let merged = Patch::Merge(labels);
                    self.secrets
                        .patch_metadata(&name, &PatchParams::default(), &merged)
                        .await
                        .map_err(failed)?;
                }
                None => match self.secrets.delete(&name, &DeleteParams::default()).await {
                    Ok(_) => {}
                    Err(error) if error::is_absent(&error, &name) => {}
                    Err(error) => return Err(failed(error)),
                },
            }
        }
        Ok(())
    }

    fn name(&self, id: &ReleaseId) -> String {
        format!("release-{}-{}", self.add_on, id.short())
    }

    fn secret(&self, content: &Content, packed: Vec<u8>) -> Secret {
        let Content { release, .. } = content;
        let labels = BTreeMap::from([
            (label::ADD_ON.to_owned(), self.add_on.clone()),
            (label::RELEASE.to_owned(), release.id.short().to_owned()),
            (label::STATE.to_owned(), RetainedState::Candidate.name().to_owned()),
        ]);
        let annotations = BTreeMap::from([
            (annotation::VERSION.to_owned(), release.version.to_string()),
            (annotation::DIGEST.to_owned(), release.digest.clone()),
            (annotation::RELEASE_ID.to_owned(), release.id.0.clone()),
        ]);
        Secret {
            metadata: ObjectMeta {
                name: Some(self.name(&release.id)),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            immutable: Some(true),
            data: Some(BTreeMap::from([(CONTENT.to_owned(), ByteString(packed))])),
            ..Secret::default()
        }
    }
}

/// A retained release by the marks on its Secret; a Secret without them is not one.
fn described(metadata: &ObjectMeta) -> Option<Retained> {
    let labels = metadata.labels.as_ref()?;
    let annotations = metadata.annotations.as_ref()?;
    let state = labels.get(label::STATE)?;
    Some(Retained {
        release: Release {
            id: ReleaseId(annotations.get(annotation::RELEASE_ID)?.clone()),
            version: annotations.get(annotation::VERSION)?.parse().ok()?,
            digest: annotations.get(annotation::DIGEST)?.clone(),
        },
        state: state.parse().ok()?,
    })
}

fn retain_fault(what: &str, error: &kube::Error) -> Fault {
    let fault = error::of(what, error);
    Fault { reason: Reason::RetainFailed, ..fault }
}

fn pack(content: &Content) -> Result<Vec<u8>, Fault> {
    let broken = |e: &dyn std::fmt::Display| {
        Fault::new(Reason::RetainFailed, format!("the release could not be packed: {e}"))
    };
    let json = serde_json::to_vec(content).map_err(|e| broken(&e))?;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(&json).map_err(|e| broken(&e))?;
    let packed = packer.finish().map_err(|e| broken(&e))?;
    if packed.len() > LARGEST {
        let message = format!(
            "the release is {} bytes packed, a Secret holds {LARGEST}; split the add-on",
            packed.len()
        );
        return Err(Fault::new(Reason::BundleTooLarge, message));
    }
    Ok(packed)
}

fn unpack(packed: &[u8]) -> Option<Content> {
    let mut json = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(packed).take(LARGEST_UNPACKED);
    reader.read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}
