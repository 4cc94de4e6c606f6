//! The agent lease: of several agents on a cluster only its holder writes. An agent that loses it stops as if killed,
//! which loses nothing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use lifecycle::names::AGENT_LEASE as NAME;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::error;
use crate::storage::agent_identity::AgentIdentity;

/// Time after the last renewal that was seen, after which another agent takes over.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// Time after the last renewal, after which the holder stops writing: two thirds of [`LEASE_DURATION`], so that it stops
/// before another agent starts.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between renewals. A second renewal fits before [`RENEW_DEADLINE`] if the first fails at once.
const RENEW_PERIOD: Duration = Duration::from_secs(4);
/// Timeout of one renewal: a request that hangs must not hide that the deadline has passed.
const RENEW_TIMEOUT: Duration = Duration::from_secs(3);
/// Time between attempts to acquire the lease.
const RETRY_PERIOD: Duration = Duration::from_secs(1);
/// Duration of a lease that was seized without an owner.
const SEIZED_DURATION: Duration = Duration::from_secs(15 * 60);
/// Duration of a lease that was seized with an owner, and that is deleted with the owner.
const SEIZED_DURATION_WITH_OWNER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The Lease on the managed cluster that only one agent holds.
pub struct AgentLease {
    api: Api<Lease>,
    identity: AgentIdentity,
}

/// The outcome of an attempt to acquire the lease.
enum Attempt {
    Acquired,
    HeldBy(String),
    JustDeleted,
}

/// The last seen version of the lease, and since when it has not changed.
struct Sighting {
    /// Absent while there is no lease.
    resource_version: Option<String>,
    since: Instant,
}

impl AgentLease {
    /// Prepares access to the lease in the agent's namespace, without a request.
    pub fn new(client: Client, namespace: &str, identity: AgentIdentity) -> Self {
        Self { api: Api::namespaced(client, namespace), identity }
    }

    /// Waits until this agent holds the lease. Until then each attempt reports why it does not.
    pub async fn acquire(&self, report: impl Fn(String)) {
        let mut seen = None;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(Attempt::Acquired) => return,
                Ok(Attempt::HeldBy(other)) => {
                    report(format!("another agent, {other}, holds the agent lease"));
                }
                Ok(Attempt::JustDeleted) => {
                    report("the agent lease has just been deleted".to_owned());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot acquire the agent lease yet");
                    report("cannot acquire the agent lease yet; the log says why".to_owned());
                }
            }
            sleep(RETRY_PERIOD).await;
        }
    }

    /// The holder counts as alive while its lease changes, so that clocks are never compared.
    async fn try_acquire(&self, seen: &mut Option<Sighting>) -> Result<Attempt, kube::Error> {
        let lease = self.api.get_opt(NAME).await?;
        let resource_version = lease.as_ref().and_then(|it| it.metadata.resource_version.clone());
        let since = match seen {
            Some(last) if last.resource_version == resource_version => last.since,
            None if lease.is_none() => return self.create().await,
            _ => seen.insert(Sighting { resource_version, since: Instant::now() }).since,
        };
        let Some(lease) = lease else {
            // Its owner, the command that stopped this agent, is gone, and the agent is deleted soon. An agent that
            // restarted in between cannot know.
            let is_recent = since.elapsed() < LEASE_DURATION;
            return if is_recent { Ok(Attempt::JustDeleted) } else { self.create().await };
        };
        let holder = holder_of(&lease).filter(|holder| !holder.is_empty());
        match holder.filter(|holder| *holder != self.identity.name()) {
            Some(other) if since.elapsed() < duration_of(&lease) => {
                Ok(Attempt::HeldBy(other.to_owned()))
            }
            _ => self.replace(&self.renewed(Some(&lease))).await.map(|()| Attempt::Acquired),
        }
    }

    async fn create(&self) -> Result<Attempt, kube::Error> {
        let lease = self.renewed(None);
        self.api.create(&PostParams::default(), &lease).await.map(|_| Attempt::Acquired)
    }

    /// Returns whether this identity holds the lease, also from before a restart.
    pub async fn is_held(&self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(NAME).await?;
        Ok(lease.is_some_and(|lease| self.holds(&lease)))
    }

    fn holds(&self, lease: &Lease) -> bool {
        holder_of(lease) == Some(self.identity.name())
    }

    /// Takes the lease from its holder. It is deleted with `owner`; without one it expires after fifteen minutes.
    pub async fn seize(&self, owner: Option<OwnerReference>) -> Result<(), kube::Error> {
        loop {
            let before = self.api.get_opt(NAME).await?;
            let lease = self.seized(before.as_ref(), owner.clone());
            let result = match before {
                Some(_) => self.replace(&lease).await,
                None => self.api.create(&PostParams::default(), &lease).await.map(drop),
            };
            match result {
                Err(error) if error::is_conflict(&error) => {}
                result => return result,
            }
        }
    }

    /// Renews the lease until another agent holds it, or no renewal succeeded for [`RENEW_DEADLINE`].
    pub async fn keep_renewed(&self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < RENEW_DEADLINE {
            sleep(RENEW_PERIOD.min(RENEW_DEADLINE.saturating_sub(renewed.elapsed()))).await;
            let start = Instant::now();
            // A process that was frozen wakes up late. It would go on writing while it asked.
            if start.duration_since(renewed) > RENEW_DEADLINE {
                break;
            }
            match timeout(RENEW_TIMEOUT, self.renew()).await {
                Ok(Ok(true)) => renewed = start,
                Ok(Ok(false)) => break,
                Ok(Err(error)) => tracing::warn!(%error, "could not renew the agent lease"),
                Err(_) => tracing::warn!("could not renew the agent lease in time"),
            }
        }
        tracing::warn!("lost the agent lease; nothing is written until it is acquired again");
    }

    /// Returns `false` if another agent holds the lease.
    async fn renew(&self) -> Result<bool, kube::Error> {
        let lease = self.api.get(NAME).await?;
        if !self.holds(&lease) {
            return Ok(false);
        }
        self.replace(&self.renewed(Some(&lease))).await.map(|()| true)
    }

    /// Gives the lease up, so that the next agent starts at once. A failure only delays that agent.
    pub async fn release(&self) {
        let released = async {
            let mut lease = self.api.get(NAME).await?;
            let is_held = self.holds(&lease);
            if let Some(spec) = lease.spec.as_mut().filter(|_| is_held) {
                spec.holder_identity = None;
                self.replace(&lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(RETRY_PERIOD / 2, released).await
            && !error::is_not_found(&error)
        {
            tracing::debug!(%error, "could not release the agent lease; it expires by itself");
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<(), kube::Error> {
        self.api.replace(NAME, &PostParams::default(), lease).await.map(|_| ())
    }

    /// Returns the lease with this agent as its holder, renewed now.
    fn renewed(&self, before: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let is_ours = spec.holder_identity.as_deref() == Some(self.identity.name());
        let mut metadata = before.map_or_else(
            || ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        );
        // Only a seized lease has an owner, with which it would be deleted.
        metadata.owner_references = None;
        let transitions = spec.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.name().to_owned()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: spec.acquire_time.filter(|_| is_ours).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(transitions.saturating_add(i32::from(!is_ours))),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Returns the lease with this process as its holder for long, deleted with `owner`.
    fn seized(&self, before: Option<&Lease>, owner: Option<OwnerReference>) -> Lease {
        let mut lease = self.renewed(before);
        let duration = if owner.is_some() { SEIZED_DURATION_WITH_OWNER } else { SEIZED_DURATION };
        if let Some(spec) = &mut lease.spec {
            spec.lease_duration_seconds = i32::try_from(duration.as_secs()).ok();
        }
        lease.metadata.owner_references = owner.map(|owner| vec![owner]);
        lease
    }
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

/// A seized lease states its own duration. That of an agent is never shorter than what all agents agreed on.
fn duration_of(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let stated = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    stated.map_or(LEASE_DURATION, |stated| stated.max(LEASE_DURATION))
}
