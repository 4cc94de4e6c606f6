//! Kubernetes clients with an identity of a control plane's authority.

use std::sync::Once;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::{Client, Config};

use crate::pki::{Authority, Identity};

/// It belongs to the tokio runtime it is made in.
pub fn client(server: &str, authority: &Authority, identity: &Identity) -> Result<Client> {
    install_crypto();
    let mut config = Config::new(server.parse()?);
    config.root_cert = Some(vec![authority.der()]);
    config.auth_info.client_certificate_data = Some(BASE64_STANDARD.encode(&identity.certificate));
    config.auth_info.client_key_data = Some(BASE64_STANDARD.encode(&identity.key).into());
    Client::try_from(config).context("make a client")
}

/// rustls needs one provider a process; one that the program installed itself is as good.
pub fn install_crypto() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
    });
}
