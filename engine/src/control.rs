//! A running engine, or a registry of them, asked and told from outside by a socket that only its user may connect to.
//!
//! A connection carries one request and one answer, each a line of JSON: `{"command": "rollback", "version": 3, "reason":
//! ".."}`, answered by `{"ok": ..}` or `{"error": ".."}`. The command line `hotswap` is one such client; `socat` is
//! another.

mod answer;
mod modules;

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotswap_system::socket::{self, Listener, Peer};
use hotswap_system::{clock, process, thread};
use serde_json::{Value, json};

use crate::error::OpenErrorKind;

/// The longest request: a command, a number and a reason take some hundred bytes.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

/// How long a client may take to say what it wants, or to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many requests are answered at a time: a person and a few scripts. More are turned away.
const CLIENTS_MAX: usize = 16;

/// How long it is before a connection is waited for again when the system has none to give.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Who is asked and told.
pub(crate) trait Controlled: Send + Sync + 'static {
    /// Whether nobody is to be let in any more.
    fn is_closed(&self) -> bool;

    /// Does what is asked, and writes down who asked.
    fn answer(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Value, String>;
}

/// What somebody asks.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) command: &'a str,
    /// Of a registry's modules this one.
    pub(crate) module: Option<&'a str>,
    pub(crate) version: Option<u64>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) peer: Peer,
}

/// Lets somebody be asked and told at a socket.
pub(crate) fn open<C: Controlled>(
    controlled: &Arc<C>,
    path: PathBuf,
) -> Result<Control, OpenErrorKind> {
    Control::start(controlled, &path)
        .map_err(|error| OpenErrorKind::Control { path, error: Arc::new(error) })
}

/// Answers requests until it is dropped.
#[derive(Debug)]
pub(crate) struct Control {
    listener: Arc<Listener>,
    process_id: u32,
}

impl Control {
    /// Listens under a path.
    fn start<C: Controlled>(controlled: &Arc<C>, path: &Path) -> io::Result<Self> {
        let listener = Arc::new(Listener::bind(path)?);
        let server = Server {
            listener: Arc::clone(&listener),
            controlled: Arc::downgrade(controlled),
            clients: Arc::new(AtomicUsize::new(0)),
        };
        thread::spawn("hotswap-control", move || server.run())?;
        Ok(Self { listener, process_id: process::id() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // In a forked child the socket is the parent's still.
        if process::id() == self.process_id {
            self.listener.shut_down();
        } else {
            std::mem::forget(Arc::clone(&self.listener));
        }
    }
}

/// The thread that waits for clients. What it knows keeps no engine alive.
struct Server<C> {
    listener: Arc<Listener>,
    controlled: Weak<C>,
    clients: Arc<AtomicUsize>,
}

impl<C: Controlled> Server<C> {
    fn run(&self) {
        loop {
            let accepted = self.listener.accept();
            let Some(controlled) = self.controlled.upgrade() else { return };
            if controlled.is_closed() {
                return;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(controlled, stream, peer),
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                // No descriptor is left, say: soon there is one.
                Err(_) => drop(clock::after(RETRY_DELAY).recv()),
            }
        }
    }

    /// Answers on a thread of its own: a reload takes as long as a build.
    fn admit(&self, controlled: Arc<C>, stream: UnixStream, peer: Peer) {
        // Relaxed: a count, which orders nothing.
        if self.clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS_MAX {
            self.clients.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let clients = Arc::clone(&self.clients);
        let served = thread::spawn("hotswap-client", move || {
            // Whoever went away meanwhile is told nothing.
            let _ = serve(&controlled, &stream, peer);
            clients.fetch_sub(1, Ordering::Relaxed);
        });
        if served.is_err() {
            self.clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn serve<C: Controlled>(controlled: &Arc<C>, stream: &UnixStream, peer: Peer) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream).take(REQUEST_BYTES_MAX).read_until(b'\n', &mut line)?;
    let answer = match reply(controlled, &line, peer) {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": error }),
    };
    let mut stream = stream;
    stream.write_all(format!("{answer}\n").as_bytes())
}

fn reply<C: Controlled>(controlled: &Arc<C>, line: &[u8], peer: Peer) -> Result<Value, String> {
    // The file's mode says so too; but modes can be changed.
    if ![0, socket::own_user()].contains(&peer.user) {
        return Err("only the user of the program may control it".to_owned());
    }
    let request: Value = serde_json::from_slice(line)
        .map_err(|error| format!("a request is one line of JSON: {error}"))?;
    let text = |key: &str| request[key].as_str();
    let command = text("command").ok_or("a request has a \"command\"")?;
    let version = match &request["version"] {
        Value::Null => None,
        number => Some(number.as_u64().ok_or("a \"version\" is a number")?),
    };
    let (module, reason) = (text("module"), text("reason"));
    controlled.answer(&Asked { command, module, version, reason, peer })
}
