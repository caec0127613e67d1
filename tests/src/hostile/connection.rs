//! One client's connection: requests are read, and answered as the script says.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::reply::{Body, Reply};
use super::{Request, Shared};

/// The longest head of a request: longer ones are no client's of ours.
const HEAD_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Serves requests until the client, a script or the test has enough.
pub(super) fn serve(shared: &Arc<Shared>, mut stream: impl Read + Write) -> io::Result<()> {
    while let Some(request) = read(&mut stream)? {
        let reply = shared.reply_to(&request);
        shared.record(request);
        if !answer(shared, &mut stream, &reply)? {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` when the client has no more.
fn read(stream: &mut impl Read) -> io::Result<Option<Request>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
        if head.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Some(Request { method, path, headers: lines.filter_map(header).collect() }))
}

/// Whether the connection can go on.
fn answer(shared: &Shared, stream: &mut impl Write, reply: &Reply) -> io::Result<bool> {
    let head = |more: &str| {
        let mut head = format!("HTTP/1.1 {} Said\r\n{more}", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head + "\r\n"
    };
    let length = |length: u64| format!("Content-Length: {length}\r\n");
    let chunked = "Transfer-Encoding: chunked\r\n";
    let mut goes_on = true;
    match &reply.body {
        Body::None => stream.write_all(head("").as_bytes())?,
        Body::Whole(bytes) => {
            stream.write_all(head(&length(bytes.len() as u64)).as_bytes())?;
            body(shared, stream, bytes)?;
        }
        Body::Chunked(bytes) => {
            stream.write_all(head(chunked).as_bytes())?;
            chunk(shared, stream, bytes)?;
            stream.write_all(b"0\r\n\r\n")?;
        }
        Body::Claimed { bytes, length: claimed } => {
            stream.write_all(head(&length(*claimed)).as_bytes())?;
            body(shared, stream, bytes)?;
            goes_on = false;
        }
        Body::Endless { first, again } => {
            stream.write_all(head(chunked).as_bytes())?;
            chunk(shared, stream, first)?;
            while !shared.is_over() {
                chunk(shared, stream, again)?;
            }
            goes_on = false;
        }
        Body::EndlessStream => {
            stream.write_all(head("Connection: close\r\n").as_bytes())?;
            let piece = vec![b'a'; 64 * 1024];
            while !shared.is_over() {
                body(shared, stream, &piece)?;
            }
            goes_on = false;
        }
        Body::Drip { bytes, pause } => {
            stream.write_all(head(&length(bytes.len() as u64)).as_bytes())?;
            for byte in bytes {
                body(shared, stream, std::slice::from_ref(byte))?;
                if shared.pause(*pause) {
                    break;
                }
            }
        }
        Body::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 Said\r\n")?;
            while !shared.is_over() {
                stream.write_all(format!("X-More: {}\r\n", "a".repeat(1_000)).as_bytes())?;
            }
            goes_on = false;
        }
        Body::Held => {
            shared.hold();
            goes_on = false;
        }
        Body::Cut => goes_on = false,
        Body::Noise(bytes) => {
            body(shared, stream, bytes)?;
            goes_on = false;
        }
    }
    stream.flush()?;
    Ok(goes_on)
}

fn chunk(shared: &Shared, stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(()); // An empty chunk is the end.
    }
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
    body(shared, stream, bytes)?;
    stream.write_all(b"\r\n")
}

fn body(shared: &Shared, stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()?;
    shared.count_body(bytes.len() as u64);
    Ok(())
}
