//! A web server on this machine that does what a test tells it, however bad: for what comes over the network.
//!
//! Left alone it is a good one: it has what was [put](HostileServer::put) there, with an `ETag` that is honoured. Each path can be given
//! another answer. It notes what it was asked, and ends with its value, whatever its clients wait for.

mod certificate;
mod connection;
mod reply;

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hotswap_engine::ContentHash;
use parking_lot::{Condvar, Mutex};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::deadline::PATIENCE;

pub use self::certificate::{Authority, Identity};
pub use self::reply::{Body, Reply, gzip};

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The path with its query: `/modules/greet/stable/hotswap.manifest`.
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The first header of this name, in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A web server that does what a test tells it.
#[derive(Debug)]
pub struct HostileServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    scheme: &'static str,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, Vec<u8>>,
    scripts: BTreeMap<String, Reply>,
    /// How often scripts were taken back: who is held until then, goes on.
    taken_back: u64,
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    accepted: usize,
    body_bytes: u64,
    is_down: bool,
    is_over: bool,
}

impl HostileServer {
    /// A server without files, on a port of its own.
    ///
    /// # Panics
    ///
    /// When the system has no port.
    #[must_use]
    pub fn start() -> Self {
        Self::on(None)
    }

    /// The same, with TLS, which says that it is this one.
    ///
    /// # Panics
    ///
    /// When the system has no port.
    #[must_use]
    pub fn start_tls(identity: &Identity) -> Self {
        Self::on(Some(identity.server()))
    }

    fn on(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the system has a port");
        let address = listener.local_addr().expect("it was bound");
        let shared = Arc::new(Shared::default());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let acceptor = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || accept(&shared, &listener, tls.as_ref()))
        };
        Self { shared, address, scheme, acceptor: Some(acceptor) }
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What a client calls it: `http://127.0.0.1:4711`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Puts a file there, whose path begins with `/`.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.inner.lock().files.insert(path.to_owned(), bytes.into());
    }

    /// What lies at a path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        self.shared.inner.lock().files.get(path).cloned()
    }

    /// Puts everything that lies here on another server as well.
    pub fn copy_to(&self, other: &Self) {
        let files = self.shared.inner.lock().files.clone();
        other.shared.inner.lock().files.extend(files);
    }

    /// Takes a file away.
    pub fn remove(&self, path: &str) {
        self.shared.inner.lock().files.remove(path);
    }

    /// Has all requests for a path answered like this from now on; what lies there stays.
    pub fn script(&self, path: &str, reply: Reply) {
        self.shared.inner.lock().scripts.insert(path.to_owned(), reply);
    }

    /// Is a good server again.
    pub fn behave(&self) {
        let mut inner = self.shared.inner.lock();
        inner.scripts.clear();
        inner.is_down = false;
        inner.taken_back += 1;
        self.shared.changed.notify_all();
    }

    /// Closes all connections, and every new one at once, until it is to [behave](Self::behave).
    pub fn go_down(&self) {
        let mut inner = self.shared.inner.lock();
        inner.is_down = true;
        inner.hang_up();
        self.shared.changed.notify_all();
    }

    /// Ends it for good, as its process would be killed: nobody listens any more.
    ///
    /// # Panics
    ///
    /// When one of its threads did.
    pub fn kill(&mut self) {
        let Some(acceptor) = self.acceptor.take() else { return };
        {
            let mut inner = self.shared.inner.lock();
            inner.is_over = true;
            inner.hang_up();
            self.shared.changed.notify_all();
        }
        // The acceptor waits for a client: this is the last.
        drop(TcpStream::connect(self.address));
        acceptor.join().expect("the server's thread did not panic");
    }

    /// What it was asked, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.inner.lock().requests.clone()
    }

    /// How many bytes of bodies it has sent.
    #[must_use]
    pub fn body_bytes(&self) -> u64 {
        self.shared.inner.lock().body_bytes
    }

    /// How many connections it has had.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.inner.lock().accepted
    }

    /// Waits until it was asked for this path so many times, ever.
    ///
    /// # Panics
    ///
    /// When it is not, for too long.
    #[track_caller]
    pub fn wait_for(&self, path: &str, count: usize) {
        let end = Instant::now() + PATIENCE;
        let mut inner = self.shared.inner.lock();
        while inner.requests.iter().filter(|request| request.path == path).count() < count {
            let is_late = self.shared.changed.wait_until(&mut inner, end).timed_out();
            assert!(!is_late, "{path} was not asked for {count} times: {:#?}", inner.requests);
        }
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Inner {
    fn hang_up(&mut self) {
        for connection in self.connections.drain(..) {
            // Who has gone already needs no end.
            let _gone = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn reply_to(&self, request: &Request) -> Reply {
        let inner = self.inner.lock();
        let path = request.path.split('?').next().unwrap_or_default();
        if let Some(reply) = inner.scripts.get(path) {
            return reply.clone();
        }
        let Some(bytes) = inner.files.get(path) else { return Reply::status(404) };
        let etag = format!("\"{}\"", ContentHash::of(bytes));
        if request.header("if-none-match") == Some(&etag) {
            return Reply::not_modified().header("ETag", etag);
        }
        Reply::whole(bytes.clone()).header("ETag", etag)
    }

    fn record(&self, request: Request) {
        self.inner.lock().requests.push(request);
        self.changed.notify_all();
    }

    fn count_body(&self, bytes: u64) {
        self.inner.lock().body_bytes += bytes;
    }

    fn is_over(&self) -> bool {
        self.inner.lock().is_over
    }

    /// Lets this much time pass; whether what was to follow is not wanted any more.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut inner = self.inner.lock();
        let begun = inner.taken_back;
        while !inner.is_over && !inner.is_down && inner.taken_back == begun {
            if self.changed.wait_until(&mut inner, end).timed_out() {
                return false;
            }
        }
        true
    }

    /// Until it is not wanted any more.
    fn hold(&self) {
        let mut inner = self.inner.lock();
        let begun = inner.taken_back;
        while !inner.is_over && !inner.is_down && inner.taken_back == begun {
            self.changed.wait(&mut inner);
        }
    }

    /// Whether this connection is served: it is known from then on, to be closed.
    fn takes(&self, stream: &TcpStream) -> io::Result<bool> {
        let mut inner = self.inner.lock();
        if inner.is_over || inner.is_down {
            return Ok(false);
        }
        inner.accepted += 1;
        inner.connections.push(stream.try_clone()?);
        Ok(true)
    }
}

/// Takes connections until the server is over, and then waits for those who served them.
fn accept(shared: &Arc<Shared>, listener: &TcpListener, tls: Option<&Arc<ServerConfig>>) {
    let mut clients: Vec<JoinHandle<()>> = Vec::new();
    while !shared.is_over() {
        let Ok((stream, _)) = listener.accept() else { continue };
        if !shared.takes(&stream).unwrap_or(false) {
            continue;
        }
        let (shared, tls) = (Arc::clone(shared), tls.cloned());
        let end = stream.try_clone().expect("a socket can be named twice");
        clients.push(thread::spawn(move || {
            // A client that goes away, or will have nothing to do with us, is what tests are about.
            let _gone = match tls {
                None => connection::serve(&shared, stream),
                Some(config) => match ServerConnection::new(config) {
                    Ok(session) => connection::serve(&shared, StreamOwned::new(session, stream)),
                    Err(error) => Err(io::Error::other(error)),
                },
            };
            // It is known by another name, which alone would keep it open.
            let _gone = end.shutdown(Shutdown::Both);
        }));
    }
    for client in clients {
        client.join().expect("who serves a client does not panic");
    }
}
