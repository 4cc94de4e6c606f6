//! Evaluates a release's own health rules: off the async threads, one look at a time, and with a deadline.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::health::{Health, Rules};
use lifecycle::{Fault, HealthRule, Object, Reason};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest time for the rules of one look, including the wait for other add-ons. Rules that people write take
/// milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// Evaluates CEL expressions, one look at a time. An evaluation cannot be stopped: one that goes on keeps its turn, and
/// every other look gets `Unknown`.
#[derive(Clone)]
pub struct CelWorker {
    turn: Arc<Semaphore>,
}

impl CelWorker {
    pub fn new() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)) }
    }

    /// Compiles the rules of a release.
    ///
    /// # Errors
    /// The refusal of a rule; a transient fault after [`DEADLINE`].
    pub async fn compile(&self, rules: Vec<HealthRule>) -> Result<Rules, Fault> {
        if rules.is_empty() {
            return Ok(Rules::default());
        }
        let compiled = self.run_in_turn(move || Rules::compile(&rules)).await;
        compiled.unwrap_or_else(|| Err(Fault::transient(Reason::CheckFailed, timed_out())))
    }

    /// Returns the health of each object, in order.
    pub async fn assess(&self, rules: &Arc<Rules>, objects: Vec<Object>) -> Vec<Health> {
        if objects.is_empty() {
            return Vec::new();
        }
        let (count, rules) = (objects.len(), rules.clone());
        let assess_one = move |object: &Object| {
            let health = rules.assess(object);
            health.unwrap_or_else(|| Health::unknown("there is no health rule for it"))
        };
        let assessed = self.run_in_turn(move || objects.iter().map(assess_one).collect()).await;
        assessed.unwrap_or_else(|| vec![Health::unknown(timed_out()); count])
    }

    async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let worked = async {
            let turn = self.turn.clone().acquire_owned().await.ok()?;
            let work = move || {
                let _turn = turn;
                work()
            };
            tokio::task::spawn_blocking(work).await.ok()
        };
        timeout(DEADLINE, worked).await.ok().flatten()
    }
}

fn timed_out() -> String {
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
    async fn each_object_gets_its_own_health() {
        let worker = CelWorker::new();
        let rules = Arc::new(worker.compile(rules()).await.expect("rules"));
        let statuses: Vec<_> =
            worker.assess(&rules, objects()).await.iter().map(|h| h.status).collect();
        assert_eq!(statuses, [HealthStatus::Current, HealthStatus::InProgress]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_evaluation_makes_other_healths_unknown_after_the_deadline() {
        let worker = CelWorker::new();
        let rules = Arc::new(Rules::compile(&rules()).expect("rules"));
        let endless = worker.turn.clone().acquire_owned().await.expect("the turn");
        assert!(
            worker.compile(Vec::new()).await.is_ok(),
            "without rules there is nothing to wait for"
        );
        assert!(worker.assess(&rules, Vec::new()).await.is_empty());
        for health in worker.assess(&rules, objects()).await {
            assert_eq!(health.status, HealthStatus::Unknown);
            assert!(health.message.contains("within 5 s"), "{}", health.message);
        }
        drop(endless);
        let healths = worker.assess(&rules, objects()).await;
        assert_eq!(healths[0].status, HealthStatus::Current);
    }
}
