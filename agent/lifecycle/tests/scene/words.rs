//! Releases, objects and actions as words.

use lifecycle::health::ToleratedFailure;
use lifecycle::{
    Action, Assignment, Blocker, Direction, Fault, KeptObject, Leftover, ObjectKey, PeerState,
    Policy, Pull, Reason, Release, ReleaseId, Requirement, RetainedState, Rollout, ServiceAccount,
    Shape, Unknown, digest,
};

/// A release from a text: `1.5.0`; `1.5.0 rebuilt` has another digest, `1.5.0 moved` the same digest in another namespace.
pub fn release(text: &str) -> Release {
    let (version, kind) = text.split_once(' ').unwrap_or((text, ""));
    let content = if kind == "rebuilt" { text } else { version };
    Release {
        id: ReleaseId(lifecycle::hex(text.as_bytes())),
        version: semver::Version::parse(version).expect("a version"),
        digest: digest(content.as_bytes()),
    }
}

pub fn assignment(text: &str) -> Assignment {
    let release = release(text);
    Assignment {
        shape: Shape {
            digest: release.digest.clone(),
            namespace: "observability".to_owned(),
            service_account: ServiceAccount { namespace: "agent".to_owned(), name: "i".to_owned() },
            health: Vec::new(),
            values: Default::default(),
        },
        pull: Pull::Http {
            url: "https://example.com/bundle".to_owned(),
            digest: release.digest.clone(),
        },
        release,
        upgrade_from: None,
        kubernetes: None,
        requires: Vec::new(),
        policy: Policy::default(),
    }
}

/// `base >=2`.
pub fn requirement(text: &str) -> Requirement {
    let (add_on, versions) = text.split_once(' ').expect("an add-on and a range");
    Requirement {
        add_on: add_on.to_owned(),
        versions: lifecycle::spec::version_range::parse(versions).expect("a range"),
    }
}

/// Another add-on that runs this version, if any.
pub fn peer_running(version: &str) -> PeerState {
    PeerState { current: semver::Version::parse(version).ok(), ..PeerState::default() }
}

/// `ConfigMap a/b` or `Namespace a`.
pub fn key(text: &str) -> ObjectKey {
    let (kind, name) = text.split_once(' ').expect("a kind and a name");
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, name),
    };
    ObjectKey { group: String::new(), kind: kind.to_owned(), namespace, name: name.to_owned() }
}

/// A CustomResourceDefinition.
pub fn definition(name: &str) -> ObjectKey {
    ObjectKey {
        group: "apiextensions.k8s.io".to_owned(),
        ..key(&format!("CustomResourceDefinition {name}"))
    }
}

/// An object that was deleted and still exists.
pub fn leftover(object: &str) -> Leftover {
    Leftover::Object { object: key(object), finalizers: Vec::new() }
}

/// A definition that a rollback leaves as it is.
pub fn kept(name: &str) -> KeptObject {
    let object = definition(name);
    let cause =
        Fault::new(Reason::DefinitionNarrowed, format!("{object}: 3 objects would lose spec.a"));
    KeptObject { object, cause }
}

/// An object that a rollback cannot write: `ConfigMap a/b` or `Deployment a/b`.
pub fn refused(text: &str, transient: bool) -> KeptObject {
    let key = key(text);
    let group = if key.kind == "Deployment" { "apps" } else { "" };
    let object = ObjectKey { group: group.to_owned(), ..key };
    let cause = Fault::new(Reason::ObjectRefused, format!("{object}: denied"));
    KeptObject { object, cause: Fault { transient, ..cause } }
}

/// A preexisting failure that is tolerated.
pub fn tolerated(object: &str, message: &str) -> ToleratedFailure {
    ToleratedFailure { object: key(object), message: message.to_owned() }
}

/// A blocker of the rollback: a resized PersistentVolumeClaim.
pub fn blocker(claim: &str) -> Blocker {
    Blocker::ClaimResized { object: key(&format!("PersistentVolumeClaim {claim}")) }
}

/// An unknown of the rollback: an image that may have to be pulled.
pub fn unknown(image: &str) -> Unknown {
    Unknown::Images { image: image.to_owned(), others: 0 }
}

/// An action in words: `check 1.5.0 from 1.4.0`.
pub fn describe_action(action: &Action) -> String {
    match action {
        Action::AddFinalizer
        | Action::Pull
        | Action::Stage
        | Action::RemoveFinalizer
        | Action::Recreate => action_name(action).to_owned(),
        Action::Check { release, from: None } => format!("check {}", release.version),
        Action::Check { release, from: Some(from) } => {
            format!("check {} from {}", release.version, from.version)
        }
        Action::RunHooks { release, hook, .. } => {
            format!("hook {}: {}", release.version, hook.name())
        }
        Action::Apply { release, wave, direction } => {
            let verb = match direction {
                Direction::Forward { .. } => "apply",
                Direction::Rollback => "restore",
            };
            format!("{verb} {}: {wave:?}", release.version)
        }
        Action::SaveEvidence { failure } => format!("save evidence of {}", failure.release.version),
        Action::Prune { keep, releases, only_extensions, .. } => {
            let what = if *only_extensions { "prune extensions of" } else { "prune" };
            let kept = keep.as_ref().map_or("nothing".to_owned(), |kept| kept.version.to_string());
            format!("{what} {}, keep {kept}", versions(releases))
        }
        Action::Retain { states } => {
            let kept: Vec<_> = states.iter().map(|(id, state)| retained(id, *state)).collect();
            format!(
                "retain {}",
                if kept.is_empty() { "nothing".to_owned() } else { kept.join(", ") }
            )
        }
        Action::Remove { releases, .. } => format!("remove {}", versions(releases)),
    }
}

/// The kind of an action.
pub fn action_name(action: &Action) -> &'static str {
    match action {
        Action::AddFinalizer => "add finalizer",
        Action::Pull => "pull",
        Action::Stage => "stage",
        Action::Check { .. } => "check",
        Action::RunHooks { .. } => "run hooks",
        Action::Apply { .. } => "apply",
        Action::SaveEvidence { .. } => "save evidence",
        Action::Prune { .. } => "prune",
        Action::Retain { .. } => "retain",
        Action::Remove { .. } => "remove",
        Action::RemoveFinalizer => "remove finalizer",
        Action::Recreate => "recreate",
    }
}

/// Entries of the history, newest first: `<sequence> <operation> <version> <result> <reason>`.
pub fn describe_history(rollout: &Rollout) -> Vec<String> {
    let line = |entry: &lifecycle::HistoryEntry| {
        let version = entry.version.as_deref().unwrap_or("-");
        let (operation, result) = (entry.operation.name(), entry.result.name());
        format!("{} {operation} {version} {result} {}", entry.sequence, entry.reason)
    };
    rollout.history.iter().map(line).collect()
}

fn retained(id: &ReleaseId, state: RetainedState) -> String {
    let digits = id.0.as_bytes().chunks(2);
    let bytes = digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap_or(""), 16));
    let name: String = bytes.map(|byte| char::from(byte.unwrap_or(b'?'))).collect();
    format!("{name} as {}", state.name())
}

fn versions(releases: &[Release]) -> String {
    match releases {
        [] => "nothing".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|release| release.version.to_string()).collect();
            names.join(" and ")
        }
    }
}
