//! Golden ledgers, one for each place of a rollout. Every later agent has to read them and continue from there, so once
//! released a file is never changed: `UPDATE_STORIES=1` writes missing ones only.

mod scene;

use std::fs;
use std::path::PathBuf;

use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{Deletion, ManagedAddOnStatus, Phase, Reason, RollbackStep, Rollout, State};
use scene::{Scene, hold, words};
use serde_json::Value;

/// The scene that saves each ledger.
fn places() -> Vec<(&'static str, Scene)> {
    let back = |far| rolling_back().until_rollback_step(far);
    let healthy = Some(std::time::Duration::ZERO);
    vec![
        ("pending", Scene::new().with(|seen| seen.has_finalizer = false).assign("1.4.0")),
        ("waiting", Scene::available("1.4.0").pause().assign("1.5.0")),
        ("pulling", Scene::upgrading(Phase::Pulling).fails_transiently(Reason::PullFailed)),
        ("staging", Scene::upgrading(Phase::Staging)),
        ("checking", Scene::upgrading(Phase::Checking).fails_transiently(Reason::CheckFailed)),
        ("checking-accepted", unsafe_upgrade().retry("go")),
        ("pre-upgrade", Scene::upgrading(Phase::Checking).with_hooks().done()),
        ("applying-unsafe", unsafe_upgrade().retry("go").done().is(Phase::Applying)),
        ("applying", Scene::upgrading(Phase::Applying).done().done()),
        ("applying-first", Scene::new().assign("1.4.0").until(Phase::Applying)),
        (
            "applying-third",
            Scene::upgrading(Phase::Verifying).assign("1.6.0").until(Phase::Applying),
        ),
        ("verifying", Scene::upgrading(Phase::Verifying).healthy(3)),
        ("pruning", Scene::upgrading(Phase::Pruning).leaves("ConfigMap a/b")),
        (
            "pruning-tolerated",
            Scene::upgrading(Phase::Verifying).assessed_as(tolerated(), 31).is(Phase::Pruning),
        ),
        (
            "available-leftovers",
            Scene::upgrading(Phase::Pruning).never_removes("ConfigMap a/b").is(Phase::Available),
        ),
        ("available", Scene::upgrading(Phase::Pruning).settled()),
        ("rejected", Scene::upgrading(Phase::Checking).fails(Reason::Forbidden)),
        ("rejected-content", Scene::upgrading(Phase::Pulling).fails(Reason::DigestMismatch)),
        ("rollback-withdraw", back(RollbackStep::Withdraw)),
        ("rollback-apply", back(RollbackStep::Apply { wave: Wave::Configuration })),
        ("rollback-verify", back(RollbackStep::Verify { healthy_for: healthy })),
        ("rollback-prune", back(RollbackStep::Prune)),
        (
            "rolled-back-incomplete",
            rolling_back().done().done().done().keeps(&["a", "b"]).until(Phase::RolledBack),
        ),
        ("rolled-back", Scene::rolled_back()),
        (
            "failed",
            Scene::available("1.4.0")
                .policy(hold)
                .assign("1.5.0")
                .until(Phase::Verifying)
                .failing(),
        ),
        ("removing", Scene::available("1.4.0").delete(Deletion::Uninstall).leaves("ConfigMap a/b")),
        ("crashing", Scene::upgrading(Phase::Applying).restart().restart()),
    ]
}

fn rolling_back() -> Scene {
    Scene::upgrading(Phase::Verifying).failing().is(Phase::RollingBack)
}

fn unsafe_upgrade() -> Scene {
    let scene = Scene::available("1.4.0").finds_risks(&["data"], &["web:1"]).assign("1.5.0");
    scene.until(Phase::Checking).done().is(Phase::Waiting)
}

fn tolerated() -> Verdict {
    Verdict::Tolerated(vec![words::tolerated("DaemonSet a/b", "1 of 2 pods; no worse than before")])
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/ledgers")
}

fn saved() -> Vec<(String, ManagedAddOnStatus)> {
    let files = fs::read_dir(folder()).expect("the folder of ledgers");
    let mut all: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("a text");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).expect("a status"))
        })
        .collect();
    all.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_place_of_a_rollout_has_a_saved_ledger() {
    for (name, scene) in places() {
        let path = folder().join(format!("{name}.json"));
        if std::env::var_os("UPDATE_STORIES").is_some() && !path.exists() {
            let status = serde_json::to_string_pretty(&scene.saved).expect("JSON");
            fs::write(&path, status + "\n").expect("the folder can be written");
        }
        assert!(path.exists(), "{name} is missing: run with UPDATE_STORIES=1");
    }
    let of =
        |status: &ManagedAddOnStatus| Rollout::load(status).ok().flatten().map(|it| it.phase());
    let phases: Vec<_> = saved().iter().filter_map(|(_, status)| of(status)).collect();
    let missed: Vec<_> = Phase::ALL.iter().filter(|phase| !phases.contains(phase)).collect();
    assert!(missed.is_empty(), "no ledger was saved in {missed:?}");
}

#[test]
fn every_saved_ledger_is_read_without_loss() {
    for (name, status) in saved() {
        let rollout = load(&name, &status);
        let again = serde_json::to_value(&rollout).expect("a ledger");
        assert_holds(&name, &again, status.rollout.as_ref().expect("a ledger"));
    }
}

/// A newer agent may have added fields to the same format.
#[test]
fn unknown_fields_are_ignored() {
    for (name, status) in saved() {
        let mut newer = status.clone();
        newer.rollout.as_mut().into_iter().for_each(add_unknown);
        assert_eq!(load(&name, &newer), load(&name, &status), "{name}");
    }
}

#[test]
fn a_ledger_of_another_format_is_refused_in_every_place() {
    for (name, status) in saved() {
        for form in [Value::from(2), Value::from(0), Value::from("1"), Value::Null] {
            let mut newer = status.clone();
            newer.rollout.as_mut().expect("a ledger")["format"] = form;
            let refused = Rollout::load(&newer).expect_err("it is of another form");
            assert_eq!(refused.reason, Reason::UnknownLedger, "{name}");
        }
    }
}

/// From each of them a rollout continues to its end, and does not start again.
#[test]
fn every_saved_ledger_continues_to_its_end() {
    for (name, status) in saved() {
        let rollout = load(&name, &status);
        let mut scene = places().into_iter().find(|place| place.0 == name).expect("a place").1;
        scene.rollout = rollout.clone();
        scene.seen.is_paused = false;
        let scene = scene.restart().settled();
        let begun = scene.rollout.sequence - rollout.sequence;
        // A waiting rollout starts, and a rollback follows a failure.
        assert!(begun <= 1, "{name}: {begun} operations");
        assert!(scene.gone || scene.rollout.phase().is_settled(), "{name}");
    }
}

fn load(name: &str, status: &ManagedAddOnStatus) -> Rollout {
    let loaded = Rollout::load(status).unwrap_or_else(|fault| panic!("{name}: {}", fault.message));
    loaded.unwrap_or_else(|| panic!("{name} has no ledger"))
}

/// Asserts that all of `old` is in `new`.
fn assert_holds(name: &str, new: &Value, old: &Value) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (key, value) in old {
                let kept = new.get(key).unwrap_or_else(|| panic!("{name}: {key} is lost"));
                assert_holds(name, kept, value);
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            assert_eq!(new.len(), old.len(), "{name}");
            new.iter().zip(old).for_each(|(new, old)| assert_holds(name, new, old));
        }
        _ => assert_eq!(new, old, "{name}"),
    }
}

fn add_unknown(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(add_unknown);
            fields.insert("fieldOfALaterAgent".to_owned(), Value::from("anything"));
        }
        Value::Array(all) => all.iter_mut().for_each(add_unknown),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl Scene {
    /// Everything succeeds until this step of the rollback.
    fn until_rollback_step(mut self, step: RollbackStep) -> Self {
        while !matches!(&self.rollout.state, State::RollingBack(rollback) if rollback.step == step)
        {
            assert_eq!(self.rollout.phase(), Phase::RollingBack);
            self = self.goes_well();
        }
        self
    }
}
