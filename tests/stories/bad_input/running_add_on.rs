//! An add-on that runs in a good version, and what bad input must not do to it.

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, OperationResult, Phase, Reason};
use serde_json::Value;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::{AddOn, Managed, summarize};

use crate::harness::Bed;

/// What runs before the bad input comes.
pub const OLD: &str = "1.4.0";
/// What the bad input calls itself, and the mended one after it.
pub const NEW: &str = "1.5.0";

pub struct Running<'a> {
    pub managed: &'a Managed,
    pub add_on: AddOn,
    /// Named like the add-on.
    pub namespace: String,
    objects: Vec<Value>,
}

impl<'a> Running<'a> {
    pub async fn start(bed: &'a Bed, name: &str) -> Result<Self> {
        Self::with(bed, name, good(name, "old")).await
    }

    /// The bundle brings the namespace, ConfigMap settings and Deployment web, as [`good`] does.
    pub async fn with(bed: &'a Bed, name: &str, bundle: Bundle) -> Result<Self> {
        let managed = bed.managed().await?;
        let add_on = managed.add_on(name);
        let mut running = Self { managed, add_on, namespace: name.to_owned(), objects: Vec::new() };
        running.assign(&Spec::inline(OLD, &bundle)).await?;
        running.add_on.until_available(OLD).await?;
        running.objects = running.look().await?;
        Ok(running)
    }

    /// [`good`] in this add-on's namespace.
    pub fn good(&self, setting: &str) -> Bundle {
        good(&self.namespace, setting)
    }

    pub async fn assign(&self, spec: &Spec) -> Result<()> {
        self.add_on.assign(&spec.clone().namespace(&self.namespace)).await
    }

    /// Assigns what has to be refused before the first write; what runs is not even touched.
    pub async fn refuses(&self, spec: &Spec, reason: Reason, words: &[&str]) -> Result<()> {
        self.assign(spec).await?;
        let status = self.add_on.until_phase(Phase::Rejected).await?;
        self.says(&status, reason, words)?;
        ensure!(status.result == Some(OperationResult::Failed), "{}", summarize(&status));
        ensure!(status.started_time.is_some() && status.completion_time.is_some());
        self.untouched().await
    }

    /// Assigns what shows only after the first write that it is bad; what ran is put back.
    pub async fn goes_back_from(&self, spec: &Spec, reason: Reason, words: &[&str]) -> Result<()> {
        self.assign(spec).await?;
        let status = self.add_on.until_phase(Phase::RolledBack).await?;
        self.says(&status, reason, words)?;
        ensure!(status.result == Some(OperationResult::Succeeded), "{}", summarize(&status));
        let now = self.look().await?;
        for (before, now) in self.objects.iter().zip(&now) {
            ensure!(uid(before) == uid(now), "another object: {now:#}");
        }
        ensure!(self.image().await?.as_deref() == Some(READY));
        ensure!(self.setting().await?.as_deref() == Some("old"));
        Ok(())
    }

    fn says(&self, status: &ManagedAddOnStatus, reason: Reason, words: &[&str]) -> Result<()> {
        ensure!(status.reason.as_deref() == Some(reason.name()), "{}", summarize(status));
        let message = status.message.as_deref().context("no message")?;
        for word in words {
            ensure!(message.contains(word), "no {word:?} in: {}", summarize(status));
        }
        ensure!(status.current_version.as_deref() == Some(OLD), "{}", summarize(status));
        Ok(())
    }

    /// The same objects in the same state.
    pub async fn untouched(&self) -> Result<()> {
        let now = self.look().await?;
        ensure!(now == self.objects, "before: {:#?}\nnow: {now:#?}", self.objects);
        let status = self.add_on.status().await?;
        ensure!(status.current_version.as_deref() == Some(OLD), "{}", summarize(&status));
        Ok(())
    }

    /// The mended assignment comes, and runs.
    pub async fn mended(&self) -> Result<()> {
        self.goes_on_to(&Spec::inline(NEW, &self.good("new")), "new").await
    }

    pub async fn goes_on_to(&self, spec: &Spec, setting: &str) -> Result<()> {
        self.assign(spec).await?;
        self.runs(spec.0["version"].as_str().context("no version")?, setting).await
    }

    /// Waits until this version runs, and sees that it does.
    pub async fn runs(&self, version: &str, setting: &str) -> Result<()> {
        self.add_on.until_available(version).await?;
        let found = self.setting().await?;
        ensure!(found.as_deref() == Some(setting), "{found:?}");
        Ok(())
    }

    /// An object in the add-on's namespace, without what changes by itself.
    pub async fn object(&self, api_version: &str, kind: &str, name: &str) -> Result<Value> {
        let found = self.add_on.object(api_version, kind, &self.namespace, name).await?;
        found.map(lasting).with_context(|| format!("{kind} {name} is gone"))
    }

    pub async fn setting(&self) -> Result<Option<String>> {
        self.add_on.config(&self.namespace, "settings").await
    }

    async fn image(&self) -> Result<Option<String>> {
        self.add_on.image(&self.namespace, "web").await
    }

    async fn look(&self) -> Result<Vec<Value>> {
        let namespace = self.add_on.object("v1", "Namespace", "", &self.namespace).await?;
        Ok(vec![
            lasting(namespace.context("the namespace is gone")?),
            self.object("v1", "ConfigMap", "settings").await?,
            self.object("apps/v1", "Deployment", "web").await?,
        ])
    }
}

/// A namespace, one setting, and a Deployment that becomes ready.
pub fn good(namespace: &str, setting: &str) -> Bundle {
    Bundle::new().namespace(namespace).config("settings", setting).deployment("web", READY)
}

pub fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// Controllers go on writing status and their own annotations.
fn lasting(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object
}
