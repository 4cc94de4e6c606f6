//! One agent writes: whoever holds the local Lease. Losing it is like being killed, which loses nothing.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use lifecycle::names::AGENT_LEASE as NAME;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::error;

/// Another agent takes over this long after the last renewal it saw.
const DURATION: Duration = Duration::from_secs(15);
/// We stop writing after two thirds of it, before anybody else begins.
pub const GIVE_UP: Duration = Duration::from_secs(10);
/// Between renewals: there is time for a second one before `GIVE_UP` if the first fails at once.
const RENEW: Duration = Duration::from_secs(4);
/// Between looks at a Lease that another agent has.
const LOOK: Duration = Duration::from_secs(1);
/// For how long a Lease that was seized keeps agents from writing, where nothing ends it before.
const SEIZED: Duration = Duration::from_secs(15 * 60);
/// The same where it goes with its owner.
const SEIZED_WITH_OWNER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A renewal that hangs must not keep us from noticing that the time is up.
const REQUEST: Duration = Duration::from_secs(3);

/// What came of a try to take the Lease.
enum Taken {
    Yes,
    By(String),
    JustGone,
}

pub struct Holder {
    api: Api<Lease>,
    identity: String,
}

impl Holder {
    /// The same after a restart in place, so that a restarted agent goes on at once.
    pub fn new(client: Client, namespace: &str) -> Self {
        let identity = std::env::var("POD_NAME")
            .unwrap_or_else(|_| rustix::system::uname().nodename().to_string_lossy().into_owned());
        Self { api: Api::namespaced(client, namespace), identity }
    }

    /// Returns when this agent holds the Lease; until then `waiting` is told why not.
    pub async fn acquire(&self, waiting: impl Fn(String)) {
        let mut seen: Option<(Option<String>, Instant)> = None;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(Taken::Yes) => return,
                Ok(Taken::By(other)) => waiting(format!("another agent, {other}, writes here")),
                Ok(Taken::JustGone) => {
                    waiting("the agents' lease has just been deleted".to_owned())
                }
                Err(error) => {
                    tracing::warn!(%error, "the agents' lease cannot be taken yet");
                    waiting(format!("the agents' lease cannot be taken yet: {error}"));
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Another holder lives while its Lease changes: clocks are not compared.
    async fn try_acquire(
        &self,
        seen: &mut Option<(Option<String>, Instant)>,
    ) -> Result<Taken, kube::Error> {
        let lease = self.api.get_opt(NAME).await?;
        let version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let since = match seen {
            Some((known, since)) if *known == version => *since,
            None if lease.is_none() => return self.create().await,
            _ => seen.insert((version, Instant::now())).1,
        };
        let Some(lease) = lease else {
            // Whoever stopped this agent for good is gone, and the agent goes soon, too. One that was restarted meanwhile
            // cannot know.
            let is_new = since.elapsed() < DURATION;
            return if is_new { Ok(Taken::JustGone) } else { self.create().await };
        };
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone());
        let other = holder.filter(|holder| !holder.is_empty() && *holder != self.identity);
        match other {
            Some(other) if since.elapsed() < lasts(&lease) => Ok(Taken::By(other)),
            _ => self.replace(&self.lease(Some(&lease))).await.map(|()| Taken::Yes),
        }
    }

    async fn create(&self) -> Result<Taken, kube::Error> {
        self.api.create(&PostParams::default(), &self.lease(None)).await.map(|_| Taken::Yes)
    }

    /// Whether this agent has it, or had it before it was restarted.
    pub async fn is_held(&self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(NAME).await?;
        Ok(lease.is_some_and(|lease| self.holds(&lease)))
    }

    fn holds(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(&self.identity)
    }

    /// Takes the Lease from whoever has it, and lets it go with `owner`.
    pub async fn seize(&self, owner: Option<OwnerReference>) -> Result<(), kube::Error> {
        loop {
            let before = self.api.get_opt(NAME).await?;
            let mut lease = self.lease(before.as_ref());
            let lasts = if owner.is_some() { SEIZED_WITH_OWNER } else { SEIZED };
            if let Some(spec) = &mut lease.spec {
                spec.lease_duration_seconds = i32::try_from(lasts.as_secs()).ok();
            }
            lease.metadata.owner_references = owner.clone().map(|owner| vec![owner]);
            let written = match before {
                Some(_) => self.replace(&lease).await,
                None => self.api.create(&PostParams::default(), &lease).await.map(drop),
            };
            match written {
                Err(error) if error::is_conflict(&error) => {}
                written => return written,
            }
        }
    }

    /// Returns when the Lease is lost, or could not be renewed for too long.
    pub async fn hold(&self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < GIVE_UP {
            sleep(RENEW.min(GIVE_UP.saturating_sub(renewed.elapsed()))).await;
            let begun = Instant::now();
            // A process that was frozen wakes up late: while it asked, the rest of it would go on writing.
            if begun.duration_since(renewed) > GIVE_UP {
                break;
            }
            match timeout(REQUEST, self.renew()).await {
                Ok(Ok(true)) => renewed = begun,
                Ok(Ok(false)) => break,
                Ok(Err(error)) => tracing::warn!(%error, "the agents' lease was not renewed"),
                Err(_) => tracing::warn!("the agents' lease was not renewed in time"),
            }
        }
        tracing::warn!(
            "not holding the agents' lease any more; nothing is written until it is back"
        );
    }

    /// `false` when another agent has it.
    async fn renew(&self) -> Result<bool, kube::Error> {
        let lease = self.api.get(NAME).await?;
        if !self.holds(&lease) {
            return Ok(false);
        }
        self.replace(&self.lease(Some(&lease))).await.map(|()| true)
    }

    /// Lets the next agent begin at once.
    pub async fn release(&self) {
        let released = async {
            let mut lease = self.api.get(NAME).await?;
            if let Some(spec) = &mut lease.spec
                && spec.holder_identity.as_deref() == Some(&self.identity)
            {
                spec.holder_identity = None;
                self.replace(&lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(LOOK / 2, released).await
            && !error::is_gone(&error)
        {
            tracing::debug!(%error, "the agents' lease was not released; it ends by itself");
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<(), kube::Error> {
        self.api.replace(NAME, &PostParams::default(), lease).await.map(|_| ())
    }

    fn lease(&self, before: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let spec = before.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let same = spec.holder_identity.as_deref() == Some(&self.identity);
        let mut metadata = before.map_or_else(
            || ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        );
        // An owner's end would end it; only one that was seized has one.
        metadata.owner_references = None;
        let changes = spec.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: spec.acquire_time.filter(|_| same).or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if same { changes } else { changes.saturating_add(1) }),
            ..LeaseSpec::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

/// One that was seized says itself for how long; an agent's own lives no longer than agents agreed.
fn lasts(lease: &Lease) -> Duration {
    let told = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
    let told = told.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    told.map_or(DURATION, |told| told.max(DURATION))
}
