//! The remedy against an obstacle of the add-on's own.

use kube::api::{Patch, PatchParams};
use lifecycle::names::{FIELD_MANAGER, label};
use lifecycle::{Fault, Object, Obstacle};
use serde_json::json;

use super::find;
use crate::actions::apply::write;
use crate::actions::prune::{PruneOptions, Remains, prune};
use crate::actions::release::ResolvedRelease;
use crate::cluster::access::Access;
use crate::cluster::dry_run::dry_run;
use crate::cluster::error;
use crate::cluster::ownership::read_owned;
use crate::cluster::resolved::ResolvedObject;

/// What lets a refused write through.
pub enum Remedy {
    /// The obstacle is gone or open, and the API server does not heed it yet.
    Wait,
    /// The webhook does not answer: its configuration no longer insists on an answer.
    Open(ResolvedObject),
    /// The release does not have it.
    Remove(ResolvedObject),
    /// The release has it in another form.
    Restore(ResolvedObject),
}

/// Returns the remedy; `None` against an obstacle that is not the add-on's, or that the release has in this form.
pub async fn find(release: &ResolvedRelease, obstacle: &Obstacle) -> Result<Option<Remedy>, Fault> {
    match obstacle {
        Obstacle::Unanswered { webhook } => against_silence(&release.access, webhook).await,
        Obstacle::Webhook { webhook } => {
            let living = find::configurations(&release.access, webhook).await?;
            against_denial(release, living).await
        }
        Obstacle::Policy { kind, policy, binding } => {
            against_policy(release, kind, policy, binding).await
        }
    }
}

async fn against_silence(access: &Access, webhook: &str) -> Result<Option<Remedy>, Fault> {
    let living = find::configurations(access, webhook).await?;
    if living.is_empty() {
        return Ok(Some(Remedy::Wait));
    }
    let mut own = living.into_iter().filter(|living| is_own(access, living)).peekable();
    if own.peek().is_none() {
        return Ok(None);
    }
    Ok(Some(own.find(|own| !is_open(&own.manifest, webhook)).map_or(Remedy::Wait, Remedy::Open)))
}

/// A binding makes a policy deny, so it is the first to go.
async fn against_policy(
    release: &ResolvedRelease,
    kind: &str,
    policy: &str,
    binding: &str,
) -> Result<Option<Remedy>, Fault> {
    let access = &release.access;
    let binding = find::policy(access, &format!("{kind}Binding"), binding).await?;
    let policy = find::policy(access, kind, policy).await?;
    let (Some(binding), Some(policy)) = (binding, policy) else { return Ok(Some(Remedy::Wait)) };
    if !is_own(access, &binding) {
        return Ok(None);
    }
    against_denial(release, vec![binding, policy]).await
}

async fn against_denial(
    release: &ResolvedRelease,
    living: Vec<ResolvedObject>,
) -> Result<Option<Remedy>, Fault> {
    if living.is_empty() {
        return Ok(Some(Remedy::Wait));
    }
    for living in living.into_iter().filter(|living| is_own(&release.access, living)) {
        let wanted = release.objects.iter().find(|object| object.key() == living.key());
        let Some(wanted) = wanted else { return Ok(Some(Remedy::Remove(living))) };
        if would_change(&release.access, wanted).await? {
            return Ok(Some(Remedy::Restore(wanted.clone())));
        }
    }
    Ok(None)
}

/// A write that changes nothing keeps the generation.
async fn would_change(access: &Access, wanted: &ResolvedObject) -> Result<bool, Fault> {
    let Some(living) = access.read(wanted).await? else { return Ok(true) };
    let accepted = dry_run(access, wanted, Some(&living)).await?;
    Ok(accepted.generation != living.metadata.generation)
}

fn is_own(access: &Access, living: &ResolvedObject) -> bool {
    living.manifest.label(label::ADD_ON) == Some(&access.add_on)
}

fn is_open(configuration: &Object, webhook: &str) -> bool {
    find::position(configuration, webhook)
        .is_some_and(|entry| configuration.0["webhooks"][entry]["failurePolicy"] == "Ignore")
}

impl Remedy {
    /// Returns whether the write may be tried again.
    pub async fn apply(
        self,
        release: &ResolvedRelease,
        obstacle: &Obstacle,
    ) -> Result<bool, Fault> {
        let access = &release.access;
        match self {
            Self::Wait => Ok(true),
            Self::Open(living) => {
                tracing::warn!(%obstacle, "opening a webhook of the add-on that does not answer");
                open(access, &living, obstacle).await.map(|()| true)
            }
            Self::Remove(living) => {
                tracing::warn!(%obstacle, "removing what denies a write, and the release does not have");
                let options = PruneOptions { only_extensions: false, delete_data: false };
                let mut remains = Remains::default();
                prune(access, &[], vec![living], &options, &mut remains).await?;
                Ok(remains.kept.is_empty() && remains.leftovers.is_empty())
            }
            Self::Restore(wanted) => {
                tracing::warn!(%obstacle, "writing what denies a write in the form of the release");
                let living = read_owned(access, &wanted, false).await?;
                write(access, &wanted, living.as_ref()).await.map(|_| true)
            }
        }
    }
}

/// Sets one field, if the entry is still where it was.
async fn open(access: &Access, living: &ResolvedObject, obstacle: &Obstacle) -> Result<(), Fault> {
    let Obstacle::Unanswered { webhook } = obstacle else { return Ok(()) };
    let Some(entry) = find::position(&living.manifest, webhook) else { return Ok(()) };
    let patch = json!([
        {"op": "test", "path": format!("/webhooks/{entry}/name"), "value": webhook},
        {"op": "add", "path": format!("/webhooks/{entry}/failurePolicy"), "value": "Ignore"},
    ]);
    let fault = |error| error::to_object_fault(&living.key(), &error);
    let patch = serde_json::from_value(patch).expect("a JSON patch is valid");
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let api = access.api(living).await?;
    let patched = api.patch(living.name(), &params, &Patch::Json::<()>(patch)).await;
    patched.map(|_| ()).map_err(fault)
}
