//! What is asked, and what answers mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hotswap_artifact::FetchErrorKind;

use super::server::{Reply, Server, ok, status};
use super::*;

#[test]
fn an_idle_look_is_one_request_on_one_connection_and_has_no_body() {
    let server = Server::new(|request| match request.header("if-none-match") {
        Some("\"one\"") => status(304, &[("etag", "\"one\"")], ""),
        _ => ok(&[("etag", "\"one\""), ("last-modified", "yesterday")], "one"),
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    for _ in 0..5 {
        assert_eq!(place.manifest().unwrap(), Answer::Same);
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(server.connections(), 1);
    assert!(requests.iter().all(|request| request.connection == 1));
    assert!(
        requests.iter().all(|request| request.path == "/modules/greet/stable/hotswap.manifest")
    );
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(requests[1].header("if-modified-since"), Some("yesterday"));
}

#[test]
fn a_change_is_read_and_what_is_known_changes_with_it() {
    let now = Arc::new(AtomicU64::new(1));
    let served = Arc::clone(&now);
    let server = Server::new(move |request| {
        // Relaxed: what was asked before is answered before.
        let etag = format!("\"{}\"", served.load(Ordering::Relaxed));
        match request.header("if-none-match") {
            Some(known) if known == etag => status(304, &[], ""),
            _ => ok(&[("etag", &etag)], &etag),
        }
    });
    let place = at(&server);
    for round in 1..4 {
        now.store(round, Ordering::Relaxed);
        assert_eq!(place.manifest().unwrap(), manifest(format!("\"{round}\"").as_bytes()));
        assert_eq!(place.manifest().unwrap(), Answer::Same);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_went_wrong_does_not_make_the_next_answer_the_same() {
    // Half of an answer, and then one that says that nothing changed.
    let count = AtomicU64::new(0);
    let server = Server::new(move |request| match count.fetch_add(1, Ordering::Relaxed) {
        0 => ok(&[("etag", "\"one\"")], "one"),
        1 => Reply::Last(
            b"HTTP/1.1 200 OK\r\netag: \"two\"\r\ncontent-length: 9\r\n\r\ntwo".to_vec(),
        ),
        _ if request.headers.contains_key("if-none-match") => status(304, &[], ""),
        _ => ok(&[("etag", "\"two\"")], "two"),
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    assert!(refusal(&place).contains("before its answer was whole"));
    assert_eq!(place.manifest().unwrap(), manifest(b"two"));
    assert_eq!(place.manifest().unwrap(), Answer::Same);
}

#[test]
fn d17_a_304_without_a_question_is_no_answer() {
    let server = Server::always(|| status(304, &[("etag", "\"x\"")], ""));
    let place = at(&server);
    for _ in 0..2 {
        assert!(refusal(&place).contains("was not asked that"));
    }
}

#[test]
fn a_module_that_is_not_there_is_absent_until_it_is() {
    let count = AtomicU64::new(0);
    let server = Server::new(move |request| {
        assert_eq!(request.header("if-none-match"), None, "it has gone");
        match count.fetch_add(1, Ordering::Relaxed) {
            1 => status(404, &[], "not found"),
            2 => status(410, &[], "gone"),
            _ => ok(&[("etag", "\"one\"")], "one"),
        }
    });
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    // The first condition is left out: the first answer is forgotten below.
    drop(place);
    let place = at(&server);
    assert_eq!(place.manifest().unwrap(), Answer::Absent);
    assert_eq!(place.manifest().unwrap(), Answer::Absent);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
}

#[test]
fn statuses_say_what_to_do() {
    for (code, expected) in [
        (401, "wants to know who asks: give `bearer` (--bearer-file) or `basic` (status 401)"),
        (
            403,
            "does not let everybody read this: give `bearer` (--bearer-file) or `basic` (status 403)",
        ),
        (500, "has a problem of its own (status 500)"),
        (502, "has a problem of its own (status 502)"),
        (429, "is asked too often (status 429)"),
        (206, "answers what no place of modules answers (status 206)"),
        (418, "answers what no place of modules answers (status 418)"),
    ] {
        let server = Server::always(move || status(code, &[], "a page"));
        let error = refusal(&at(&server));
        assert!(error.contains(&format!("{} {expected}", server.origin())), "{error}");
        let file = at(&server).file(&entry(b"x"), &mut |_| panic!("no byte of it is taken"));
        assert!(told(&file.unwrap_err()).contains(expected));
    }
}

#[test]
fn files_are_asked_for_by_their_hash_on_the_same_connection() {
    let server = Server::new(|request| match request.path.contains("/files/") {
        true => ok(&[], vec![7; 200_000]),
        false => ok(&[], "manifest"),
    });
    let place = at(&server);
    place.manifest().unwrap();
    let file = entry(&[7; 200_000]);
    let mut read = Vec::new();
    let mut receive = |chunk: &[u8]| {
        read.extend_from_slice(chunk);
        Ok(())
    };
    place.file(&file, &mut receive).unwrap();
    assert_eq!(read, [7; 200_000]);
    assert_eq!(server.paths()[1], format!("/modules/greet/files/{}", file.hash));
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_the_receiver_says_is_the_error() {
    let server = Server::always(|| ok(&[], "bytes"));
    let says = |_: &[u8]| Err(FetchError::refused("not these"));
    let error = at(&server).file(&entry(b"bytes"), &mut { says }).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.kind), ("not these", FetchErrorKind::Refused));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let server = Server::always(|| ok(&[], ""));
    let (mirror, origin) = (server.mirror(), server.origin());
    drop(server);
    let error = refusal(&greet(mirror, LONG));
    assert!(error.contains(&format!("{origin} is not there")), "{error}");
}

#[test]
fn what_is_no_http_is_told_and_the_next_answer_is_taken() {
    for nonsense in ["SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1\r\n\r\n", "\u{0}\r\n\r\n", ""] {
        let count = AtomicU64::new(0);
        let server = Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::Last(nonsense.into()),
            _ => ok(&[], "one"),
        });
        let place = at(&server);
        let error = refusal(&place);
        assert!(error.contains(&server.origin()), "{error}");
        assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    }
}
