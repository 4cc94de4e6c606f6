//! Passes on a watch event by event.

use std::sync::Arc;

use anyhow::anyhow;
use bytes::{Bytes, BytesMut};
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};

use super::handle::Body;
use super::script::{Record, Script};
use super::{EventFault, Fault, Outage, answers};

/// Bookmarks are not numbered, because their number depends on time.
const BOOKMARK: &[u8] = br#"{"type":"BOOKMARK""#;

/// Returns the body of a watch with the faults of `script`.
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
    /// The part of the next event that has arrived.
    partial: BytesMut,
    last: Option<Bytes>,
    ended: bool,
}

impl Watch {
    /// Returns what is passed on next: one event or two. Never returns in a stall.
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
            let lasting = due.start(&self.script);
            match twist {
                EventFault::Drop => {}
                EventFault::Duplicate => return Some(Ok(twice(&event, &event))),
                EventFault::Stale => {
                    return Some(Ok(twice(&event, before.as_ref().unwrap_or(&event))));
                }
                EventFault::Gone => {
                    self.ended = true;
                    return Some(Ok(answers::gone()));
                }
                EventFault::Stall => {
                    // Dropped with the connection, when the client gives up.
                    std::future::pending::<()>().await;
                    drop(lasting);
                }
            }
        }
    }

    /// Returns the error that ends the watch: at once, or after a silence that lasts as long as the outage.
    async fn cut_off(&mut self, outage: Outage) -> anyhow::Error {
        self.ended = true;
        if outage == Outage::Silent {
            self.script.until_healed().await;
        }
        anyhow!("cut off on purpose")
    }

    /// Returns one line of the real server's answer.
    async fn event(&mut self) -> Option<anyhow::Result<Bytes>> {
        loop {
            if let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
                return Some(Ok(self.partial.split_to(end + 1).freeze()));
            }
            let frame = tokio::select! {
                frame = self.body.frame() => frame?,
                outage = self.script.until_cut_off(self.record.server) => {
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
