//! What is done to an add-on of eight objects, in three versions: 1.0.0, 1.1.0, and 1.2.0, which never becomes ready.

use std::time::Duration;

use anyhow::{Context, Error};
use serde_json::json;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};
use testbed::fault_proxy::Record;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    pub story: Story,
    pub writer: Writer,
}

/// Who assigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Writer {
    /// A `ManagedAddOn` is applied.
    Local,
    /// A `ManagedClusterAddOn` follows a template.
    Hub,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Story {
    Install,
    UpgradeOk,
    /// Ends in a rollback.
    UpgradeBad,
    Uninstall,
}

impl Scenario {
    const NAMES: [(Self, &str); 8] = [
        (Self::new(Story::Install, Writer::Local), "install"),
        (Self::new(Story::UpgradeOk, Writer::Local), "upgrade-ok"),
        (Self::new(Story::UpgradeBad, Writer::Local), "upgrade-bad"),
        (Self::new(Story::Uninstall, Writer::Local), "uninstall"),
        (Self::new(Story::Install, Writer::Hub), "hub-install"),
        (Self::new(Story::UpgradeOk, Writer::Hub), "hub-upgrade-ok"),
        (Self::new(Story::UpgradeBad, Writer::Hub), "hub-upgrade-bad"),
        (Self::new(Story::Uninstall, Writer::Hub), "hub-uninstall"),
    ];

    const fn new(story: Story, writer: Writer) -> Self {
        Self { story, writer }
    }

    pub fn all() -> impl Iterator<Item = Self> {
        Self::NAMES.into_iter().map(|(scenario, _)| scenario)
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(it, _)| *it == self).map_or("unnamed", |(_, name)| name)
    }

    pub fn begins_installed(self) -> bool {
        self.story != Story::Install
    }

    /// The version that is assigned; none is an uninstall.
    pub fn assigns(self) -> Option<&'static str> {
        match self.story {
            Story::Install => Some(OLD),
            Story::UpgradeOk => Some(NEW),
            Story::UpgradeBad => Some(BAD),
            Story::Uninstall => None,
        }
    }

    /// Whether a request is numbered that is not about another add-on. Where the hub assigns, it is what goes between it
    /// and the cluster: all that is asked of the hub, the `ManagedAddOn` as it is assigned, and the lease that says it
    /// is well; the rest is as without a hub.
    pub fn counts(self, name: &str, record: &Record) -> bool {
        let mut parts = record.path.split('/');
        if parts.any(|part| part.starts_with(PREFIX) && !part.starts_with(name)) {
            return false;
        }
        let object = record.path.starts_with(MANAGED_ADD_ONS) && !record.path.ends_with("/status");
        let lease = record.path.ends_with(&format!("/leases/{name}"));
        match self.writer {
            Writer::Local => record.server != HUB,
            Writer::Hub => record.server == HUB || object && record.verb != "GET" || lease,
        }
    }
}

impl std::str::FromStr for Scenario {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::all().find(|scenario| scenario.name() == name);
        known.with_context(|| format!("no scenario is called {name}"))
    }
}

/// The names of the proxies.
pub const HUB: &str = "hub";
pub const FILES: &str = "files";

pub const MANAGED_ADD_ONS: &str =
    "/apis/lifecycle.open-cluster-management.io/v1alpha1/managedaddons/";

/// What the bundle's Secret holds: nobody may tell it.
pub const CANARY: &str = "canary-3f1c7e2a95";

/// How long health is watched before a version counts as available.
pub const SOAK: Duration = Duration::from_millis(500);

/// With which every add-on's name begins.
pub const PREFIX: &str = "add-on-";

pub const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
const BAD: &str = "1.2.0";
pub const VERSIONS: [&str; 3] = [OLD, NEW, BAD];

/// Add-on and namespace have the same name.
pub fn bundle(name: &str, version: &str) -> Bundle {
    let (image, only) = match version {
        OLD => (READY, "only-old"),
        NEW => (READY, "only-new"),
        _ => (NEVER_READY, "only-bad"),
    };
    let named = |api: &str, kind: &str| json!({"apiVersion": api, "kind": kind, "metadata": {"name": "web"}});
    let account = named("v1", "ServiceAccount");
    let mut role = named("rbac.authorization.k8s.io/v1", "Role");
    role["rules"] = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    let mut binding = named("rbac.authorization.k8s.io/v1", "RoleBinding");
    binding["roleRef"] =
        json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "web"});
    binding["subjects"] = json!([{"kind": "ServiceAccount", "name": "web", "namespace": name}]);
    let mut secret = named("v1", "Secret");
    secret["stringData"] = json!({"password": CANARY});
    let bundle = Bundle::new().namespace(name).config("settings", version).config(only, version);
    bundle.object(account).object(role).object(binding).object(secret).deployment("web", image)
}

/// A time-out that a rollback does not need, and that is short where it is waited for.
pub fn spec(name: &str, version: &str, url: &str) -> Spec {
    let spec = Spec::http(version, url, bundle(name, version).yaml().as_bytes());
    let timeout = if version == BAD { "4s" } else { "60s" };
    spec.namespace(name).policy("soak", "500ms").policy("timeout", timeout)
}
