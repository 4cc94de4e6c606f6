//! Kubernetes clients with an identity of a control plane's authority.

use std::sync::Once;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::{Client, Config};

use crate::pki::{Authority, Identity};

/// Returns a client with this identity. It belongs to the tokio runtime in which it is made.
pub fn client(server: &str, authority: &Authority, identity: &Identity) -> Result<Client> {
    install_crypto();
    let mut config = Config::new(server.parse()?);
    config.root_cert = Some(vec![authority.der()]);
    config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(&identity.certificate));
    config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(&identity.key).into());
    Client::try_from(config).context("create a client")
}

/// Installs a crypto provider for rustls, which needs one per process, unless the program has installed one.
pub fn install_crypto() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}
