//! One client of the hub for all tasks, below which the real one can be replaced.
//!
//! Every request passes through here. So this is where a request gets its time limit, where a `Retry-After` is
//! honoured, and where the state of the link is recorded.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use http::header::HeaderMap;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use jiff::Timestamp;
use kube::client::Body;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::channels::LinkState;
use crate::kube_error::with_timeout;
use crate::link::http_rules::{is_watch, reject_redirection, retry_after};

/// The link to the hub. Its clones share one real client, which can be replaced.
#[derive(Clone)]
pub struct Link {
    real_client: Arc<ArcSwap<RealClient>>,
    state: watch::Sender<LinkState>,
    /// No request is sent before this.
    pause_until: watch::Sender<Instant>,
    address: watch::Sender<Uri>,
    /// Notified when the hub answers 401: the credentials may have been renewed.
    unauthorized: Arc<Notify>,
}

/// A client as built from a kubeconfig, and the hub's address.
pub struct HubClient {
    pub client: kube::Client,
    pub address: Uri,
}

struct RealClient {
    client: kube::Client,
    replaced: CancellationToken,
}

impl RealClient {
    fn new(client: kube::Client) -> Arc<Self> {
        Arc::new(Self { client, replaced: CancellationToken::new() })
    }
}

impl Link {
    /// Returns a link that sends its requests through a first client and keeps `state` up to date.
    pub fn new(first: HubClient, state: watch::Sender<LinkState>) -> Self {
        Self {
            real_client: Arc::new(ArcSwap::new(RealClient::new(first.client))),
            state,
            pause_until: watch::Sender::new(Instant::now()),
            address: watch::Sender::new(first.address),
            unauthorized: Arc::default(),
        }
    }

    /// Returns a client that stays valid for good.
    pub fn client(&self) -> kube::Client {
        // No request of hub-sync uses the client's default namespace.
        kube::Client::new(self.clone(), "default")
    }

    /// Returns the hub's address. A new one is another hub, of which nothing is known yet.
    pub fn address(&self) -> watch::Receiver<Uri> {
        self.address.subscribe()
    }

    /// Sends all further requests through `next`. Running watches end; the watcher resumes them through `next`.
    pub fn replace(&self, next: HubClient) {
        self.address.send_if_modified(|address| {
            let is_other_hub = *address != next.address;
            *address = next.address;
            is_other_hub
        });
        let previous = self.real_client.swap(RealClient::new(next.client));
        previous.replaced.cancel();
    }

    /// Waits until the hub rejects the credentials.
    pub async fn unauthorized(&self) {
        self.unauthorized.notified().await;
    }

    async fn send(self, request: Request<Body>) -> kube::Result<Response<HubBody>> {
        let pause_until = *self.pause_until.borrow();
        tokio::time::sleep_until(pause_until).await;
        let real_client = self.real_client.load_full();
        let response = match is_watch(&request) {
            true => with_timeout(self.clone().start_watch(real_client, request)).await,
            false => with_timeout(fetch(real_client, request)).await,
        };
        let response = response.map(reject_redirection);
        match &response {
            Ok(response) => self.record_response(response.status(), response.headers()),
            Err(_) => self.record_loss(),
        }
        response
    }

    /// Only the beginning of the response has to arrive in time.
    async fn start_watch(
        self,
        real_client: Arc<RealClient>,
        request: Request<Body>,
    ) -> kube::Result<Response<HubBody>> {
        let response = real_client.client.send(request).await?;
        let replaced = real_client.replaced.clone().cancelled_owned();
        Ok(response.map(|body| {
            let frames = BodyStream::new(body).inspect(move |_| self.record_contact());
            StreamBody::new(frames.take_until(replaced)).boxed_unsync()
        }))
    }

    fn record_response(&self, status: StatusCode, headers: &HeaderMap) {
        if status == StatusCode::UNAUTHORIZED {
            self.unauthorized.notify_one();
            return self.record_loss();
        }
        if let Some(pause) = retry_after(status, headers) {
            self.pause_until.send_replace(Instant::now() + pause);
        }
        self.record_contact();
    }

    fn record_contact(&self) {
        let last_contact = Some(Timestamp::now());
        self.state.send_replace(LinkState { connected: true, last_contact });
    }

    fn record_loss(&self) {
        self.state.send_if_modified(|state| std::mem::take(&mut state.connected));
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
        Box::pin(self.clone().send(request))
    }
}

async fn fetch(
    real_client: Arc<RealClient>,
    request: Request<Body>,
) -> kube::Result<Response<HubBody>> {
    let (parts, body) = real_client.client.send(request).await?.into_parts();
    let bytes = body.collect_bytes().await?;
    Ok(Response::from_parts(parts, Body::from(bytes).boxed_unsync()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_of_the_link_survives_a_replacement() {
        let (link, _state) = link(responding("old", 200));
        let client = link.client();
        assert_eq!(get(&client, "/x").await, "old");
        link.replace(hub_client(responding("new", 200)));
        assert_eq!(get(&client, "/x").await, "new");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replacement_ends_watches_and_nothing_else() {
        let endless = tower::service_fn(async |_: Request<Body>| {
            let frames = BodyStream::new(Body::empty()).chain(futures::stream::pending());
            Ok::<_, kube::Error>(Response::new(StreamBody::new(frames)))
        });
        let (link, _state) = link(kube::Client::new(endless, "default"));
        let watch = Request::get("/x?watch=true").body(Body::empty()).unwrap();
        let body = link.client().send(watch).await.unwrap().into_body();
        link.replace(hub_client(responding("new", 200)));
        assert!(with_timeout(body.collect_bytes()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_unauthorized_response_wakes_the_credentials_and_counts_as_a_lost_connection() {
        let (link, state) = link(responding("", 200));
        get(&link.client(), "/x").await;
        assert!(state.borrow().connected);
        let last_contact = state.borrow().last_contact;
        link.replace(hub_client(responding("", 401)));
        get(&link.client(), "/x").await;
        link.unauthorized().await;
        assert_eq!(*state.borrow(), LinkState { connected: false, last_contact });
    }

    #[tokio::test]
    async fn the_body_of_a_redirection_is_no_object() {
        let (link, _state) = link(responding(r#"{"metadata": {"name": "x"}}"#, 302));
        let request = Request::get("/x").body(Vec::new()).unwrap();
        let object = link.client().request::<serde_json::Value>(request).await;
        assert!(object.is_err(), "{object:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_never_responds_is_an_error() {
        let silent = tower::service_fn(async |_: Request<Body>| {
            std::future::pending::<Result<Response<Body>, kube::Error>>().await
        });
        let (link, state) = link(kube::Client::new(silent, "default"));
        for uri in ["/x", "/x?watch=true"] {
            let request = Request::get(uri).body(Body::empty()).unwrap();
            assert!(link.client().send(request).await.is_err());
        }
        assert_eq!(*state.borrow(), LinkState::default());
    }

    #[tokio::test]
    async fn only_another_address_is_another_hub() {
        let (link, _state) = link(responding("", 200));
        let address = link.address();
        link.replace(hub_client(responding("", 200)));
        assert!(!address.has_changed().unwrap());
        link.replace(HubClient {
            address: Uri::from_static("https://elsewhere"),
            ..hub_client(responding("", 200))
        });
        assert!(address.has_changed().unwrap());
    }

    fn link(client: kube::Client) -> (Link, watch::Receiver<LinkState>) {
        let sender = watch::Sender::new(LinkState::default());
        let state = sender.subscribe();
        (Link::new(hub_client(client), sender), state)
    }

    fn hub_client(client: kube::Client) -> HubClient {
        HubClient { client, address: Uri::from_static("https://hub") }
    }

    fn responding(text: &'static str, status: u16) -> kube::Client {
        let status = StatusCode::from_u16(status).unwrap();
        let service = tower::service_fn(move |_: Request<Body>| {
            let mut response = Response::new(Body::from(text.as_bytes().to_vec()));
            *response.status_mut() = status;
            std::future::ready(Ok::<_, kube::Error>(response))
        });
        kube::Client::new(service, "default")
    }

    async fn get(client: &kube::Client, uri: &str) -> String {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let body = client.send(request).await.unwrap().into_body();
        String::from_utf8(body.collect_bytes().await.unwrap().to_vec()).unwrap()
    }
}
