//! The answers that a client gets through a proxy, before, at and after the fault of its script.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::bail;
use reqwest::StatusCode;

use super::*;
use crate::file_server::{Behavior, FileServer};
use crate::wait::until;

const CONTENT: &[u8] = b"sixteen bytes...";

struct Scene {
    files: FileServer,
    proxy: FaultProxy,
    script: Arc<Script>,
    kills: Arc<AtomicUsize>,
}

/// Returns a proxy with a fault at the second request.
async fn scene(fault: Fault) -> Result<Scene> {
    let files = FileServer::start().await?;
    files.serve("/file", CONTENT, Behavior::Normal);
    let script = Arc::new(Script::default());
    let kills = Arc::new(AtomicUsize::new(0));
    let count = kills.clone();
    let kill = Arc::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    script.begin(&[Planned { at: 1, fault }], Arc::new(|_| true), kill);
    let upstream = Upstream::files(&files.url(""))?;
    let proxy = FaultProxy::start("files", upstream, script.clone()).await?;
    Ok(Scene { files, proxy, script, kills })
}

impl Scene {
    async fn send(&self) -> Result<(StatusCode, Vec<u8>)> {
        let answer = reqwest::get(format!("{}/file", self.proxy.url())).await?;
        Ok((answer.status(), answer.bytes().await?.to_vec()))
    }

    /// Returns how many requests the real server has got.
    fn received(&self) -> usize {
        self.files.ranges("/file").len()
    }
}

/// Sends three requests. `second` is the status of the second answer, `received` the number of requests that the real server
/// has got by then.
async fn check(fault: &str, second: Option<u16>, received: usize) -> Result<Scene> {
    let scene = scene(fault.parse()?).await?;
    assert_eq!(scene.send().await?, (StatusCode::OK, CONTENT.to_vec()), "before {fault}");
    let answer = scene.send().await.ok();
    assert_eq!(answer.map(|(status, _)| status.as_u16()), second, "{fault}");
    assert_eq!(scene.received(), received, "{fault}");
    assert_eq!(scene.send().await?, (StatusCode::OK, CONTENT.to_vec()), "after {fault}");
    let records = scene.script.records();
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(scene.script.fired().map(|fired| fired.hit), records.get(1).cloned());
    assert!(scene.script.is_finished());
    Ok(scene)
}

#[tokio::test]
async fn a_refusal_never_reaches_the_server() -> Result<()> {
    for (name, code) in [("500", 500), ("503", 503), ("429", 429), ("409", 409), ("404", 404)] {
        check(name, Some(code), 1).await?;
    }
    check("garbage", Some(200), 1).await.map(drop)
}

#[tokio::test]
async fn a_broken_connection_may_have_reached_it() -> Result<()> {
    check("reset", None, 1).await?;
    check("lost-answer", None, 2).await?;
    check("cut-body", None, 2).await.map(drop)
}

#[tokio::test]
async fn a_slow_answer_arrives_whole() -> Result<()> {
    check("delay", Some(200), 2).await?;
    check("slow-body", Some(200), 2).await.map(drop)
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_healed() -> Result<()> {
    for (name, status) in [("down", None), ("storm-503", Some(503)), ("storm-429", Some(429))] {
        let scene = scene(name.parse()?).await?;
        scene.send().await?;
        for _ in 0..3 {
            let answer = scene.send().await.ok();
            assert_eq!(answer.map(|(status, _)| status.as_u16()), status, "{name}");
        }
        assert!(scene.script.fired().is_some_and(|fired| fired.over.is_none()));
        scene.script.heal();
        assert_eq!(scene.send().await?.0, StatusCode::OK, "after {name}");
        assert!(scene.script.fired().is_some_and(|fired| fired.over.is_some()));
        assert_eq!((scene.script.failed_requests(), scene.received()), (3, 2), "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_server_answers_nothing_and_closes_connections_when_it_is_healed() -> Result<()> {
    let scene = scene("silent".parse()?).await?;
    scene.send().await?;
    abandon(&scene).await?;
    scene.script.heal();
    assert_eq!(scene.send().await?.0, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_request_that_does_not_count_is_not_numbered() -> Result<()> {
    let scene = scene("503".parse()?).await?;
    scene.script.begin(&[], Arc::new(|record| record.path != "/file"), Arc::new(|_| {}));
    scene.send().await?;
    assert_eq!(scene.script.records(), []);
    assert!(scene.script.last_request().is_some());
    Ok(())
}

#[tokio::test]
async fn a_kill_happens_once_at_its_moment() -> Result<()> {
    for (name, status, received) in [
        ("kill-before", None, 1),
        ("kill-unanswered", None, 2),
        ("kill-after", Some(200), 2),
        ("term", Some(200), 2),
    ] {
        let scene = check(name, status, received).await?;
        until("the kill", Duration::from_secs(5), || async {
            Ok((scene.kills.load(Ordering::Relaxed) == 1).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_kill_happens_although_the_client_is_gone() -> Result<()> {
    for name in ["kill-unanswered", "kill-after"] {
        let scene = scene(name.parse()?).await?;
        scene.send().await?;
        scene.files.serve("/file", CONTENT, Behavior::BytePerSecond);
        abandon(&scene).await?;
        until("the kill", Duration::from_secs(5), || async {
            Ok((scene.kills.load(Ordering::Relaxed) == 1).then_some(()))
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hanging_request_lasts_until_the_client_gives_up() -> Result<()> {
    let scene = scene("hang".parse()?).await?;
    scene.send().await?;
    abandon(&scene).await?;
    until("the fault to be over", Duration::from_secs(5), || async {
        Ok(scene.script.fired().and_then(|fired| fired.over).map(|_| ()))
    })
    .await?;
    assert_eq!(scene.received(), 1);
    Ok(())
}

/// Sends a request and abandons it once the fault has fired. The request has then arrived, however slow the machine is.
async fn abandon(scene: &Scene) -> Result<()> {
    let fired = until("the fault to fire", Duration::from_secs(5), || async {
        Ok(scene.script.fired().map(|_| ()))
    });
    tokio::select! {
        answer = scene.send() => bail!("the request is answered: {answer:?}"),
        fired = fired => fired,
    }
}
