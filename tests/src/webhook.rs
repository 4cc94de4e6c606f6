//! A validating webhook by which a test sees each write that is about to happen, and says whether it may.

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

/// Whether what is asked for, an `AdmissionRequest`, may be.
type Judge = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// Gone when dropped; its configuration stays in the cluster.
pub struct Webhook {
    address: SocketAddr,
    authority: Authority,
    asked: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Webhook {
    pub async fn start(judge: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, authority) = (listener.local_addr()?, Authority::new()?);
        let tls = acceptor(&authority, Ipv4Addr::LOCALHOST)?;
        let asked = Arc::new(AtomicBool::new(false));
        let noted = asked.clone();
        let judge = move |request: &Value| {
            noted.store(true, Relaxed);
            judge(request)
        };
        let task = tokio::spawn(accept(listener, tls, Arc::new(judge)));
        Ok(Self { address, authority, asked, task })
    }

    /// Returns when it is asked about what is written in this namespace, which may be a while after it was told to be.
    pub async fn watch(&self, plane: &ControlPlane, namespace: &str) -> Result<()> {
        plane.apply_yaml(&self.configuration(namespace)).await?;
        let create = ["create", "configmap", "asked", "--namespace", namespace, "--dry-run=server"];
        until("the webhook to be asked", Duration::from_secs(60), || async {
            plane.kubectl(&create).await?;
            Ok(self.asked.load(Relaxed).then_some(()))
        })
        .await
    }

    /// For ConfigMaps, also in a dry run.
    fn configuration(&self, namespace: &str) -> String {
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
        .to_string()
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, judge: Judge) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connected(stream, tls.clone(), judge.clone()));
    }
}

async fn connected(stream: TcpStream, tls: TlsAcceptor, judge: Judge) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request| answer(request, &judge));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
}

async fn answer(request: Request<Incoming>, judge: &Judge) -> Result<Response<Full<Bytes>>> {
    let review: Value = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    let asked = &review["request"];
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": asked["uid"], "allowed": judge(asked)},
    });
    let body = Full::new(Bytes::from(answer.to_string()));
    Ok(Response::builder().header("content-type", "application/json").body(body)?)
}
