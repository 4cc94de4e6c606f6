//! One client of the hub for everyone, under which the real one can be changed.
//!
//! Every request passes through here, so this is also where a request gets its time limit, where a `Retry-After` is
//! kept, and where it shows whether the hub can be reached.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::HubLink;
use crate::kube_error::in_time;

/// A hub that asks for more patience than this is asked again anyway.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// A client that stays while what is under it changes.
#[derive(Clone)]
pub struct Link {
    live: Arc<ArcSwap<Live>>,
    state: watch::Sender<HubLink>,
    /// No request goes out before this.
    quiet_until: watch::Sender<Instant>,
    /// Where the hub is.
    address: watch::Sender<Uri>,
    /// A request was refused as unauthorized: the credentials may have been renewed.
    doubt: Arc<Notify>,
}

/// A client as built from a kubeconfig.
pub struct Built {
    pub client: kube::Client,
    pub address: Uri,
}

struct Live {
    client: kube::Client,
    superseded: CancellationToken,
}

impl Live {
    fn new(client: kube::Client) -> Arc<Self> {
        Arc::new(Self { client, superseded: CancellationToken::new() })
    }
}

impl Link {
    pub fn new(built: Built, state: watch::Sender<HubLink>) -> Self {
        Self {
            live: Arc::new(ArcSwap::new(Live::new(built.client))),
            state,
            quiet_until: watch::Sender::new(Instant::now()),
            address: watch::Sender::new(built.address),
            doubt: Arc::default(),
        }
    }

    /// For everyone, for good.
    pub fn client(&self) -> kube::Client {
        // No request here leaves its namespace to the client.
        kube::Client::new(self.clone(), "default")
    }

    /// Changes when another hub takes this one's place: what was read of the old one says nothing of the new one.
    pub fn address(&self) -> watch::Receiver<Uri> {
        self.address.subscribe()
    }

    /// Requests from here on go through the new client; watches end, and go on with it where they were.
    pub fn swap(&self, built: Built) {
        self.address.send_if_modified(|address| {
            let moved = *address != built.address;
            *address = built.address;
            moved
        });
        let old = self.live.swap(Live::new(built.client));
        old.superseded.cancel();
    }

    /// Returns when the credentials should be looked at before their time.
    pub async fn doubted(&self) {
        self.doubt.notified().await;
    }

    async fn carry(self, request: Request<Body>) -> kube::Result<Response<HubBody>> {
        let quiet_until = *self.quiet_until.borrow();
        tokio::time::sleep_until(quiet_until).await;
        let live = self.live.load_full();
        let answer = match is_watch(&request) {
            true => in_time(self.clone().watch(live, request)).await,
            false => in_time(ask(live, request)).await,
        };
        let answer = answer.map(not_moved);
        match &answer {
            Ok(response) => self.heard(response.status(), response.headers()),
            Err(_) => self.lost(),
        }
        answer
    }

    /// The answer may take for ever, but its beginning may not.
    async fn watch(
        self,
        live: Arc<Live>,
        request: Request<Body>,
    ) -> kube::Result<Response<HubBody>> {
        let response = live.client.send(request).await?;
        let superseded = live.superseded.clone().cancelled_owned();
        Ok(response.map(|body| {
            let frames = BodyStream::new(body).inspect(move |_| self.touch());
            StreamBody::new(frames.take_until(superseded)).boxed_unsync()
        }))
    }

    fn heard(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::UNAUTHORIZED {
            self.doubt.notify_one();
            return self.lost();
        }
        if let Some(pause) = retry_after(status, headers) {
            self.quiet_until.send_replace(Instant::now() + pause);
        }
        self.touch();
    }

    fn touch(&self) {
        let last_contact = Some(Timestamp::now());
        self.state.send_replace(HubLink { connected: true, last_contact });
    }

    fn lost(&self) {
        self.state.send_if_modified(|link| std::mem::take(&mut link.connected));
    }
}

type HubBody = UnsyncBoxBody<Bytes, kube::Error>;

impl Service<Request<Body>> for Link {
    type Response = Response<HubBody>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().carry(request))
    }
}

/// No hub redirects: what does so is something else on the way there, and its answer is no object.
fn not_moved<B>(mut response: Response<B>) -> Response<B> {
    if response.status().is_redirection() {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response
}

async fn ask(live: Arc<Live>, request: Request<Body>) -> kube::Result<Response<HubBody>> {
    let (parts, body) = live.client.send(request).await?.into_parts();
    let bytes = body.collect_bytes().await?;
    Ok(Response::from_parts(parts, Body::from(bytes).boxed_unsync()))
}

fn is_watch(request: &Request<Body>) -> bool {
    let mut query = request.uri().query().unwrap_or_default().split('&');
    query.any(|pair| pair == "watch=true")
}

/// Kubernetes gives seconds; the header's other form, a date, is left alone.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holders_do_not_notice_a_swap() {
        let (link, _state) = link(answering("old", 200));
        let client = link.client();
        assert_eq!(ask(&client, "/x").await, "old");
        link.swap(built(answering("new", 200)));
        assert_eq!(ask(&client, "/x").await, "new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_swap_ends_watches_and_nothing_else() {
        let endless = tower::service_fn(async |_: Request<Body>| {
            let frames = BodyStream::new(Body::empty()).chain(futures::stream::pending());
            Ok::<_, kube::Error>(Response::new(StreamBody::new(frames)))
        });
        let (link, _state) = link(kube::Client::new(endless, "default"));
        let watch = Request::get("/x?watch=true").body(Body::empty()).unwrap();
        let body = link.client().send(watch).await.unwrap().into_body();
        link.swap(built(answering("new", 200)));
        assert!(in_time(body.collect_bytes()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_unauthorized_answer_raises_doubt_and_is_no_connection() {
        let (link, state) = link(answering("", 200));
        ask(&link.client(), "/x").await;
        assert!(state.borrow().connected);
        let contact = state.borrow().last_contact;
        link.swap(built(answering("", 401)));
        ask(&link.client(), "/x").await;
        link.doubted().await;
        assert_eq!(*state.borrow(), HubLink { connected: false, last_contact: contact });
    }

    #[tokio::test]
    async fn what_a_redirect_says_is_no_object() {
        let (link, _state) = link(answering(r#"{"metadata": {"name": "x"}}"#, 302));
        let request = Request::get("/x").body(Vec::new()).unwrap();
        let said = link.client().request::<serde_json::Value>(request).await;
        assert!(said.is_err(), "{said:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_an_error_in_time() {
        let silent = tower::service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, kube::Error>>().await
        });
        let (link, state) = link(kube::Client::new(silent, "default"));
        for uri in ["/x", "/x?watch=true"] {
            let request = Request::get(uri).body(Body::empty()).unwrap();
            assert!(link.client().send(request).await.is_err());
        }
        assert_eq!(*state.borrow(), HubLink::default());
    }

    #[tokio::test]
    async fn only_another_address_is_another_hub() {
        let (link, _state) = link(answering("", 200));
        let address = link.address();
        link.swap(built(answering("", 200)));
        assert!(!address.has_changed().unwrap());
        link.swap(Built {
            address: Uri::from_static("https://elsewhere"),
            ..built(answering("", 200))
        });
        assert!(address.has_changed().unwrap());
    }

    #[test]
    fn only_a_watch_may_take_long() {
        let watch = |uri: &str| is_watch(&Request::get(uri).body(Body::empty()).unwrap());
        assert!(watch("/apis/x/v1/y?watch=true&resourceVersion=1"));
        assert!(watch("/apis/x/v1/y?resourceVersion=1&watch=true"));
        assert!(!watch("/apis/x/v1/y?limit=500"));
        assert!(!watch("/apis/x/v1/y"));
    }

    #[test]
    fn a_hub_may_ask_for_patience() {
        let asked = |status: u16, text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(StatusCode::from_u16(status).unwrap(), &headers)
                .map(|pause| pause.as_secs())
        };
        assert_eq!(asked(429, "7"), Some(7));
        assert_eq!(asked(503, "7"), Some(7));
        assert_eq!(asked(429, "99999999999"), Some(300));
        assert_eq!(asked(200, "7"), None);
        assert_eq!(asked(429, "Wed, 21 Oct 2015 07:28:00 GMT"), None);
    }

    fn link(client: kube::Client) -> (Link, watch::Receiver<HubLink>) {
        let state = watch::Sender::new(HubLink::default());
        let seen = state.subscribe();
        (Link::new(built(client), state), seen)
    }

    fn built(client: kube::Client) -> Built {
        Built { client, address: Uri::from_static("https://hub") }
    }

    fn answering(text: &'static str, status: u16) -> kube::Client {
        let status = StatusCode::from_u16(status).unwrap();
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut response = Response::new(Body::from(text.as_bytes().to_vec()));
            *response.status_mut() = status;
            std::future::ready(Ok::<_, kube::Error>(response))
        });
        kube::Client::new(service, "default")
    }

    async fn ask(client: &kube::Client, uri: &str) -> String {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let body = client.send(request).await.unwrap().into_body();
        String::from_utf8(body.collect_bytes().await.unwrap().to_vec()).unwrap()
    }
}
