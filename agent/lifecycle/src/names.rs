//! The words that other programs read: API group, labels, annotations, finalizers.

pub const GROUP: &str = "lifecycle.open-cluster-management.io";

/// Field manager of everything written to the managed cluster.
pub const FIELD_MANAGER: &str = "addon-lifecycle-agent";

/// Kubernetes' own field managers, also as k3s runs them in one process: they write fields that no manifest sets.
pub const CONTROLLERS: [&str; 6] = [
    "cloud-controller-manager",
    "k3s",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
];

/// Where Secrets and leases live unless told otherwise; OCM's own default for add-ons.
pub const DEFAULT_NAMESPACE: &str = "open-cluster-management-agent-addon";

/// The service account whose rights are used when an assignment names none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "addon-installer";

/// Leases that are not an add-on's, so no add-on may have their names: the klusterlet's on the hub, and the agent's.
pub const RESERVED_NAMES: [&str; 2] = ["managed-cluster-lease", AGENT_LEASE];

/// The agent's Lease: its heartbeat in the cluster's namespace on the hub, and on the managed cluster what only one
/// agent holds.
pub const AGENT_LEASE: &str = "addon-lifecycle-agent";

/// Keeps a `ManagedAddOn` until what it installed is removed or let go.
pub const FINALIZER: &str = "lifecycle.open-cluster-management.io/uninstall";

pub mod label {
    /// The add-on an object, release Secret or lease belongs to.
    pub const ADD_ON: &str = "lifecycle.open-cluster-management.io/addon";
    /// First 12 hex digits of the release that last applied an object.
    pub const RELEASE: &str = "lifecycle.open-cluster-management.io/release";
    /// What a retained release is: `candidate`, `current` or `previous`.
    pub const STATE: &str = "lifecycle.open-cluster-management.io/state";
    /// On a ConfigMap with evidence of a failure: the operation's number.
    pub const EVIDENCE: &str = "lifecycle.open-cluster-management.io/evidence";
    /// On a Secret: a `ManagedAddOn` is made anew from it.
    pub const SUCCESSOR: &str = "lifecycle.open-cluster-management.io/successor";
    /// Who made a `ManagedAddOn`; `hub-sync` writes only those that say `hub-sync`.
    pub const WRITTEN_BY: &str = "lifecycle.open-cluster-management.io/written-by";
    /// On the heartbeat lease on the hub. It is not [`ADD_ON`], since an add-on may have the same name.
    pub const AGENT: &str = "lifecycle.open-cluster-management.io/agent";
}

pub mod annotation {
    /// On objects: the version that last applied them. On templates: the version they carry.
    pub const VERSION: &str = "lifecycle.open-cluster-management.io/version";
    /// The bundle's digest that last applied an object.
    pub const DIGEST: &str = "lifecycle.open-cluster-management.io/digest";
    /// On an object that was here before: first 12 hex digits of the release that took it over, or of a later one, while no
    /// release that has it was available.
    pub const TAKEN_OVER_BY: &str = "lifecycle.open-cluster-management.io/taken-over-by";
    /// On a retained release's Secret: the whole release id.
    pub const RELEASE_ID: &str = "lifecycle.open-cluster-management.io/release-id";
    /// `"true"`: nothing new starts.
    pub const PAUSED: &str = "lifecycle.open-cluster-management.io/paused";
    /// A new value tries a failed or rejected assignment again.
    pub const RETRY: &str = "lifecycle.open-cluster-management.io/retry";
    /// On a `ManagedAddOn` that the klusterlet deletes: whether that was `ordered`, or it was only `evicted`.
    pub const REMOVAL: &str = "lifecycle.open-cluster-management.io/removal";
    /// Which `AddOnTemplate` an assignment came from.
    pub const TEMPLATE: &str = "lifecycle.open-cluster-management.io/template";
    /// On a `ManagedAddOn` that hub-sync wrote: UID of its `ManagedClusterAddOn`. Only the deletion of that one uninstalls.
    pub const MCA_UID: &str = "lifecycle.open-cluster-management.io/mca-uid";
    /// On a `ManagedAddOn` that no hub assigns: why. Removed when a hub assigns it again.
    pub const ORPHANED: &str = "lifecycle.open-cluster-management.io/orphaned";
    /// On a saved successor's Secret: UID of the `ManagedAddOn` that is deleted.
    pub const PREDECESSOR: &str = "lifecycle.open-cluster-management.io/predecessor";
    /// Present: removal and prune also delete what holds data.
    pub const DELETE_DATA: &str = "lifecycle.open-cluster-management.io/delete-data";
    /// The version for which a sharply shrunk bundle is accepted.
    pub const ALLOW_SHRINK: &str = "lifecycle.open-cluster-management.io/allow-shrink";
    /// The version for which `policy.windows` do not hold.
    pub const IGNORE_WINDOWS: &str = "lifecycle.open-cluster-management.io/ignore-windows";
    /// On Jobs of a bundle: `pre-upgrade` or `verify`, when they are run instead of being applied with the rest.
    pub const HOOK: &str = "lifecycle.open-cluster-management.io/hook";
    /// On a hook's Job in the cluster: the operation that ran it.
    pub const OPERATION: &str = "lifecycle.open-cluster-management.io/operation";
    /// Fields of an object that others own, as comma-separated JSON pointers.
    pub const IGNORE_DIFFERENCES: &str = "lifecycle.open-cluster-management.io/ignore-differences";
    /// On the status lease: the status as JSON.
    pub const STATUS: &str = "lifecycle.open-cluster-management.io/status";
}
