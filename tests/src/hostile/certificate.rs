//! Certificates for servers on this machine, and who vouches for them.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Who vouches for servers.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// What a server shows of itself, and the key to it.
#[derive(Debug)]
pub struct Identity {
    server: Arc<ServerConfig>,
}

impl Authority {
    /// One that nobody knows yet.
    ///
    /// # Panics
    ///
    /// When the system gives no random bytes.
    #[must_use]
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name = name("an authority of tests");
        let key = KeyPair::generate().expect("random bytes");
        let certificate = parameters.self_signed(&key).expect("a good certificate").pem();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    /// Its certificate, as a CA file has it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    /// A server of this name, `127.0.0.1` or `localhost` for those that are one.
    #[must_use]
    pub fn identity(&self, server_name: &str) -> Identity {
        self.sign(server_name, |_| {})
    }

    /// A server whose certificate was good until the year 2001.
    #[must_use]
    pub fn expired_identity(&self, server_name: &str) -> Identity {
        self.sign(server_name, |parameters| {
            parameters.not_before = date_time_ymd(2000, 1, 1);
            parameters.not_after = date_time_ymd(2001, 1, 1);
        })
    }

    fn sign(&self, server_name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut parameters = CertificateParams::new([server_name.to_owned()]).expect("a good name");
        parameters.distinguished_name = name("a server of tests");
        edit(&mut parameters);
        let key = KeyPair::generate().expect("random bytes");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a good certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring can all of them")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("the key of the certificate");
        Identity { server: Arc::new(server) }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Identity {
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}
