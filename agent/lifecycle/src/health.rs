//! Health of living objects and of a release. The statuses and rules are those of kstatus
//! (`sigs.k8s.io/cli-utils/pkg/kstatus/status`), with the differences below. `docs/health.md` describes each rule with an
//! example.
//!
//! | object | kstatus | here | why |
//! | --- | --- | --- | --- |
//! | `observedGeneration` | has to equal `generation` | has to be at least `generation` | a restored object may start at 1 again |
//! | condition of an older generation | counts | never counts; an outdated `Ready` is `InProgress` | it describes another spec |
//! | `Reconciling` and `Stalled` | the first in the list | `Reconciling` | a controller that still works has not failed |
//! | custom resource without status | `Current` | `InProgress` for 30 s | its controller has not seen it yet |
//! | Deployment: `Progressing` without `NewReplicaSetAvailable` | `InProgress` | the counts decide | a paused one never gets it |
//! | Deployment: `ProgressDeadlineExceeded` | `Failed` | ignored if older than the apply | the failure that a rollback repairs would fail it |
//! | `ReplicaFailure` (quota, Pod Security) | `InProgress` | `Failed` after 2 min | it does not pass by itself |
//! | pods of a workload | not read | a problem that lasts for 2 min fails the workload | the progress deadline takes 10 min |
//! | `StatefulSet` with `OnDelete` | `Current` | `Current` when all pods are ready, and updated or 2 min have passed | pods may be missing; perhaps nobody replaces them |
//! | `DaemonSet` with `OnDelete` | `InProgress` for ever | as a `StatefulSet` | |
//! | `DaemonSet`, pods missing on nodes that are not ready | `InProgress` | `Current` | at the edge some node is always off |
//! | Pod `Failed` | `Current` | `Failed` | it does not do what its spec asks for |
//! | Pod unschedulable | `Failed` after 15 s | `Failed` after 2 min | the cluster may add a node |
//! | Pod in a crash loop | `Failed` at once | `Failed` after 2 min and 3 restarts | it may wait for another container |
//! | Pod whose image or configuration is missing | `InProgress` | `Failed` after 2 min | it does not pass by itself |
//! | Job with `ttlSecondsAfterFinished` that does not exist | `NotFound` | `Current` | it finished and was deleted |
//! | `ReplicationController` | `Current` | as a `ReplicaSet` | its pods may be missing |
//! | workload of no replicas without status | `Current` | `InProgress` | its controller has not seen it yet |
//! | `PersistentVolume` in phase `Failed` | `Current` | `Failed` | its reclaim failed |
//! | `APIService` | `Current` | by its condition `Available` | requests to it fail until then |

mod assess;
mod builtin;
mod context;
mod daemon_set;
mod fields;
mod generic;
mod hooks;
mod job;
mod pod_problems;
mod pods;
mod preexisting;
mod rules;
mod status;
mod stuck_pods;
mod verdict;
mod workload;

pub use assess::{assess, assess_with};
pub use context::{Graces, HealthContext};
pub use hooks::{HookStatus, assess_hooks};
pub use job::assess_absent;
pub use pods::pod_labels;
pub(crate) use preexisting::describe_tolerated;
pub use preexisting::{PreexistingFailure, Tolerance, ToleratedFailure, preexisting_failures};
pub use rules::Rules;
pub use status::{Health, HealthStatus};
pub use stuck_pods::{find_stuck_pod, may_have_stuck_pod};
pub use verdict::Verdict;

#[cfg(test)]
mod tests;
