//! One random turn of a story: how the action ended, what was observed, and what changed.

use std::time::Duration;

use jiff::SignedDuration;
use lifecycle::health::HookStatus;
use lifecycle::health::Verdict;
use lifecycle::plan::waves::Wave;
use lifecycle::{
    Action, CheckReport, Deletion, Direction, Fault, KeptObject, OnFailure, OnUnsafe, Outcome,
    PeerState, Phase, Reason, RollbackSafety, Rollout,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::scene::Scene;
use crate::scene::words::{blocker, leftover, peer_running, refused, requirement, tolerated};

#[derive(Clone, Debug)]
pub struct Turn {
    ending: Ending,
    verdict: Option<Verdict>,
    elapsed: Duration,
    /// By how much the wall clock moves; it may jump, also backwards.
    clock: SignedDuration,
    jitter: f64,
    change: Option<Change>,
}

#[derive(Clone, Debug)]
enum Ending {
    Well,
    /// The outcome is lost.
    Lost,
    Fault(Fault),
    /// The status of the hooks, if they were to run.
    Hooks(HookStatus),
    Missing,
    Left,
    /// The rollback cannot write this object.
    Refused(KeptObject),
    /// An outcome of another action.
    Unexpected(Outcome),
}

#[derive(Clone, Copy, Debug)]
enum Peers {
    None,
    BaseRuns,
    BaseChanges,
    /// The add-on `till` does not work with all versions.
    TillRequires,
}

#[derive(Clone, Debug)]
enum Change {
    Restart,
    Assign(&'static str),
    Unreadable(Reason),
    OnFailure(OnFailure),
    OnUnsafe(OnUnsafe),
    /// From here on checks find that this claim is resized.
    Blocker(Option<&'static str>),
    Pause(bool),
    /// Assignments have these maintenance windows.
    Windows(&'static [[&'static str; 3]]),
    AnyTime(bool),
    /// Whether assignments require `base` from here on, and which other add-ons there are.
    Peers(bool, Peers),
    Slot(bool),
    Retry(&'static str),
    Kubernetes(&'static str),
    /// Whether releases have `pre-upgrade` hooks from here on.
    Hooks(bool),
    /// A retained release is lost.
    Lose(usize),
    Delete(Deletion),
}

pub fn turn() -> impl Strategy<Value = Turn> {
    let seconds =
        prop_oneof![4 => Just(0), 8 => Just(1), 4 => Just(5), 2 => Just(40), 1 => Just(400)];
    let elapsed = prop_oneof![
        30 => seconds.prop_map(Duration::from_secs),
        3 => (0u64..3000).prop_map(Duration::from_millis),
        1 => Just(Duration::from_secs(10 * 365 * 24 * 3600)),
    ];
    let clock = (-20i64..100).prop_map(SignedDuration::from_secs);
    let jitter = select(vec![0.0, 0.25, 0.5, 1.0]);
    let change = option::weighted(0.15, change());
    (ending(), verdict(), elapsed, clock, jitter, change).prop_map(
        |(ending, verdict, elapsed, clock, jitter, change)| Turn {
            ending,
            verdict,
            elapsed,
            clock,
            jitter,
            change,
        },
    )
}

fn ending() -> impl Strategy<Value = Ending> {
    let transient = reason().prop_map(|reason| Ending::Fault(Fault::transient(reason, "not now")));
    let lasting = reason().prop_map(|reason| Ending::Fault(Fault::new(reason, "no")));
    prop_oneof![
        60 => Just(Ending::Well),
        2 => Just(Ending::Lost),
        3 => transient,
        2 => lasting,
        1 => Just(Ending::Hooks(HookStatus::Failed("a job".to_owned()))),
        1 => Just(Ending::Hooks(HookStatus::Running("a job".to_owned()))),
        1 => Just(Ending::Missing),
        1 => Just(Ending::Left),
        3 => refusal().prop_map(Ending::Refused),
        2 => unexpected().prop_map(Ending::Unexpected),
    ]
}

fn refusal() -> impl Strategy<Value = KeptObject> {
    let object = select(vec!["ConfigMap a/b", "Deployment a/d"]);
    (object, any::<bool>()).prop_map(|(object, transient)| refused(object, transient))
}

fn verdict() -> impl Strategy<Value = Option<Verdict>> {
    prop_oneof![
        12 => Just(Some(Verdict::Healthy)),
        1 => Just(Some(Verdict::Tolerated(vec![tolerated("Pod a", "no pod")]))),
        2 => Just(Some(Verdict::InProgress("a pod".to_owned()))),
        2 => Just(Some(Verdict::Failed("crash loop".to_owned()))),
        1 => select(Wave::ALL)
            .prop_map(|wave| Some(Verdict::Missing { wave, message: "a thing".to_owned() })),
        1 => Just(None),
        1 => any::<bool>().prop_map(|started| {
            Some(Verdict::AwaitingHooks { awaited: "a job".to_owned(), started })
        }),
    ]
}

fn reason() -> impl Strategy<Value = Reason> {
    select(Reason::ALL)
}

fn unexpected() -> impl Strategy<Value = Outcome> {
    let waves = select(Wave::ALL).prop_map(|wave| Outcome::Applied {
        wave,
        kept: Vec::new(),
        refused: Vec::new(),
    });
    let leftovers = || select(vec![Vec::new(), vec![leftover("a thing")]]);
    prop_oneof![
        select(vec![
            Outcome::FinalizerAdded,
            Outcome::Pulled,
            Outcome::Staged,
            Outcome::Checked(CheckReport::default()),
            Outcome::HooksRan(HookStatus::Running("a job".to_owned())),
            Outcome::EvidenceSaved("stray".to_owned()),
            Outcome::Retained,
            Outcome::FinalizerRemoved,
        ]),
        waves,
        leftovers().prop_map(|leftovers| Outcome::Pruned { leftovers }),
        leftovers().prop_map(|leftovers| Outcome::Removed { leftovers }),
    ]
}

/// Always open, for one minute of three, and at a time that most stories do not reach.
const WINDOWS: [&[[&str; 3]]; 3] =
    [&[], &[["*/3 * * * *", "1m", "UTC"]], &[["0 11 * * *", "1h", "UTC"]]];

fn change() -> impl Strategy<Value = Change> {
    let releases = vec!["1.0.0", "1.1.0", "1.2.0", "1.1.0 moved", "1.1.0 rebuilt", "2.0.0-rc.1"];
    prop_oneof![
        8 => Just(Change::Restart),
        12 => select(releases).prop_map(Change::Assign),
        2 => select(vec![Reason::InvalidAssignment, Reason::UnknownTemplate])
            .prop_map(Change::Unreadable),
        2 => select(vec![OnFailure::Hold, OnFailure::Rollback, OnFailure::Rollback])
            .prop_map(Change::OnFailure),
        1 => select(vec![OnUnsafe::Hold, OnUnsafe::Proceed]).prop_map(Change::OnUnsafe),
        1 => select(vec![None, Some("one"), Some("two")]).prop_map(Change::Blocker),
        3 => any::<bool>().prop_map(Change::Pause),
        2 => select(WINDOWS.to_vec()).prop_map(Change::Windows),
        1 => any::<bool>().prop_map(Change::AnyTime),
        2 => (any::<bool>(), peers()).prop_map(|(requires, peers)| Change::Peers(requires, peers)),
        2 => any::<bool>().prop_map(Change::Slot),
        2 => select(vec!["a", "b"]).prop_map(Change::Retry),
        1 => select(vec!["1.27.0", "1.31.4"]).prop_map(Change::Kubernetes),
        2 => any::<bool>().prop_map(Change::Hooks),
        1 => (0usize..3).prop_map(Change::Lose),
        1 => select(vec![Deletion::Uninstall, Deletion::Orphan]).prop_map(Change::Delete),
    ]
}

fn peers() -> impl Strategy<Value = Peers> {
    use Peers::*;
    select(vec![None, BaseRuns, BaseChanges, TillRequires])
}

impl Peers {
    fn all(self) -> Vec<(&'static str, PeerState)> {
        match self {
            Peers::None => Vec::new(),
            Peers::BaseRuns => vec![("base", peer_running("2.0.0"))],
            Peers::BaseChanges => {
                vec![("base", PeerState { is_changing: true, ..peer_running("2.0.0") })]
            }
            Peers::TillRequires => {
                let active_requirements = vec![requirement("shop >=1, <1.2")];
                vec![("till", PeerState { active_requirements, ..peer_running("1.0.0") })]
            }
        }
    }
}

impl Turn {
    pub fn play(&self, mut scene: Scene) -> Scene {
        scene.seen.outcome = self.ending.outcome(&mut scene);
        scene.seen.verdict = self.verdict.clone();
        scene.seen.elapsed = self.elapsed;
        scene.seen.jitter = self.jitter;
        scene.now = scene.now.saturating_add(self.clock).expect("a time");
        match &self.change {
            None => scene.observe(),
            Some(change) => change.make(scene),
        }
    }
}

impl Change {
    fn make(&self, mut scene: Scene) -> Scene {
        match self {
            Change::Restart => {
                (scene.seen.outcome, scene.seen.elapsed) = (None, Duration::ZERO);
                scene.restart()
            }
            Change::Assign(release) => scene.assign(release),
            Change::Unreadable(reason) => scene.unassignable(*reason),
            Change::OnFailure(on_failure) => scene.policy(|policy| policy.on_failure = *on_failure),
            Change::OnUnsafe(on_unsafe) => scene.policy(|policy| policy.on_unsafe = *on_unsafe),
            Change::Blocker(why) => {
                let blockers = why.iter().map(|claim| blocker(claim)).collect();
                let safety = RollbackSafety { blockers, unknowns: Vec::new() };
                scene.check_report.rollback_safety = Some(safety);
                scene.observe()
            }
            Change::Pause(paused) => scene.with(|seen| seen.is_paused = *paused),
            Change::Windows(windows) => scene.windows(windows),
            Change::AnyTime(any) => scene.with(|seen| seen.ignores_windows = *any),
            Change::Peers(requires, peers) => {
                let requirements: &[&str] = if *requires { &["base >=2"] } else { &[] };
                scene.requires(requirements).with_peers(&peers.all())
            }
            Change::Slot(free) => scene.slot(*free),
            Change::Retry(value) => scene.retry(value),
            Change::Kubernetes(version) => scene.needs_kubernetes(">=1.28").kubernetes(version),
            Change::Hooks(hooks) => {
                scene.check_report.has_pre_upgrade_hooks = *hooks;
                scene.observe()
            }
            Change::Lose(n) => scene.with(|seen| {
                let n = n % seen.retained.len().max(1);
                seen.retained.drain(n..seen.retained.len().min(n + 1));
            }),
            Change::Delete(deletion) => scene.delete(*deletion),
        }
    }
}

impl Ending {
    fn outcome(&self, scene: &mut Scene) -> Option<Outcome> {
        let leftovers = vec![leftover("a thing")];
        match (self, scene.action.as_ref()) {
            (Ending::Well, _) => scene.succeed(),
            (Ending::Fault(fault), Some(_)) => Some(Outcome::Failed(fault.clone())),
            (Ending::Hooks(ran), Some(Action::RunHooks { .. })) => {
                Some(Outcome::HooksRan(ran.clone()))
            }
            (
                Ending::Refused(refused),
                Some(Action::Apply { wave, direction: Direction::Rollback, .. }),
            ) if refused.object.wave() == *wave => {
                let (wave, refused) = (*wave, vec![refused.clone()]);
                Some(Outcome::Applied { wave, kept: Vec::new(), refused })
            }
            (Ending::Hooks(_) | Ending::Refused(_), _) => scene.succeed(),
            (Ending::Missing, Some(_)) => Some(Outcome::Missing),
            (Ending::Left, Some(Action::Prune { .. })) => Some(Outcome::Pruned { leftovers }),
            (Ending::Left, Some(Action::Remove { .. })) => Some(Outcome::Removed { leftovers }),
            (Ending::Unexpected(outcome), action) => Some(outcome.clone())
                .filter(|outcome| is_unexpected(&scene.rollout, action, outcome)),
            (Ending::Lost | Ending::Fault(_) | Ending::Missing | Ending::Left, _) => None,
        }
    }
}

/// Returns whether nothing waits for this outcome.
fn is_unexpected(rollout: &Rollout, action: Option<&Action>, outcome: &Outcome) -> bool {
    if let Some(Action::SaveEvidence { .. }) = action {
        return false;
    }
    let is_watched = rollout.state.traits().verified.is_some();
    if matches!(outcome, Outcome::Pruned { .. }) && !rollout.unpruned.is_empty() {
        return false;
    }
    if is_watched && matches!(outcome, Outcome::Applied { .. }) {
        return false;
    }
    if let (Some(Action::Apply { wave, .. }), Outcome::Applied { wave: applied, .. }) =
        (action, outcome)
    {
        return wave != applied;
    }
    !matches!(
        (rollout.phase(), outcome),
        (Phase::Pulling | Phase::Rejected, Outcome::Pulled)
            | (Phase::Staging | Phase::Rejected, Outcome::Staged)
            | (Phase::Checking | Phase::Rejected, Outcome::Checked(_))
            | (Phase::Checking, Outcome::HooksRan(_))
            | (Phase::Applying | Phase::RollingBack, Outcome::Applied { .. })
            | (Phase::Pruning | Phase::RollingBack, Outcome::Pruned { .. })
            | (Phase::Removing, Outcome::Removed { .. })
    )
}
