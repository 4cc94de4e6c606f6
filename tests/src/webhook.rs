//! A validating webhook, with which a test sees each write before it happens and allows or denies it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::ControlPlane;
use crate::fault_proxy::acceptor;
use crate::pki::Authority;
use crate::wait::until;

/// Returns whether an `AdmissionRequest` is allowed.
type Allows = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// A running webhook. It stops when dropped; its configuration stays in the cluster.
pub struct Webhook {
    address: SocketAddr,
    authority: Authority,
    is_called: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Webhook {
    pub async fn start(allows: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, authority) = (listener.local_addr()?, Authority::new()?);
        let tls = acceptor(&authority, Ipv4Addr::LOCALHOST)?;
        let is_called = Arc::new(AtomicBool::new(false));
        let called = is_called.clone();
        let allows = move |request: &Value| {
            called.store(true, Relaxed);
            allows(request)
        };
        let task = tokio::spawn(accept(listener, tls, Arc::new(allows)));
        Ok(Self { address, authority, is_called, task })
    }

    /// Registers it for this namespace. Returns when the API server calls it, which may be a while later.
    pub async fn watch(&self, plane: &ControlPlane, namespace: &str) -> Result<()> {
        plane.apply_yaml(&self.configuration(namespace).to_string()).await?;
        let create = ["create", "configmap", "asked", "--namespace", namespace, "--dry-run=server"];
        until("the webhook to be called", Duration::from_secs(60), || async {
            plane.kubectl(&create).await?;
            Ok(self.is_called.load(Relaxed).then_some(()))
        })
        .await
    }

    /// Returns its registration for ConfigMaps, also in a dry run.
    pub fn configuration(&self, namespace: &str) -> Value {
        let bundle = BASE64_STANDARD.encode(self.authority.identity().certificate);
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": format!("watches-{namespace}")},
            "webhooks": [{
                "name": "watches.example.com", "failurePolicy": "Fail", "sideEffects": "None",
                "admissionReviewVersions": ["v1"], "timeoutSeconds": 10,
                "clientConfig": {"url": format!("https://{}/", self.address), "caBundle": bundle},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"],
                    "operations": ["CREATE", "UPDATE"],
                }],
            }],
        })
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, allows: Allows) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve_connection(stream, tls.clone(), allows.clone()));
    }
}

async fn serve_connection(stream: TcpStream, tls: TlsAcceptor, allows: Allows) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request| review(request, &allows));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn review(request: Request<Incoming>, allows: &Allows) -> Result<Response<Full<Bytes>>> {
    let review: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let request = &review["request"];
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": request["uid"], "allowed": allows(request)},
    });
    let body = Full::new(Bytes::from(answer.to_string()));
    Ok(Response::builder().header("content-type", "application/json").body(body)?)
}
