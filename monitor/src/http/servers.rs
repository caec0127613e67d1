//! One web server and its mirrors, and how they are asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{FetchError, ModuleName};

use super::Mirror;
use super::address::Address;
use super::client::Patience;
use super::place::HttpPlace;
use crate::delivery::{Base, Place};

/// How long a server may take to answer, unless another time is chosen.
const DEADLINE: Duration = Duration::from_secs(30);

/// How many bytes have to come in a second, unless another rate is chosen.
///
/// 1 KiB: a tenth of what the slowest lines bring.
const RATE_MIN: u64 = 1024;

/// Servers that have the same; the first gives the name.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    first: Mirror,
    others: Vec<Mirror>,
    patience: Patience,
    is_polled: bool,
}

impl Servers {
    pub(super) fn new(address: Address) -> Self {
        let patience = Patience { deadline: DEADLINE, bytes_per_second: RATE_MIN };
        Self { first: Mirror::at(address), others: Vec::new(), patience, is_polled: false }
    }

    /// Where a module on a channel lies on each of them.
    pub(super) fn places(&self, module: &str, channel: &str) -> Vec<Arc<dyn Place>> {
        self.bases().iter().map(|base| base.place(module, channel)).collect()
    }

    pub(super) fn bases(&self) -> Vec<Arc<dyn Base>> {
        let mirrors = std::iter::once(&self.first).chain(&self.others);
        let base = |(index, mirror): (usize, &Mirror)| -> Arc<dyn Base> {
            let is_polled = self.is_polled && index == 0;
            Arc::new(HttpBase { mirror: mirror.clone(), patience: self.patience, is_polled })
        };
        mirrors.enumerate().map(base).collect()
    }

    pub(super) fn first(&mut self, set: impl FnOnce(Mirror) -> Mirror) {
        self.first = set(self.first.clone());
    }

    pub(super) fn mirror(&mut self, mirror: Mirror) {
        self.others.push(mirror);
    }

    pub(super) fn deadline(&mut self, deadline: Duration) {
        self.patience.deadline = deadline;
    }

    pub(super) fn rate_min(&mut self, bytes_per_second: u64) {
        self.patience.bytes_per_second = bytes_per_second;
    }

    pub(super) fn long_poll(&mut self) {
        self.is_polled = true;
    }
}

/// One of them.
#[derive(Debug)]
struct HttpBase {
    mirror: Mirror,
    patience: Patience,
    is_polled: bool,
}

impl Base for HttpBase {
    fn place(&self, module: &str, channel: &str) -> Arc<dyn Place> {
        let (mirror, patience) = (self.mirror.clone(), self.patience);
        Arc::new(HttpPlace::new(mirror, module, channel, patience, self.is_polled))
    }

    fn names(&self, _: &str) -> Result<Vec<ModuleName>, FetchError> {
        let address = &self.mirror.address;
        let text =
            format!("{address} has files, and no list of its modules: they are loaded by name");
        Err(FetchError::refused(text))
    }
}

/// What can be said of servers, for one module and for all of them.
macro_rules! server_settings {
    ($ty:ty) => {
        impl $ty {
            /// Asks this server as well, when others are down, lie, or have nothing that is current. It has the same, below an address of its own;
            /// what the first one is shown, it is not: see [`Mirror`].
            #[must_use]
            pub fn mirror(mut self, mirror: Mirror) -> Self {
                self.servers.mirror(mirror);
                self
            }

            /// As [`Mirror::bearer`], for the first server.
            #[must_use]
            pub fn bearer(mut self, token: &str) -> Self {
                self.servers.first(|first| first.bearer(token));
                self
            }

            /// As [`Mirror::basic`], for the first server.
            #[must_use]
            pub fn basic(mut self, user: &str, password: &str) -> Self {
                self.servers.first(|first| first.basic(user, password));
                self
            }

            /// As [`Mirror::ca_file`], for the first server.
            #[must_use]
            pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
                self.servers.first(|first| first.ca_file(path));
                self
            }

            /// As [`Mirror::plain_http`], for the first server.
            #[must_use]
            pub fn plain_http(mut self) -> Self {
                self.servers.first(Mirror::plain_http);
                self
            }

            /// How long a server may take for a manifest, and to begin with a file; 30 s by default. A look waits for that long, once for each server
            /// at most.
            #[must_use]
            pub fn deadline(mut self, deadline: Duration) -> Self {
                self.servers.deadline(deadline);
                self
            }

            /// How many bytes have to come in a second, on the average, after five seconds; 1,024 by default. A file may take as long as that
            /// says, an hour at most, and the [deadline](Self::deadline).
            #[must_use]
            pub fn rate_min(mut self, bytes_per_second: u64) -> Self {
                self.servers.rate_min(bytes_per_second);
                self
            }

            /// Has a thread ask the first server to answer when something changes (`Prefer: wait`, RFC 7240), and look then. A server that
            /// does not know this is left alone, for a minute at the longest, and looked at as without this.
            #[must_use]
            pub fn long_poll(mut self) -> Self {
                self.servers.long_poll();
                self
            }
        }
    };
}

server_settings!(super::HttpSource);
server_settings!(super::HttpModules);
