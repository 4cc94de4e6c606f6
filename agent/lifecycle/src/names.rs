//! Names that other programs read: the API group, labels, annotations, finalizers, field managers.

/// The API group, alone or as the prefix of a name.
macro_rules! group {
    () => {
        "lifecycle.open-cluster-management.io"
    };
    ($name:literal) => {
        concat!(group!(), "/", $name)
    };
}

/// API group of the `ManagedAddOn`.
pub const GROUP: &str = group!();

/// Field manager of everything that the agent writes on the managed cluster.
pub const FIELD_MANAGER: &str = "addon-lifecycle-agent";

/// Kubernetes' own field managers, which write fields that no manifest sets. `k3s` runs them in one process.
pub const CONTROLLERS: [&str; 6] = [
    "cloud-controller-manager",
    "k3s",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
];

/// Default namespace of the agent's Secrets and leases, and of an add-on's objects. OCM has the same default for add-ons.
pub const DEFAULT_NAMESPACE: &str = "open-cluster-management-agent-addon";

/// Default service account of an add-on, in the agent's namespace. Its rights are used if an assignment names none.
pub const DEFAULT_SERVICE_ACCOUNT: &str = "addon-installer";

/// Names that no add-on may have: the leases of the klusterlet on the hub, and of the agent, have them.
pub const RESERVED_NAMES: [&str; 2] = ["managed-cluster-lease", AGENT_LEASE];

/// The agent's Lease: on the hub its heartbeat, in the cluster's namespace; on the managed cluster the lease that only one
/// agent holds.
pub const AGENT_LEASE: &str = "addon-lifecycle-agent";

/// Finalizer that keeps a `ManagedAddOn` until its objects are uninstalled or orphaned.
pub const FINALIZER: &str = group!("uninstall");

/// Types of the agent's Secrets.
pub mod secret_type {
    /// Of a retained release.
    pub const RELEASE: &str = group!("release");
    /// Of a `ManagedAddOn` that is recreated after an eviction.
    pub const SUCCESSOR: &str = group!("successor");
}

/// Types of the conditions that are hub-sync's own on a `ManagedClusterAddOn`: no OCM controller writes them.
pub mod hub_condition {
    /// Version that was last available on the cluster.
    pub const CURRENT_VERSION: &str = group!("CurrentVersion");
    /// Version that is assigned to the cluster.
    pub const DESIRED_VERSION: &str = group!("DesiredVersion");
    /// State of the rollout.
    pub const ROLLOUT: &str = group!("Rollout");
}

/// Labels.
pub mod label {
    /// The add-on to which an object, a release's Secret or a lease belongs.
    pub const ADD_ON: &str = group!("addon");
    /// First 12 hex digits of the release that last applied an object.
    pub const RELEASE: &str = group!("release");
    /// State of a retained release: `candidate`, `current` or `previous`.
    pub const STATE: &str = group!("state");
    /// On a ConfigMap with evidence of a failure: the operation's number.
    pub const EVIDENCE: &str = group!("evidence");
    /// On a Secret from which an evicted `ManagedAddOn` is recreated.
    pub const SUCCESSOR: &str = group!("successor");
    /// Writer of a `ManagedAddOn`. hub-sync writes only those with the value `hub-sync`.
    pub const WRITTEN_BY: &str = group!("written-by");
    /// On the heartbeat lease on the hub. It is not [`ADD_ON`], since an add-on may have the same name.
    pub const AGENT: &str = group!("agent");
}

/// Annotations.
pub mod annotation {
    /// On objects: the version that last applied them. On templates: the version they carry.
    pub const VERSION: &str = group!("version");
    /// Digest of the bundle that last applied an object.
    pub const DIGEST: &str = group!("digest");
    /// On an adopted object: first 12 hex digits of the release that adopted it, or of a later one. Removed once a release
    /// that has the object was available.
    pub const TAKEN_OVER_BY: &str = group!("taken-over-by");
    /// On a retained release's Secret: the whole release id.
    pub const RELEASE_ID: &str = group!("release-id");
    /// `"true"`: nothing new starts.
    pub const PAUSED: &str = group!("paused");
    /// A new value retries a failed or rejected assignment.
    pub const RETRY: &str = group!("retry");
    /// On a `ManagedAddOn` that the klusterlet deletes: `ordered` if the hub ordered the removal, else `evicted`.
    pub const REMOVAL: &str = group!("removal");
    /// The `AddOnTemplate` that an assignment came from.
    pub const TEMPLATE: &str = group!("template");
    /// On a `ManagedAddOn` that hub-sync wrote: UID of its `ManagedClusterAddOn`. Only the deletion of that one uninstalls.
    pub const MCA_UID: &str = group!("mca-uid");
    /// On a `ManagedAddOn` that no hub assigns: why. Removed when a hub assigns it again.
    pub const ORPHANED: &str = group!("orphaned");
    /// On the Secret of a successor: UID of the `ManagedAddOn` that is being deleted.
    pub const PREDECESSOR: &str = group!("predecessor");
    /// If present, uninstall and prune also delete objects that hold data.
    pub const DELETE_DATA: &str = group!("delete-data");
    /// The version that may have less than half of the running version's objects.
    pub const ALLOW_SHRINK: &str = group!("allow-shrink");
    /// The version that may start outside every window of `policy.windows`.
    pub const IGNORE_WINDOWS: &str = group!("ignore-windows");
    /// On Jobs of a bundle: `pre-upgrade` or `verify`, the moment at which the Job runs. A hook is not applied with the
    /// other objects.
    pub const HOOK: &str = group!("hook");
    /// On a hook's Job in the cluster: the operation that ran it.
    pub const OPERATION: &str = group!("operation");
    /// Ignored fields of an object, as comma-separated JSON pointers.
    pub const IGNORE_DIFFERENCES: &str = group!("ignore-differences");
    /// On the status lease: the status as JSON.
    pub const STATUS: &str = group!("status");
}
