//! A web server that does as it is told, and what becomes of who asks it.

mod answers;
mod ends;
mod headers;
mod limits;
mod long_poll;
mod redirects;
mod releases;
mod secrets;
mod server;
mod tls;

use std::time::Duration;

use hotswap_artifact::{ContentHash, FetchError};
use hotswap_trust::{FileEntry, FilePath};

use self::server::Server;
use super::Mirror;
use super::client::Patience;
use super::place::HttpPlace;
use crate::delivery::{Answer, Place as _};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(120);

/// As short as it can be for what is there to be had.
const SHORT: Duration = Duration::from_millis(300);

fn patience(deadline: Duration) -> Patience {
    Patience { deadline, bytes_per_second: 1 << 20 }
}

/// Module `greet` on the channel `stable`, below `/modules`.
fn greet(mirror: Mirror, deadline: Duration) -> HttpPlace {
    HttpPlace::new(mirror, "greet", "stable", patience(deadline), false)
}

/// The same, of a server that is there.
fn at(server: &Server) -> HttpPlace {
    greet(server.mirror(), LONG)
}

fn entry(bytes: &[u8]) -> FileEntry {
    let path = FilePath::new("libgreet.so").unwrap();
    FileEntry::new(path, bytes.len() as u64, ContentHash::of(bytes))
}

fn manifest(bytes: &[u8]) -> Answer {
    Answer::Manifest(bytes.to_vec())
}

/// All that is said of an error.
fn told(error: &FetchError) -> String {
    let mut text = format!("{error} / {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text} / {error} / {error:?}");
        cause = error.source();
    }
    text
}

/// What the manifest cannot be had for.
fn refusal(place: &HttpPlace) -> String {
    told(&place.manifest().expect_err("no manifest is there"))
}
