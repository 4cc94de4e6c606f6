//! Handles one request: records it, and passes it on unless the script has a fault for it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::time::sleep;

use super::script::{Due, Record, Script};
use super::{Break, Fault, Moment, Outage, Refusal, Upstream, answers, watched};

/// A client without a time-out of its own is disconnected after this.
const LONGEST_HANG: Duration = Duration::from_secs(40);

/// The client's kernel has the answer at once. This is the time for the client to read it.
const READ: Duration = Duration::from_millis(3);

pub type Body = BoxBody<Bytes, anyhow::Error>;

/// The delay of a slow link.
const LAG: Duration = Duration::from_millis(600);

/// The delay of each part of a slow body.
const PART: Duration = Duration::from_millis(250);
const PARTS: usize = 8;

/// Handles the requests of one proxy.
pub struct Handler {
    pub name: &'static str,
    pub upstream: Upstream,
    pub script: Arc<Script>,
}

impl Handler {
    /// Returns the answer for the client. An error closes the connection.
    pub async fn handle(&self, request: Request<Incoming>) -> Result<Response<Body>> {
        let (verb, path) = (request.method().to_string(), request.uri().path().to_owned());
        let watch = request.uri().query().is_some_and(is_watch);
        let (record, due) = self.script.request(self.name, &verb, &path, watch);
        match due {
            None => self.pass(request, record).await,
            Some(due) => self.fail(request, record, due).await,
        }
    }

    async fn pass(&self, request: Request<Incoming>, record: Record) -> Result<Response<Body>> {
        let answer = self.send(request, &record).await?;
        if record.watch && answer.status().is_success() {
            let script = self.script.clone();
            return Ok(answer.map(|body| watched::body(body, record, script)));
        }
        Ok(answer.map(|body| body.map_err(anyhow::Error::from).boxed()))
    }

    async fn fail(
        &self,
        request: Request<Incoming>,
        record: Record,
        due: Due,
    ) -> Result<Response<Body>> {
        if let Fault::Outage(outage) = due.fault {
            return self.handle_outage(request, record, outage).await;
        }
        // Most faults end with the answer.
        let _lasting = due.start(&self.script);
        match due.fault {
            Fault::Refuse(refusal) => {
                Ok(answers::refusal(refusal, &record.verb, &record.path).map(whole))
            }
            Fault::Kill(moment) => self.kill(request, record, due, moment).await,
            Fault::Break(Break::Reset) | Fault::Event(_) | Fault::Outage(_) => broken(),
            Fault::Break(Break::LostAnswer) => {
                self.complete(request, &record).await?;
                broken()
            }
            Fault::Break(Break::Hang) => {
                sleep(LONGEST_HANG).await;
                broken()
            }
            Fault::Break(Break::CutBody) => self.cut(request, record).await,
            Fault::Break(Break::Delay) => {
                sleep(LAG).await;
                self.pass(request, record).await
            }
            Fault::Break(Break::SlowBody) => self.send_slowly(request, record).await,
        }
    }

    /// Answers like a server that is down until the script is healed.
    async fn handle_outage(
        &self,
        request: Request<Incoming>,
        record: Record,
        outage: Outage,
    ) -> Result<Response<Body>> {
        let refused =
            |refusal| Ok(answers::refusal(refusal, &record.verb, &record.path).map(whole));
        match outage {
            Outage::Down => broken(),
            Outage::Silent => {
                self.script.until_healed().await;
                broken()
            }
            Outage::Unavailable => refused(Refusal::Unavailable),
            Outage::Busy => refused(Refusal::Busy),
            Outage::Slow => {
                sleep(LAG).await;
                self.pass(request, record).await
            }
        }
    }

    async fn send_slowly(
        &self,
        request: Request<Incoming>,
        record: Record,
    ) -> Result<Response<Body>> {
        if record.watch {
            return self.pass(request, record).await;
        }
        let (head, body) = self.send(request, &record).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let size = bytes.len().div_ceil(PARTS).max(1);
        let parts: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        let frames = futures::stream::iter(parts).then(|part| async {
            sleep(PART).await;
            Ok(Frame::data(part))
        });
        Ok(Response::from_parts(head, BodyExt::boxed(StreamBody::new(frames))))
    }

    async fn kill(
        &self,
        request: Request<Incoming>,
        record: Record,
        due: Due,
        moment: Moment,
    ) -> Result<Response<Body>> {
        match moment {
            Moment::Before => self.script.kill(due, moment),
            Moment::Asked => {
                self.script.kill(due, moment);
                return self.pass(request, record).await;
            }
            Moment::Unanswered => {
                let killing = Killing::at(due, moment, &self.script);
                let completed = self.complete(request, &record).await;
                killing.kill_now();
                completed?;
            }
            Moment::After => {
                let killing = Killing::at(due, moment, &self.script);
                let watch = record.watch;
                let answer = self.pass(request, record).await?;
                if watch {
                    drop(killing);
                    return Ok(answer);
                }
                return Ok(answer.map(|body| with_killing(body, killing)));
            }
        }
        broken()
    }

    /// Returns when the real server has completed the request. A watch has only begun then, because it never ends.
    async fn complete(&self, request: Request<Incoming>, record: &Record) -> Result<()> {
        let answer = self.send(request, record).await?;
        if !record.watch {
            answer.into_body().collect().await?;
        }
        Ok(())
    }

    async fn cut(&self, request: Request<Incoming>, record: Record) -> Result<Response<Body>> {
        let answer = self.send(request, &record).await?;
        if record.watch {
            let none = StreamBody::new(futures::stream::iter([Err(cut_off())]));
            return Ok(answer.map(|_| BodyExt::boxed(none)));
        }
        let (head, body) = answer.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let half = bytes.slice(..bytes.len() / 2);
        let frames = [Ok(Frame::data(half)), Err(cut_off())];
        // The pause lets the half leave before the connection ends.
        let frames = futures::stream::iter(frames).then(|frame| async {
            sleep(READ).await;
            frame
        });
        Ok(Response::from_parts(head, BodyExt::boxed(StreamBody::new(frames))))
    }

    async fn send(
        &self,
        request: Request<Incoming>,
        record: &Record,
    ) -> Result<Response<Incoming>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.script.inspect_body(record, &body);
        self.upstream.send(Request::from_parts(head, body)).await
    }
}

fn is_watch(query: &str) -> bool {
    query.split('&').any(|part| part == "watch=true" || part == "watch=1")
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

/// Returns the same body. `killing` is dropped with it, when all of it is written.
fn with_killing(body: Body, killing: Killing) -> Body {
    let frames = http_body_util::BodyStream::new(body);
    BodyExt::boxed(StreamBody::new(frames.map(move |frame| {
        _ = &killing;
        frame
    })))
}

/// Kills the client now, or a moment after it is dropped. It is also dropped when the client is gone, for example because it
/// was killed with more requests on their way. Then its successor is killed, because a fault that has begun must happen.
struct Killing {
    script: Arc<Script>,
    due: Due,
    moment: Moment,
    is_done: bool,
}

impl Killing {
    fn at(due: Due, moment: Moment, script: &Arc<Script>) -> Self {
        Self { script: script.clone(), due, moment, is_done: false }
    }

    fn kill_now(mut self) {
        self.is_done = true;
        self.script.kill(self.due, self.moment);
    }
}

impl Drop for Killing {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let (script, due, moment) = (self.script.clone(), self.due, self.moment);
        tokio::spawn(async move {
            sleep(READ).await;
            script.kill(due, moment);
        });
    }
}

fn broken<T>() -> Result<T> {
    Err(anyhow!("broken on purpose"))
}

fn cut_off() -> anyhow::Error {
    anyhow!("cut off on purpose")
}
