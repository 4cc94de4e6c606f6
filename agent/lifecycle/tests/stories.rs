//! Golden stories: `stories/*.txt` have what happens and, after `>`, what the agent answers. With `UPDATE_STORIES=1` the
//! answers are rewritten, to be reviewed as text.
//!
//! An answer is `> phase | action | message`. Equal answers in a row are written once.

mod scene;

use std::path::Path;
use std::time::Duration;

use lifecycle::health::Verdict;
use lifecycle::{Deletion, Fault, Outcome, Reason};
use scene::Scene;

#[test]
fn every_story_has_the_answers_that_are_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let files = std::fs::read_dir(&folder).expect("the stories");
    let mut paths: Vec<_> = files.map(|file| file.expect("a story").path()).collect();
    paths.sort();
    assert!(paths.len() >= 7, "stories are missing");
    for path in paths {
        let written = std::fs::read_to_string(&path).expect("a story");
        let played = play(&written);
        if std::env::var_os("UPDATE_STORIES").is_some() {
            std::fs::write(&path, played).expect("a story to write");
        } else {
            assert_eq!(played, written, "{}: UPDATE_STORIES=1 rewrites it", path.display());
        }
    }
}

/// Returns the story with the present answers.
fn play(written: &str) -> String {
    let mut scene = Scene::new();
    scene.seen.jitter = 0.5;
    scene.seen.has_finalizer = false;
    let mut story = String::new();
    for line in written.lines().filter(|line| !line.starts_with('>')) {
        story += &format!("{line}\n");
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        scene = happens(scene, line);
        let mut answers = std::mem::take(&mut scene.transcript);
        answers.dedup();
        answers.iter().for_each(|answer| story += &format!("> {answer}\n"));
    }
    story
}

/// One line of a story.
fn happens(scene: Scene, line: &str) -> Scene {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "available" => scene.assign(rest).settled().without_transcript(),
        "assign" => scene.assign(rest),
        "needs-kubernetes" => scene.needs_kubernetes(rest),
        "kubernetes" => scene.kubernetes(rest),
        "unreadable" => scene.unreadable(),
        "pause" => scene.pause(),
        "resume" => scene.resume(),
        "retry" => scene.retry(rest),
        "delete" => scene.delete(Deletion::Uninstall),
        "restart" => scene.restart(),
        "done" => scene.done(),
        "done-until" => done_until(scene, rest),
        "leaves" => scene.leaves(rest),
        "never-removes" => scene.never_removes(rest),
        "fails" => scene.ends(fault(rest, Fault::new)),
        "transient" => scene.ends(fault(rest, Fault::transient)),
        "healthy" => scene.assessed_as(Verdict::Healthy, seconds(rest)),
        "unready" => assessed_as(scene, Verdict::InProgress, rest),
        "failing" => assessed_as(scene, Verdict::Failed, rest),
        "wait" => scene.wait(lifecycle::spec::duration::parse(rest).expect("a duration")),
        _ => panic!("unknown event: {line}"),
    }
}

/// `done-until Verifying`
fn done_until(mut scene: Scene, phase: &str) -> Scene {
    while scene.rollout.phase().name() != phase {
        assert!(scene.action.is_some(), "{phase} is not reached by doing");
        scene = scene.done();
    }
    scene
}

/// `Forbidden may not create Deployments`
fn fault(words: &str, make: impl Fn(Reason, String) -> Fault) -> Option<Outcome> {
    let (name, message) = words.split_once(' ').expect("a reason and a message");
    let reason = Reason::ALL.iter().find(|reason| reason.name() == name).expect("a reason");
    Some(Outcome::Failed(make(*reason, message.to_owned())))
}

/// `10s Deployment a/b: crash loop`
fn assessed_as(scene: Scene, verdict: impl Fn(String) -> Verdict, words: &str) -> Scene {
    let (time, what) = words.split_once(' ').expect("a duration and words");
    scene.assessed_as(verdict(what.to_owned()), seconds(time))
}

fn seconds(text: &str) -> u64 {
    lifecycle::spec::duration::parse(text)
        .expect("a duration")
        .max(Duration::from_secs(1))
        .as_secs()
}
