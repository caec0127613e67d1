//! Why a server could not be asked, in words that say what to do.

use std::io;

use hotswap_artifact::FetchError;
use rustls::CertificateError as Certificate;
use ureq::{Error, Timeout};

use super::address::Origin;

/// What went wrong on the way to an answer. Worth another attempt: a network, and a server, may be better the next time.
pub(super) fn failure(origin: &Origin, error: Error) -> FetchError {
    let because = |what: &str| FetchError::unavailable(format!("{origin} {what}"));
    match error {
        Error::Timeout(Timeout::Connect | Timeout::Resolve) => because("cannot be reached in time"),
        Error::Timeout(_) => because("takes too long to answer"),
        Error::HostNotFound => because("is a host that nobody knows"),
        Error::LargeResponseHeader(..) => {
            because("sends too much before the content: its header section is refused")
        }
        Error::Decompress(_, error) => {
            because("says gzip and sends something else").caused_by(error)
        }
        Error::BodyExceedsLimit(_) => because("sends more than there can be"),
        Error::Protocol(error) => because("does not answer as HTTP has it").caused_by(error),
        Error::Io(error) => of_io(origin, error),
        Error::Rustls(error) => of_tls(origin, error),
        error => because("cannot be asked").caused_by(error),
    }
}

/// Whether a file of authorities that was read before may be why.
pub(super) fn is_about_certificates(error: &Error) -> bool {
    match error {
        Error::Io(error) => tls_of(error).is_some(),
        Error::Rustls(_) | Error::Tls(_) => true,
        _ => false,
    }
}

fn of_io(origin: &Origin, error: io::Error) -> FetchError {
    if let Some(error) = tls_of(&error) {
        return of_tls(origin, error.clone());
    }
    let what = match error.kind() {
        io::ErrorKind::ConnectionRefused => "is not there: nothing answers at that port",
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => "ended the connection before its answer was whole",
        _ => "cannot be reached",
    };
    FetchError::unavailable(format!("{origin} {what}")).caused_by(error)
}

fn tls_of(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn of_tls(origin: &Origin, error: rustls::Error) -> FetchError {
    let what = match &error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "shows a certificate that has expired: it needs a new one, or this machine's clock is wrong"
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "shows a certificate that is not valid yet: this machine's clock may be wrong"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "shows a certificate for another name: use the name that it is for, or somebody else answers"
            }
            // The other is one of the same name, with another key.
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                "shows a certificate by an authority that is not believed: name the file of its own authority with `ca_file`, or somebody else answers"
            }
            _ => "shows a certificate that is not to be believed",
        },
        _ => "cannot agree on TLS",
    };
    FetchError::unavailable(format!("{origin} {what}")).caused_by(error)
}
