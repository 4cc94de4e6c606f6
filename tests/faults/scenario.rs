//! What is done to an add-on of seven objects, in three versions: 1.0.0, 1.1.0, and 1.2.0, which never becomes ready.

use anyhow::{Context, Error};
use serde_json::json;
use testbed::bundle::{Bundle, NEVER_READY, READY, Spec};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scenario {
    Install,
    UpgradeOk,
    /// Ends in a rollback.
    UpgradeBad,
    Uninstall,
}

impl Scenario {
    pub const ALL: [Self; 4] = [Self::Install, Self::UpgradeOk, Self::UpgradeBad, Self::Uninstall];

    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::UpgradeOk => "upgrade-ok",
            Self::UpgradeBad => "upgrade-bad",
            Self::Uninstall => "uninstall",
        }
    }

    pub fn begins_installed(self) -> bool {
        self != Self::Install
    }

    /// The version that is assigned; none is an uninstall.
    pub fn assigns(self) -> Option<&'static str> {
        match self {
            Self::Install => Some(OLD),
            Self::UpgradeOk => Some(NEW),
            Self::UpgradeBad => Some(BAD),
            Self::Uninstall => None,
        }
    }
}

impl std::str::FromStr for Scenario {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = Self::ALL.into_iter().find(|scenario| scenario.name() == name);
        known.with_context(|| format!("no scenario is called {name}"))
    }
}

pub const OLD: &str = "1.0.0";
const NEW: &str = "1.1.0";
const BAD: &str = "1.2.0";
pub const VERSIONS: [&str; 3] = [OLD, NEW, BAD];

/// Add-on and namespace have the same name.
pub fn bundle(name: &str, version: &str) -> String {
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
    let bundle = Bundle::new().namespace(name).config("settings", version).config(only, version);
    bundle.object(account).object(role).object(binding).deployment("web", image).yaml()
}

/// A time-out that a rollback does not need, and that is short where it is waited for.
pub fn spec(name: &str, version: &str, url: &str) -> Spec {
    let spec = Spec::http(version, url, bundle(name, version).as_bytes());
    let timeout = if version == BAD { "4s" } else { "60s" };
    spec.namespace(name).policy("soak", "500ms").policy("timeout", timeout)
}
