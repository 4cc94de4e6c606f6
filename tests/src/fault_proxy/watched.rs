//! A watch passed on event by event.

use std::sync::Arc;

use anyhow::anyhow;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};

use super::handle::Body;
use super::script::{Record, Script};
use super::{Fault, Outage, Twist, answers};

/// Bookmarks are not numbered: when they come is a matter of time.
const BOOKMARK: &[u8] = br#"{"type":"BOOKMARK""#;

pub fn body(body: Incoming, record: Record, script: Arc<Script>) -> Body {
    let watch = Watch { body, record, script, partial: BytesMut::new(), last: None, ended: false };
    let events = stream::unfold(watch, |mut watch| async {
        let next = watch.next().await?;
        Some((next.map(Frame::data), watch))
    });
    BodyExt::boxed(StreamBody::new(events))
}

struct Watch {
    body: Incoming,
    record: Record,
    script: Arc<Script>,
    /// What came of the next event so far.
    partial: BytesMut,
    last: Option<Bytes>,
    ended: bool,
}

impl Watch {
    /// What is passed on next: an event, two, or nothing for ever.
    async fn next(&mut self) -> Option<anyhow::Result<Bytes>> {
        if self.ended {
            return None;
        }
        loop {
            let event = match self.event().await? {
                Ok(event) => event,
                Err(error) => return Some(Err(error)),
            };
            if event.starts_with(BOOKMARK) {
                return Some(Ok(event));
            }
            let due = self.script.event(&self.record);
            let before = self.last.replace(event.clone());
            let Some(due) = due else { return Some(Ok(event)) };
            let Fault::Event(twist) = due.fault else { return Some(Ok(event)) };
            let lasting = due.lasting(&self.script);
            match twist {
                Twist::Drop => {}
                Twist::Duplicate => return Some(Ok(twice(&event, &event))),
                Twist::Stale => return Some(Ok(twice(&event, before.as_ref().unwrap_or(&event)))),
                Twist::Gone => {
                    self.ended = true;
                    return Some(Ok(answers::gone()));
                }
                Twist::Stall => {
                    // Dropped with the connection, when the client gives up.
                    std::future::pending::<()>().await;
                    drop(lasting);
                }
            }
        }
    }

    /// At once, or after a silence that lasts as long as the outage.
    async fn cut_off(&mut self, outage: Outage) -> anyhow::Error {
        self.ended = true;
        if outage == Outage::Silent {
            self.script.healed().await;
        }
        anyhow!("cut off on purpose")
    }

    /// One line of the real server's answer.
    async fn event(&mut self) -> Option<anyhow::Result<Bytes>> {
        loop {
            if let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                return Some(Ok(self.partial.split_to(end + 1).freeze()));
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame?,
                outage = self.script.cut_off(self.record.server) => {
                    return Some(Err(self.cut_off(outage).await));
                }
            };
            match frame {
                Ok(frame) => self.partial.extend(frame.data_ref().into_iter().flatten()),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}

fn twice(first: &Bytes, second: &Bytes) -> Bytes {
    [&first[..], &second[..]].concat().into()
}
