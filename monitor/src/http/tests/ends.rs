//! What is asked for a monitor ends with it.

use hotswap_artifact::{Attachment, Bell};
use parking_lot::Mutex;

use super::server::{Reply, Server, ok};
use super::*;
use crate::{StopHandle, StopSignal};

/// A monitor, and its end.
pub(super) fn monitor(bell: Bell) -> (Attachment, StopHandle) {
    let (handle, signal) = StopSignal::new();
    let is_over = signal.clone();
    let monitor = Attachment::new(bell, None, move || is_over.is_stopped());
    (monitor.telling_end(move |work| signal.when_stopped(work)), handle)
}

#[test]
fn who_waits_for_a_server_is_woken_when_its_monitor_ends() {
    let silent = |beginning: &'static str| {
        let (attachment, handle) = monitor(Bell::new(|| true));
        let handle = Mutex::new(Some(handle));
        let server = Server::always(move || {
            let handle = handle.lock().take();
            Reply::written(move |wire| {
                let _gone = wire.write_all(beginning.as_bytes());
                // The client waits for the rest, for as long as it takes.
                drop(handle);
                server::wait_for_end(wire);
            })
        });
        let place = at(&server);
        place.attach(&attachment);
        (server, place)
    };
    for beginning in ["", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nx"] {
        let (server, place) = silent(beginning);
        assert!(refusal(&place).contains("nobody waits for it any more"));
        // And nothing is asked from then on.
        assert!(refusal(&place).contains("nobody waits for it any more"));
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn the_end_of_one_monitor_is_nothing_to_another() {
    let (first, first_end) = monitor(Bell::new(|| true));
    let (second, second_end) = monitor(Bell::new(|| true));
    let first_end = Mutex::new(Some(first_end));
    let server = Server::always(move || {
        // In the middle of the first question.
        drop(first_end.lock().take());
        ok(&[], "one")
    });
    let place = at(&server);
    place.attach(&first);
    place.attach(&second);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    assert!(first.is_over());
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
    drop(second_end);
    assert!(place.manifest().is_err());
    // Whoever comes later is served.
    let (third, _end) = monitor(Bell::new(|| true));
    place.attach(&third);
    assert_eq!(place.manifest().unwrap(), manifest(b"one"));
}
