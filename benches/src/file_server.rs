//! The least web server that a client can be measured with: files of one directory, on loopback, with a validator each.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hotswap_engine::ContentHash;

use crate::Outcome;

/// A server; its threads end with the process.
#[derive(Debug)]
pub struct FileServer {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// What was served.
#[derive(Debug, Clone, Copy)]
pub struct Served {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
}

impl FileServer {
    /// Serves what lies in this directory, at each request as it is then.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub fn start(directory: &Path) -> Outcome<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let counts = Arc::<Counts>::default();
        let (shared, directory) = (Arc::clone(&counts), directory.to_owned());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (counts, directory) = (Arc::clone(&shared), directory.clone());
                thread::spawn(move || serve(stream, &directory, &counts));
            }
        });
        Ok(Self { address, counts })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it served until now. Who was answered is counted.
    #[must_use]
    pub fn served(&self) -> Served {
        // Relaxed: the answer, which comes after the count, orders.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Served { requests: read(&self.counts.requests), bytes: read(&self.counts.bytes) }
    }
}

fn serve(stream: TcpStream, directory: &Path, counts: &Counts) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let path = line.split(' ').nth(1)?.trim_start_matches('/').to_owned();
        let mut known = None;
        loop {
            let mut header = String::new();
            lines.read_line(&mut header).ok()?;
            let header = header.trim_end();
            if header.is_empty() {
                break;
            }
            let (name, value) = header.split_once(": ")?;
            if name.eq_ignore_ascii_case("if-none-match") {
                known = Some(value.to_owned());
            }
        }
        let answer = answer(&directory.join(path), known.as_deref(), counts);
        lines.get_mut().write_all(&answer).ok()?;
    }
}

fn answer(path: &Path, known: Option<&str>, counts: &Counts) -> Vec<u8> {
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let Ok(body) = fs::read(path) else {
        return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
    };
    // A file under its hash has that for a validator; no request for one is conditional.
    let etag = match path.extension() {
        Some(_) => format!("\"{}\"", ContentHash::of(&body)),
        None => "\"file\"".to_owned(),
    };
    if known == Some(etag.as_str()) {
        return format!("HTTP/1.1 304 Not Modified\r\netag: {etag}\r\n\r\n").into_bytes();
    }
    counts.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    let head = format!("HTTP/1.1 200 OK\r\netag: {etag}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), &body].concat()
}

/// The same question again and again, on one connection, with the validator of the first answer.
#[derive(Debug)]
pub struct Question {
    connection: BufReader<TcpStream>,
    request: String,
}

impl Question {
    /// Asks for a path the first time.
    ///
    /// # Errors
    ///
    /// When there is no such file.
    pub fn of(server: &FileServer, path: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(server.address)?;
        stream.set_nodelay(true)?;
        let host = server.address;
        let mut question = Self {
            connection: BufReader::new(stream),
            request: format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        };
        let head = question.head()?;
        let value = |name| head.iter().find_map(|line| line.strip_prefix(name));
        let length = value("content-length: ").ok_or("no length")?.parse()?;
        question.connection.read_exact(&mut vec![0; length])?;
        let etag = value("etag: ").ok_or("no validator")?;
        question.request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nif-none-match: {etag}\r\n\r\n");
        Ok(question)
    }

    /// Asks again, and waits for the answer that nothing changed.
    ///
    /// # Errors
    ///
    /// When something did.
    pub fn ask(&mut self) -> Outcome<()> {
        match self.head()?.first() {
            Some(status) if status.starts_with("HTTP/1.1 304") => Ok(()),
            status => Err(format!("{status:?}").into()),
        }
    }

    fn head(&mut self) -> Outcome<Vec<String>> {
        self.connection.get_mut().write_all(self.request.as_bytes())?;
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line)?;
            match line.trim_end() {
                "" => return Ok(head),
                line => head.push(line.to_owned()),
            }
        }
    }
}
