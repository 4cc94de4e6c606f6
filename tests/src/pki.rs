//! The certificate authority of one control plane, and the kubeconfigs of its users.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Result<Self> {
        let mut params = params("testbed", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// Returns the certificate of the authority itself, and its key.
    pub fn identity(&self) -> Identity {
        Identity { certificate: self.0.pem(), key: self.0.key().serialize_pem() }
    }

    /// Returns the certificate of the authority itself, in DER.
    pub fn der(&self) -> Vec<u8> {
        self.0.der().to_vec()
    }

    /// Issues a certificate of an API server at these addresses.
    pub fn server(&self, addresses: &[Ipv4Addr]) -> Result<Identity> {
        let mut params = params("kube-apiserver", &[])?;
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        for name in names {
            params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        for address in addresses {
            params.subject_alt_names.push(SanType::IpAddress((*address).into()));
        }
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a certificate of a server behind a Service.
    pub fn service(&self, namespace: &str, name: &str) -> Result<Identity> {
        let name = format!("{name}.{namespace}.svc");
        let mut params = params(&name, &[])?;
        params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        self.issue(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a certificate of a user with at most two groups.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<Identity> {
        self.issue(params(user, groups)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// Returns a kubeconfig for `server` with `identity` inlined.
    pub fn kubeconfig(&self, server: &str, identity: &Identity) -> String {
        let Identity { certificate, key } = identity;
        let [certificate, key] = [certificate, key].map(|pem| BASE64_STANDARD.encode(pem));
        let user = format!("{{client-certificate-data: {certificate}, client-key-data: {key}}}");
        self.kubeconfig_of(server, &user)
    }

    /// Returns a kubeconfig for `server` with a token in a file, which may change.
    pub fn kubeconfig_with_token(&self, server: &str, token: &Path) -> String {
        self.kubeconfig_of(server, &format!("{{tokenFile: '{}'}}", token.display()))
    }

    fn kubeconfig_of(&self, server: &str, user: &str) -> String {
        let authority = BASE64_STANDARD.encode(self.0.pem());
        format!(
            "apiVersion: v1
kind: Config
current-context: testbed
clusters:
- name: testbed
  cluster: {{server: '{server}', certificate-authority-data: {authority}}}
users:
- name: testbed
  user: {user}
contexts:
- name: testbed
  context: {{cluster: testbed, user: testbed}}
"
        )
    }

    fn issue(
        &self,
        mut params: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Returns the parameters of a certificate from which Kubernetes reads a user, as the common name, and groups, as the
/// organizations. rcgen keeps one value per type, so that a second organization needs a custom type with the same object
/// identifier.
fn params(user: &str, groups: &[&str]) -> Result<CertificateParams> {
    let organization = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    ensure!(
        groups.len() <= organization.len(),
        "a test bed's user has at most two groups, not {groups:?}"
    );
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, user);
    for (kind, group) in organization.into_iter().zip(groups) {
        name.push(kind, *group);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    Ok(params)
}
