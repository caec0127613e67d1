//! What a server says of changes makes monitors look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{RecvTimeoutError, bounded, unbounded};
use hotswap_artifact::Bell;

use super::ends::monitor;
use super::server::{Reply, Server, ok, status, wait_for_end};
use super::*;

fn polled(server: &Server) -> HttpPlace {
    HttpPlace::new(server.mirror(), "greet", "stable", patience(LONG), true)
}

#[test]
fn a_server_that_says_something_is_read_at_once() {
    let (publish, published) = unbounded::<()>();
    let release = Arc::new(AtomicU64::new(1));
    let served = Arc::clone(&release);
    let server = Server::new(move |request| {
        let is_waiting = request.header("prefer") == Some("wait=25");
        if is_waiting && published.recv().is_err() {
            return Reply::written(|wire| wait_for_end(wire));
        }
        // Relaxed: the channel orders.
        let etag = format!("\"{}\"", served.load(Ordering::Relaxed));
        match request.header("if-none-match") {
            Some(known) if known == etag => status(304, &[], ""),
            _ => ok(&[("etag", &etag)], &etag),
        }
    });
    let place = polled(&server);
    let (rung, ring) = unbounded();
    let (attachment, end) = monitor(Bell::new(move || rung.send(()).is_ok()));
    place.attach(&attachment);
    for round in 1..4 {
        release.store(round, Ordering::Relaxed);
        if round > 1 {
            publish.send(()).unwrap();
            ring.recv().unwrap();
        }
        assert_eq!(place.manifest().unwrap(), manifest(format!("\"{round}\"").as_bytes()));
    }
    assert!(ring.is_empty(), "one ring for each change");
    // The thread ends in the middle of a question, and with it the last that could ring.
    drop((end, place, attachment));
    assert_eq!(ring.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    drop(publish);
}

#[test]
fn a_server_that_does_not_wait_is_left_alone_for_longer_and_longer() {
    let server = Server::new(|request| match request.header("if-none-match") {
        Some(_) => status(304, &[], ""),
        None => ok(&[("etag", "\"one\"")], "one"),
    });
    let place = at(&server);
    let asked = place.asked();
    let mut waiter = crate::http::long_poll::Waiter::default();
    assert_eq!(waiter.hear(asked).as_secs(), 60, "nothing is known yet");
    assert_eq!(server.requests().len(), 0);
    place.manifest().unwrap();
    let pauses: Vec<u64> = (0..8).map(|_| waiter.hear(asked).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(server.requests().len(), 9);
}

#[test]
fn what_was_told_is_not_told_again_before_it_is_read() {
    let server = Server::always(|| ok(&[("etag", "\"new\"")], "new"));
    let place = at(&server);
    place.manifest().unwrap();
    let (rung, ring) = bounded(10);
    let (attachment, _end) = monitor(Bell::new(move || rung.send(()).is_ok()));
    place.attach(&attachment);
    let mut waiter = crate::http::long_poll::Waiter::default();
    assert_eq!(waiter.hear(place.asked()).as_secs(), 1);
    assert_eq!(ring.len(), 1);
    assert_eq!(waiter.hear(place.asked()).as_secs(), 60);
    assert_eq!((ring.len(), server.requests().len()), (1, 2));
    // Read, so that it is asked for anew.
    place.manifest().unwrap();
    assert_eq!(waiter.hear(place.asked()).as_secs(), 1);
    assert_eq!(ring.len(), 2);
}

#[test]
fn what_fails_rings_nobody() {
    let count = AtomicU64::new(0);
    let server = Server::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => ok(&[("etag", "\"one\"")], "one"),
        1 => status(500, &[], ""),
        2 => Reply::Last(Vec::new()),
        _ => status(404, &[], ""),
    });
    let place = at(&server);
    place.manifest().unwrap();
    let (rung, ring) = bounded(10);
    let (attachment, _end) = monitor(Bell::new(move || rung.send(()).is_ok()));
    place.attach(&attachment);
    let mut waiter = crate::http::long_poll::Waiter::default();
    assert_eq!(waiter.hear(place.asked()).as_secs(), 1);
    assert_eq!(waiter.hear(place.asked()).as_secs(), 2);
    assert!(ring.is_empty());
    waiter.hear(place.asked());
    assert_eq!(ring.len(), 1, "it is gone");
}
