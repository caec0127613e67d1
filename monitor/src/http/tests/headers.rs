//! D17: what headers can do, and what they cannot.

use std::sync::atomic::{AtomicU64, Ordering};

use super::server::{Server, ok, status};
use super::*;

#[test]
fn an_etag_of_a_megabyte_is_an_error_and_the_next_answer_is_taken() {
    let count = AtomicU64::new(0);
    let server = Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => ok(&[("etag", &"x".repeat(1 << 20))], "one"),
        _ => ok(&[], "two"),
    });
    let place = at(&server);
    assert!(refusal(&place).contains("its header section is refused"));
    assert_eq!(place.manifest().unwrap(), manifest(b"two"));
}

#[test]
fn validators_that_are_too_long_are_not_sent_back() {
    let server = Server::always(|| ok(&[("etag", &"x".repeat(2000))], "one"));
    let place = at(&server);
    for _ in 0..2 {
        assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    }
    assert!(server.requests().iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn what_is_good_for_a_while_is_not_asked_for_unless_somebody_asks() {
    let server = Server::new(|request| match request.header("if-none-match") {
        Some(_) => status(304, &[("cache-control", "max-age=60")], ""),
        None => ok(&[("etag", "\"one\""), ("cache-control", "max-age=600")], "one"),
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    for _ in 0..3 {
        assert_eq!(place.manifest().unwrap(), Answer::Same);
    }
    assert_eq!(server.requests().len(), 1);
    place.refresh();
    for _ in 0..3 {
        assert_eq!(place.manifest().unwrap(), Answer::Same);
    }
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn what_is_never_good_is_asked_for_each_time() {
    let server = Server::always(|| ok(&[("cache-control", "max-age=600, no-cache")], "one"));
    let place = at(&server);
    (0..3).for_each(|_| assert_eq!(place.manifest().unwrap(), manifest(b"one")));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_wants_to_be_left_alone_is() {
    for code in [429, 503] {
        let server = Server::always(move || status(code, &[("retry-after", "600")], ""));
        let place = at(&server);
        assert!(refusal(&place).contains(&format!("status {code}")));
        place.refresh();
        let error = refusal(&place);
        assert!(error.contains("wants to be left alone until "), "{error}");
        assert!(place.file(&entry(b"x"), &mut |_| Ok(())).is_err());
        assert_eq!(server.requests().len(), 1);
    }
    // What cannot be read, or is over, means nothing.
    let server = Server::always(|| status(503, &[("retry-after", "soon")], ""));
    let place = at(&server);
    (0..3).for_each(|_| assert!(refusal(&place).contains("status 503")));
    assert_eq!(server.requests().len(), 3);
}
