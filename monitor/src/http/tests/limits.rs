//! D6 and D7: bytes without end, and bytes that do not come.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use hotswap_trust::SIGNED_BYTES_MAX;

use super::server::{Reply, Server, head, ok};
use super::*;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

/// An answer like this is refused, as manifest and as file, and the next good one is taken.
fn is_refused(reply: impl Fn() -> Reply + Send + Sync + 'static, expected: &str) {
    let count = AtomicU64::new(0);
    let server = Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => reply(),
        _ => ok(&[], "good"),
    });
    let place = at(&server);
    let error = refusal(&place);
    assert!(error.contains(expected) && error.contains(&server.origin()), "{error}");
    let mut read = 0;
    let mut receive = |chunk: &[u8]| {
        read += chunk.len();
        Ok(())
    };
    let error = told(&place.file(&entry(b"four"), &mut receive).unwrap_err());
    assert!(error.contains(expected), "{error}");
    assert!(read <= 100_000, "{read} bytes were taken");
    assert_eq!(place.manifest().unwrap(), manifest(b"good"));
}

#[test]
fn d6_a_body_that_does_not_end() {
    is_refused(|| Reply::endless(head(200, &[]), [b'x'; 1000]), "bytes that there can be");
}

#[test]
fn d6_chunks_that_do_not_end() {
    let more = b"400\r\n".iter().chain(&[b'x'; 0x400]).chain(b"\r\n").copied().collect::<Vec<u8>>();
    is_refused(
        move || Reply::endless(head(200, &[CHUNKED]), more.clone()),
        "bytes that there can be",
    );
}

#[test]
fn d6_a_length_that_is_too_large_is_refused_before_a_byte() {
    let length = (SIGNED_BYTES_MAX + 1).to_string();
    is_refused(
        move || Reply::silent_after(head(200, &[("content-length", &length)])),
        "bytes that there can be",
    );
}

#[test]
fn d6_a_gzip_bomb_is_not_unpacked() {
    let bomb = gzip(&vec![0; SIGNED_BYTES_MAX * 2]);
    assert!(bomb.len() < SIGNED_BYTES_MAX / 100);
    is_refused(
        move || {
            let mut bytes = head(200, &[GZIP]);
            bytes.extend_from_slice(&bomb);
            Reply::Last(bytes)
        },
        "bytes that there can be",
    );
}

#[test]
fn d6_packed_nothings_without_end() {
    // Each of them is whole, and unpacks to nothing.
    let nothing = gzip(b"");
    is_refused(
        move || Reply::endless(head(200, &[GZIP]), nothing.repeat(100)),
        "sends more than there can be",
    );
}

#[test]
fn what_says_gzip_and_is_not() {
    is_refused(|| ok(&[GZIP], "plain"), "says gzip and sends something else");
}

#[test]
fn what_is_packed_is_unpacked_once() {
    let text = "a manifest ".repeat(1000);
    let (packed, plain) = (gzip(text.as_bytes()), text.clone());
    let server = Server::new(move |request| {
        assert_eq!(request.header("accept-encoding"), Some("gzip"));
        ok(&[GZIP], &packed)
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(plain.as_bytes()));
    assert_eq!(place.manifest().unwrap(), manifest(plain.as_bytes()));
    assert_eq!(server.connections(), 1, "it was read to its end");
}

#[test]
fn a_length_that_is_wrong_is_no_whole_answer_and_nothing_of_the_next() {
    let count = AtomicU64::new(0);
    let server = Server::new(move |_| {
        match count.fetch_add(1, Ordering::Relaxed) {
        // Longer than it says: the rest is nobody's.
        0 => Reply::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\noneHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil".to_vec()),
        1 => ok(&[], "two"),
        _ => Reply::Last(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".to_vec()),
    }
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    assert_eq!(place.manifest().unwrap(), manifest(b"two"));
    assert_eq!(server.connections(), 2, "nothing that came unasked is read");
    assert!(refusal(&place).contains("before its answer was whole"));
}

#[test]
fn d7_a_server_that_says_nothing_is_not_waited_for() {
    for beginning in
        ["", "HTTP/1.1 200 OK\r\netag: ", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nx"]
    {
        let server = Server::always(move || Reply::silent_after(beginning));
        let place = greet(server.mirror(), SHORT);
        assert!(refusal(&place).contains("takes too long to answer"));
        let file = place.file(&entry(b"four"), &mut |_| Ok(()));
        assert!(told(&file.unwrap_err()).contains("takes too long to answer"));
    }
}

#[test]
fn d7_bytes_that_come_too_slowly_end() {
    use crate::http::body::{Pace, RATE_GRACE};
    let second = Duration::from_secs(1);
    // A byte in ten seconds: over at the first.
    assert!(Pace::of_at_least(1024).is_too_slow(1, second * 10));
    // What the rate asks for, and what begins slowly.
    let mut pace = Pace::of_at_least(1024);
    assert!(!pace.is_too_slow(1, RATE_GRACE));
    assert!((0..100).all(|_| !pace.is_too_slow(1024, second)));
    // Fast at first does not make up for nothing at all.
    assert!((0..200).any(|_| pace.is_too_slow(1, second)));
    // No rate is no limit.
    assert!(!Pace::of_at_least(0).is_too_slow(1, second * 1000));
}

#[test]
fn d6_headers_without_end() {
    is_refused(|| Reply::endless("HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n".repeat(100)), "");
    is_refused(
        || Reply::endless("HTTP/1.1 200 OK\r\netag: \"", [b'x'; 1000]),
        "its header section is refused",
    );
}
