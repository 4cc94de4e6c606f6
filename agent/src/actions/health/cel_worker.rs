//! Asks a release's own health rules: off the async threads, one look at a time, and never waited for without end.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Health, Rules};
use lifecycle::{Fault, HealthRule, Object, Reason};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What the rules of one look may take, waiting for those of others included. Rules that people write take
/// milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// An evaluation cannot be ended from outside: one that goes on keeps its turn, and all others are told so.
#[derive(Clone)]
pub struct CelWorker {
    turn: Arc<Semaphore>,
}

impl CelWorker {
    pub fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }

    pub async fn compile(&self, rules: Vec<HealthRule>) -> Result<Rules, Fault> {
        if rules.is_empty() {
            return Ok(Rules::default());
        }
        let compiled = self.by_turn(move || Rules::compile(&rules)).await;
        compiled.unwrap_or_else(|| Err(Fault::transient(Reason::CheckFailed, too_long())))
    }

    /// Of each object, in their order.
    pub async fn ask(&self, rules: &Arc<Rules>, objects: Vec<Object>) -> Vec<Health> {
        if objects.is_empty() {
            return Vec::new();
        }
        let (count, rules) = (objects.len(), rules.clone());
        let one = move |object: &Object| {
            let told = rules.assess(object);
            told.unwrap_or_else(|| Health::unknown("there is no health rule for it"))
        };
        let asked = self.by_turn(move || objects.iter().map(one).collect()).await;
        asked.unwrap_or_else(|| vec![Health::unknown(too_long()); count])
    }

    async fn by_turn<T: Send + 'static>(
        &self,
        access: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let worked = async {
            let turn = self.turn.clone().acquire_owned().await.ok()?;
            let access = move || {
                let _turn = turn;
                access()
            };
            tokio::task::spawn_blocking(access).await.ok()
        };
        timeout(DEADLINE, worked).await.ok().flatten()
    }
}

fn too_long() -> String {
    let within = DEADLINE.as_secs();
    format!(
        "health rules, of this add-on or of another, did not answer within {within} s; make them simpler"
    )
}

#[cfg(test)]
mod tests {
    use lifecycle::health::HealthStatus;
    use serde_json::json;

    use super::*;

    fn rules() -> Vec<HealthRule> {
        let rule = json!({"apiVersion": "e/v1", "kind": "B", "current": "object.status.ok"});
        vec![serde_json::from_value(rule).expect("a rule")]
    }

    fn objects() -> Vec<Object> {
        let of = |ok| json!({"apiVersion": "e/v1", "kind": "B", "status": {"ok": ok}});
        vec![Object(of(true)), Object(of(false))]
    }

    #[tokio::test]
    async fn each_object_is_judged_in_its_place() {
        let judge = CelWorker::new();
        let rules = Arc::new(judge.compile(rules()).await.expect("rules"));
        let told: Vec<_> = judge.ask(&rules, objects()).await.iter().map(|h| h.status).collect();
        assert_eq!(told, [HealthStatus::Current, HealthStatus::InProgress]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_another_evaluation_goes_on_nothing_is_known_and_nothing_hangs() {
        let judge = CelWorker::new();
        let rules = Arc::new(Rules::compile(&rules()).expect("rules"));
        let endless = judge.turn.clone().acquire_owned().await.expect("the turn");
        assert!(judge.compile(Vec::new()).await.is_ok(), "who has no rules waits for nobody");
        assert!(judge.ask(&rules, Vec::new()).await.is_empty());
        for health in judge.ask(&rules, objects()).await {
            assert_eq!(health.status, HealthStatus::Unknown);
            assert!(health.message.contains("within 5 s"), "{}", health.message);
        }
        drop(endless);
        let told = judge.ask(&rules, objects()).await;
        assert_eq!(told[0].status, HealthStatus::Current);
    }
}
