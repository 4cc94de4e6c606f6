//! An add-on that runs a working version, and what must hold after bad input.

use anyhow::{Context, Result, ensure};
use lifecycle::{ManagedAddOnStatus, OperationResult, Phase, Reason};
use serde_json::Value;
use testbed::bundle::{Bundle, READY, Spec};
use testbed::{AddOn, Managed, summarize};

use crate::harness::Shared;

/// The version that runs before the bad input.
pub const OLD: &str = "1.4.0";
/// The version of the bad input, and of the corrected one after it.
pub const NEW: &str = "1.5.0";

/// An add-on on the shared cluster.
pub struct RunningAddOn<'a> {
    pub managed: &'a Managed,
    pub add_on: AddOn,
    /// Named like the add-on.
    pub namespace: String,
    /// Its objects as they were before the bad input.
    objects: Vec<Value>,
}

impl<'a> RunningAddOn<'a> {
    /// Installs [`working_bundle`].
    pub async fn start(shared: &'a Shared, name: &str) -> Result<Self> {
        Self::with(shared, name, working_bundle(name, "old")).await
    }

    /// Installs a bundle that has at least the objects of [`working_bundle`].
    pub async fn with(shared: &'a Shared, name: &str, bundle: Bundle) -> Result<Self> {
        let managed = shared.managed().await?;
        let add_on = managed.add_on(name);
        let mut running = Self { managed, add_on, namespace: name.to_owned(), objects: Vec::new() };
        running.assign(&Spec::inline(OLD, &bundle)).await?;
        running.add_on.until_available(OLD).await?;
        running.objects = running.read_objects().await?;
        Ok(running)
    }

    /// Returns [`working_bundle`] in this add-on's namespace.
    pub fn working_bundle(&self, setting: &str) -> Bundle {
        working_bundle(&self.namespace, setting)
    }

    /// Assigns a version in this add-on's namespace.
    pub async fn assign(&self, spec: &Spec) -> Result<()> {
        self.add_on.assign(&spec.clone().namespace(&self.namespace)).await
    }

    /// Assigns a version that has to be rejected before the first write.
    pub async fn expect_rejection(
        &self,
        spec: &Spec,
        reason: Reason,
        words: &[&str],
    ) -> Result<()> {
        self.assign(spec).await?;
        let status = self.add_on.until_phase(Phase::Rejected).await?;
        self.ensure_reason(&status, reason, words)?;
        ensure!(status.result == Some(OperationResult::Failed), "{}", summarize(&status));
        ensure!(status.started_time.is_some() && status.completion_time.is_some());
        self.ensure_untouched().await
    }

    /// Assigns a version that has to fail after the first write and be rolled back.
    pub async fn expect_rollback(&self, spec: &Spec, reason: Reason, words: &[&str]) -> Result<()> {
        self.assign(spec).await?;
        let status = self.add_on.until_phase(Phase::RolledBack).await?;
        self.ensure_reason(&status, reason, words)?;
        ensure!(status.result == Some(OperationResult::Succeeded), "{}", summarize(&status));
        let now = self.read_objects().await?;
        for (before, now) in self.objects.iter().zip(&now) {
            ensure!(uid(before) == uid(now), "another object: {now:#}");
        }
        ensure!(self.image().await?.as_deref() == Some(READY));
        ensure!(self.setting().await?.as_deref() == Some("old"));
        Ok(())
    }

    fn ensure_reason(
        &self,
        status: &ManagedAddOnStatus,
        reason: Reason,
        words: &[&str],
    ) -> Result<()> {
        ensure!(status.reason.as_deref() == Some(reason.name()), "{}", summarize(status));
        let message = status.message.as_deref().context("no message")?;
        for word in words {
            ensure!(message.contains(word), "no {word:?} in: {}", summarize(status));
        }
        ensure!(status.current_version.as_deref() == Some(OLD), "{}", summarize(status));
        Ok(())
    }

    /// Fails unless the objects are as they were before.
    pub async fn ensure_untouched(&self) -> Result<()> {
        let now = self.read_objects().await?;
        ensure!(now == self.objects, "before: {:#?}\nnow: {now:#?}", self.objects);
        let status = self.add_on.status().await?;
        ensure!(status.current_version.as_deref() == Some(OLD), "{}", summarize(&status));
        Ok(())
    }

    /// Assigns a corrected version and waits until it runs.
    pub async fn upgrade(&self) -> Result<()> {
        self.upgrade_to(&Spec::inline(NEW, &self.working_bundle("new")), "new").await
    }

    /// Assigns a version and waits until it runs.
    pub async fn upgrade_to(&self, spec: &Spec, setting: &str) -> Result<()> {
        self.assign(spec).await?;
        self.until_running(spec.0["version"].as_str().context("no version")?, setting).await
    }

    /// Waits until this version is available, and compares its setting.
    pub async fn until_running(&self, version: &str, setting: &str) -> Result<()> {
        self.add_on.until_available(version).await?;
        let current = self.setting().await?;
        ensure!(current.as_deref() == Some(setting), "{current:?}");
        Ok(())
    }

    /// Returns an object in the add-on's namespace, without the fields that change by themselves.
    pub async fn object(&self, api_version: &str, kind: &str, name: &str) -> Result<Value> {
        let object = self.add_on.object(api_version, kind, &self.namespace, name).await?;
        object.map(without_volatile_fields).with_context(|| format!("{kind} {name} is gone"))
    }

    /// Returns the value of the setting.
    pub async fn setting(&self) -> Result<Option<String>> {
        self.add_on.config(&self.namespace, "settings").await
    }

    async fn image(&self) -> Result<Option<String>> {
        self.add_on.image(&self.namespace, "web").await
    }

    async fn read_objects(&self) -> Result<Vec<Value>> {
        let namespace = self.add_on.object("v1", "Namespace", "", &self.namespace).await?;
        Ok(vec![
            without_volatile_fields(namespace.context("the namespace is gone")?),
            self.object("v1", "ConfigMap", "settings").await?,
            self.object("apps/v1", "Deployment", "web").await?,
        ])
    }
}

/// Returns a Namespace, a ConfigMap `settings` and a Deployment `web` that becomes ready.
pub fn working_bundle(namespace: &str, setting: &str) -> Bundle {
    Bundle::new().namespace(namespace).config("settings", setting).deployment("web", READY)
}

/// Returns the UID of an object.
pub fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

/// Removes the fields that controllers write at any time.
fn without_volatile_fields(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
        metadata.remove("managedFields");
    }
    object
}
