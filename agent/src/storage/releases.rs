//! Retained releases: each is kept whole in one immutable Secret, so that a rollback needs neither hub nor registry.
//!
//! The Secrets have no ownerReference: with a stale one the garbage collector would delete what a rollback needs.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use lifecycle::names::{annotation, label, secret_type};
use lifecycle::{Fault, Reason, Release, ReleaseId, Retained, RetainedState};
use serde_json::json;

use crate::cluster::error;
use crate::storage::packed_release::PackedRelease;

const CONTENT: &str = "release.json.gz";

/// The retained releases of one add-on, in the agent's namespace.
#[derive(Clone)]
pub struct ReleaseStore {
    secrets: Api<Secret>,
    add_on: String,
}

impl ReleaseStore {
    /// Prepares access to the Secrets in the agent's namespace, without a request.
    pub fn new(client: Client, namespace: &str, add_on: &str) -> Self {
        Self { secrets: Api::namespaced(client, namespace), add_on: add_on.to_owned() }
    }

    /// Returns the retained releases, without their content.
    pub async fn list(&self) -> Result<Vec<Retained>, kube::Error> {
        let params = ListParams::default().labels(&format!("{}={}", label::ADD_ON, self.add_on));
        let secrets = self.secrets.list_metadata(&params).await?;
        let retained = secrets.items.iter().filter_map(|secret| {
            let retained = parse_metadata(&secret.metadata)?;
            // A copy under another name does not count.
            let name = self.secret_name(&retained.release.id);
            (secret.metadata.name.as_ref() == Some(&name)).then_some(retained)
        });
        Ok(retained.collect())
    }

    /// Saves a release as a candidate. An existing Secret has the same content, because its name is the content's hash;
    /// it counts if it can be read.
    ///
    /// # Errors
    /// `RetainFailed`.
    pub async fn save(&self, release: &Release, packed: &PackedRelease) -> Result<(), Fault> {
        let secret = self.new_secret(release, packed);
        match self.secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(error) if error::is_conflict(&error) => {
                let existing = self.load(&release.id).await?;
                match existing.and_then(|existing| existing.unpack_as(&release.id)) {
                    Some(_) => Ok(()),
                    None => Err(retain_failed("could not retain the release", &error)),
                }
            }
            Err(error) => Err(retain_failed("could not retain the release", &error)),
        }
    }

    /// Returns a retained release; `None` if there is none. Whether it is the right one shows when it is unpacked.
    ///
    /// # Errors
    /// `RetainFailed` if the API server does not return it.
    pub async fn load(&self, id: &ReleaseId) -> Result<Option<PackedRelease>, Fault> {
        let name = self.secret_name(id);
        let secret = match self.secrets.get(&name).await {
            Ok(secret) => secret,
            Err(error) if error::is_absent(&error, &name) => return Ok(None),
            Err(error) => {
                return Err(retain_failed("could not read the retained release", &error));
            }
        };
        if secret.type_.as_deref() != Some(secret_type::RELEASE) {
            return Ok(None);
        }
        let packed = secret.data.and_then(|mut data| data.remove(CONTENT));
        Ok(packed.map(|packed| PackedRelease::from(packed.0)))
    }

    /// Sets the state of the releases in `keep`, and deletes all others.
    ///
    /// # Errors
    /// `RetainFailed`. The rest is then unchanged.
    pub async fn retain_only(&self, keep: &[(ReleaseId, RetainedState)]) -> Result<(), Fault> {
        let failed = |error| retain_failed("could not update the retained releases", &error);
        for retained in self.list().await.map_err(failed)? {
            let name = self.secret_name(&retained.release.id);
            match keep.iter().find(|(id, _)| id == &retained.release.id) {
                Some((_, state)) if *state == retained.state => {}
                Some((_, state)) => {
                    self.set_state(&name, *state).await.map_err(failed)?;
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

    async fn set_state(&self, name: &str, state: RetainedState) -> Result<(), kube::Error> {
        let patch = json!({"metadata": {"labels": {label::STATE: state.name()}}});
        let params = PatchParams::default();
        self.secrets.patch_metadata(name, &params, &Patch::Merge(patch)).await.map(drop)
    }

    fn secret_name(&self, id: &ReleaseId) -> String {
        format!("release-{}-{}", self.add_on, id.short())
    }

    fn new_secret(&self, release: &Release, packed: &PackedRelease) -> Secret {
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
                name: Some(self.secret_name(&release.id)),
                labels: Some(labels),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            type_: Some(secret_type::RELEASE.to_owned()),
            immutable: Some(true),
            data: Some(BTreeMap::from([(CONTENT.to_owned(), ByteString(packed.bytes().to_vec()))])),
            ..Secret::default()
        }
    }
}

/// Reads the labels and annotations of a Secret; `None` if it does not hold a retained release.
fn parse_metadata(metadata: &ObjectMeta) -> Option<Retained> {
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

fn retain_failed(what: &str, error: &kube::Error) -> Fault {
    let fault = error::to_fault(what, error);
    Fault { reason: Reason::RetainFailed, ..fault }
}
