//! The programs of a test bed, and the Go package of each.

use crate::sources::Module;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Kubectl,
    Kwok,
    Kubelet,
    KubeProxy,
    /// Runs in the containers of tests.
    Pod,
    Ocm,
    Helm,
    Registry,
    Oras,
}

impl Tool {
    /// The parts of a control plane, with kwok.
    pub(crate) const CONTROL_PLANE: [Self; 5] =
        [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler, Self::Kwok];

    /// The programs that a folder of `KUBEBUILDER_ASSETS` must have.
    pub(crate) const ASSETS: [Self; 3] = [Self::Etcd, Self::ApiServer, Self::Kubectl];

    /// Returns the file name, which is also the last element of the Go package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Pod => "pod",
            Self::Ocm => "ocm",
            Self::Helm => "helm",
            Self::Registry => "registry",
            Self::Oras => "oras",
        }
    }

    /// Returns the Go package, as seen from its module's folder.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Etcd => "./cmd/etcd",
            Self::ApiServer => "./cmd/kube-apiserver",
            Self::ControllerManager => "./cmd/kube-controller-manager",
            Self::Scheduler => "./cmd/kube-scheduler",
            Self::Kubectl => "./cmd/kubectl",
            Self::Kwok => "sigs.k8s.io/kwok/cmd/kwok",
            Self::Kubelet => "./cmd/kubelet",
            Self::KubeProxy => "./cmd/kube-proxy",
            Self::Pod => "./cmd/pod",
            Self::Ocm => ".",
            Self::Helm => "helm.sh/helm/v4/cmd/helm",
            Self::Registry => "./cmd/registry",
            Self::Oras => "oras.land/oras/cmd/oras",
        }
    }

    /// Returns the Go module that requires the package, for a control plane of `release` and OCM of `ocm`.
    pub(crate) fn module(self, release: Module, ocm: Module) -> Module {
        match self {
            Self::ApiServer | Self::ControllerManager | Self::Scheduler => release,
            Self::Etcd
            | Self::Kubectl
            | Self::Kwok
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Pod => Module::Kubernetes,
            Self::Ocm => ocm,
            Self::Helm => Module::Helm,
            Self::Registry | Self::Oras => Module::Oci,
        }
    }
}
