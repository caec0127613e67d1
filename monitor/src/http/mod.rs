//! Modules on web servers.
//!
//! An [`HttpSource`] is one module, [`HttpModules`] are all below an address. Any server of files will do, and any bucket: what it
//! has is `<address>/<module>/<channel>/hotswap.manifest` and `<address>/<module>/files/<SHA-256>` (see [`Place`]), as
//! `hotswap publish` writes them. The server, the network and the cache are believed in nothing: what runs was signed by whom the host
//! [trusts](hotswap_trust::Trust), down to the last byte, and what is remembered keeps older releases out.
//!
//! [`Place`]: crate::delivery::Place
//!
//! # What it promises
//!
//! - **An idle look is one request** on a connection that is kept, with the validators of the last answer (`ETag`, `Last-Modified`); its
//!   answer, 304, has no body. Files are asked for by their hash, so that none is transferred twice.
//! - **Headers decide nothing but whether something is asked and sent.** A 304 means that the bytes are those of before, whose expiry is
//!   signed. `Cache-Control: max-age` saves looks, for an hour at most, and never when somebody asks for one; `Retry-After` of a 429 or
//!   503 is kept to, for an hour at most. A validator of more than 1 KiB is none.
//! - **What a server sends is bounded**: headers by 32 KiB, manifests by [`SIGNED_BYTES_MAX`](hotswap_trust::SIGNED_BYTES_MAX), files by
//!   their signed length, each unpacked and, with little more, packed.
//! - **So is the time it takes**: 5 s for a name and for a connection, [30 s](HttpSource::deadline) for a manifest, a [minimum rate](HttpSource::rate_min) for
//!   files. When its monitors end, so does what is under way for them.
//! - **Redirects lead nowhere else**: five are followed, on the same scheme, host and port.
//! - **What a server is shown** ([`bearer`](HttpSource::bearer), [`basic`](HttpSource::basic)) is shown to that one alone, and stands in no log, no
//!   error and no name.
//! - **Without TLS** only this machine is asked, unless it is [wanted](HttpSource::plain_http).
//! - **Mirrors** are asked when a server is down, lies, or has nothing that is current.
//!
//! # Limits
//!
//! - Names are resolved at each look, by the system's resolver, in a thread of its own that no deadline ends.
//! - The addresses of proxies are taken from the environment (`ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), when a server is first
//!   asked, and by `CONNECT`; not for this machine. A proxy sees with whom one speaks, and without TLS all of it.
//! - Certificates are those that Mozilla believes, compiled in, or a [file's](HttpSource::ca_file) alone; not the system's. No client
//!   certificates.
//! - HTTP/1.1. Sockets are those of the crate `ureq`, not of `hotswap-system`, whose faults come before a question.
//! - A download that broke off begins anew, with that file.

mod address;
mod body;
mod client;
mod credential;
mod error;
mod failure;
mod headers;
mod long_poll;
mod mirror;
mod modules;
mod place;
mod servers;
mod source;
#[cfg(test)]
mod tests;

pub use error::{HttpError, HttpErrorKind};
pub use mirror::Mirror;
pub use modules::HttpModules;
pub use source::HttpSource;
