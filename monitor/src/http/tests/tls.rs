//! Certificates: who may answer.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::server::{Request, Server, ok, status};
use super::*;

/// An authority that nobody knows.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        let path = self.directory.path().join("authority.pem");
        std::fs::write(&path, self.issuer.pem()).unwrap();
        path
    }

    /// A server with a certificate for this name, of these years.
    fn server(&self, name: &str, (from, to): (i32, i32)) -> Server {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = rustls::crypto::ring::default_provider().into();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Server::with_tls(config, |request: &Request| match request.header("if-none-match") {
            Some(_) => status(304, &[], ""),
            None => ok(&[("etag", "\"one\"")], "one"),
        })
    }
}

const NOW: (i32, i32) = (2000, 4000);

#[test]
fn an_authority_of_ones_own_is_believed_when_it_is_named() {
    let authority = Authority::new();
    let server = authority.server("localhost", NOW);
    let place = greet(server.mirror().ca_file(authority.file()).bearer("geheim"), LONG);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    assert_eq!(place.manifest().unwrap(), Answer::Same);
    assert_eq!(server.connections(), 1);
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer geheim"));
}

#[test]
fn certificates_that_are_not_to_be_believed_say_what_to_do() {
    let authority = Authority::new();
    let refused = |server: &Server, mirror: Mirror, expected: &str| {
        let error = refusal(&greet(mirror.bearer("geheim"), LONG));
        assert!(error.contains(expected) && error.contains(&server.origin()), "{error}");
        assert!(!error.contains("geheim"));
        assert_eq!(server.requests().len(), 0, "nothing was said to it");
    };
    let server = authority.server("localhost", NOW);
    refused(&server, server.mirror(), "name the file of its own authority with `ca_file`");
    let other = Authority::new();
    refused(&server, server.mirror().ca_file(other.file()), "`ca_file`");
    let server = authority.server("example.org", NOW);
    refused(&server, server.mirror().ca_file(authority.file()), "a certificate for another name");
    let server = authority.server("localhost", (2000, 2001));
    refused(&server, server.mirror().ca_file(authority.file()), "has expired");
    let server = authority.server("localhost", (3000, 3001));
    refused(&server, server.mirror().ca_file(authority.file()), "is not valid yet");
    // No TLS at all where it is wanted.
    let server = Server::always(|| ok(&[], "one"));
    let address = format!("{}/modules", server.origin()).replace("http:", "https:");
    let error = refusal(&greet(Mirror::new(&address).unwrap(), LONG));
    assert!(error.contains("ended the connection before its answer was whole"), "{error}");
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn a_file_of_authorities_that_was_put_right_is_read_again() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server("localhost", NOW);
    let path = other.directory.path().join("authority.pem");
    let place = greet(server.mirror().ca_file(&path), LONG);
    assert!(refusal(&place).contains("cannot read the certificates in "));
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nnonsense\n").unwrap();
    assert!(refusal(&place).contains("is no file of certificates"));
    std::fs::write(&path, "").unwrap();
    assert!(refusal(&place).contains("no certificate is in "));
    other.file();
    assert!(refusal(&place).contains("`ca_file`"));
    std::fs::copy(authority.file(), &path).unwrap();
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
}
