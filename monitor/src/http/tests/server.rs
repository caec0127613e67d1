//! The server: it writes down what it is asked, and answers what it is told to, on loopback.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::Mirror;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) path: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    /// On which connection it came, counted from 1.
    pub(super) connection: usize,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What there is to write to.
pub(super) trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// Writes an answer.
type Writer = dyn FnOnce(&mut dyn Wire) + Send;

/// An answer.
pub(super) enum Reply {
    /// These bytes; the connection stays.
    Bytes(Vec<u8>),
    /// These bytes, and the end of the connection.
    Last(Vec<u8>),
    /// Whatever this writes, and the end of the connection.
    Written(Box<Writer>),
}

impl Reply {
    pub(super) fn written(write: impl FnOnce(&mut dyn Wire) + Send + 'static) -> Self {
        Self::Written(Box::new(write))
    }

    /// Writes this beginning, and nothing more until the client goes.
    pub(super) fn silent_after(beginning: impl Into<Vec<u8>>) -> Self {
        let beginning = beginning.into();
        Self::written(move |wire| {
            let _gone = wire.write_all(&beginning);
            let _gone = wire.flush();
            wait_for_end(wire);
        })
    }

    /// Writes this beginning, and then this again and again until the client goes.
    pub(super) fn endless(beginning: impl Into<Vec<u8>>, more: impl Into<Vec<u8>>) -> Self {
        let (beginning, more) = (beginning.into(), more.into());
        Self::written(move |wire| {
            let mut written = wire.write_all(&beginning);
            while written.is_ok() {
                written = wire.write_all(&more);
            }
        })
    }
}

/// Until the client goes.
pub(super) fn wait_for_end(wire: &mut dyn Wire) {
    let mut byte = [0];
    while matches!(wire.read(&mut byte), Ok(1)) {}
}

/// `200`, with these headers.
pub(super) fn ok(headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    status(200, headers, body)
}

/// Any status.
pub(super) fn status(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
    let body = body.as_ref();
    let mut bytes = head(status, headers);
    if status != 304 {
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
    }
    Reply::Bytes(bytes)
}

/// The header section of an answer.
pub(super) fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Said So\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// What was asked, and who asked.
#[derive(Default)]
struct Book {
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    workers: Vec<JoinHandle<()>>,
    is_over: bool,
}

/// A server; it ends with this.
pub(super) struct Server {
    port: u16,
    scheme: &'static str,
    book: Arc<Mutex<Book>>,
    listening: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, answer)
    }

    pub(super) fn with_tls(
        config: ServerConfig,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(Arc::new(config)), answer)
    }

    fn start(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let book = Arc::<Mutex<Book>>::default();
        let (shared, answer) = (Arc::clone(&book), Arc::new(answer));
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let mut book = shared.lock();
                if book.is_over {
                    return;
                }
                book.connections.push(stream.try_clone().unwrap());
                let connection = book.connections.len();
                let (shared, answer, tls) = (Arc::clone(&shared), Arc::clone(&answer), tls.clone());
                book.workers.push(std::thread::spawn(move || {
                    let asked = |request: &Request| {
                        shared.lock().requests.push(request.clone());
                        answer(request)
                    };
                    match tls {
                        None => serve(&stream, connection, asked),
                        Some(config) => {
                            let connected = ServerConnection::new(config).unwrap();
                            serve(StreamOwned::new(connected, &stream), connection, asked);
                        }
                    }
                    let _either = stream.shutdown(Shutdown::Both);
                }));
            }
        });
        Self { port, scheme, book, listening: Some(listening) }
    }

    /// A server that gives the same answer to everything.
    pub(super) fn always(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::new(move |_| reply())
    }

    pub(super) fn origin(&self) -> String {
        self.origin_of("localhost")
    }

    pub(super) fn origin_of(&self, host: &str) -> String {
        format!("{}://{host}:{}", self.scheme, self.port)
    }

    pub(super) fn mirror(&self) -> Mirror {
        Mirror::new(&format!("{}/modules", self.origin())).unwrap()
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.book.lock().requests.clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.book.lock().connections.len()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut book = self.book.lock();
        book.is_over = true;
        for connection in &book.connections {
            let _gone = connection.shutdown(Shutdown::Both);
        }
        let workers = std::mem::take(&mut book.workers);
        drop(book);
        let _woken = TcpStream::connect(("127.0.0.1", self.port));
        let listening = self.listening.take();
        let ended: Vec<_> = workers.into_iter().chain(listening).map(JoinHandle::join).collect();
        if !std::thread::panicking() {
            assert!(ended.iter().all(Result::is_ok), "the server panicked");
        }
    }
}

fn serve(wire: impl Wire, connection: usize, asked: impl Fn(&Request) -> Reply) {
    let mut wire = BufReader::new(wire);
    while let Some(request) = read(&mut wire, connection) {
        let reply = asked(&request);
        let wire = wire.get_mut();
        match reply {
            Reply::Bytes(bytes) => {
                if wire.write_all(&bytes).and_then(|()| wire.flush()).is_err() {
                    return;
                }
            }
            Reply::Last(bytes) => {
                let _gone = wire.write_all(&bytes).and_then(|()| wire.flush());
                return;
            }
            Reply::Written(write) => return write(wire),
        }
    }
}

fn read(wire: &mut BufReader<impl Wire>, connection: usize) -> Option<Request> {
    let mut first = String::new();
    wire.read_line(&mut first).ok().filter(|read| *read > 0)?;
    let path = first.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        wire.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            None => return Some(Request { path, headers, connection }),
        }
    }
}
