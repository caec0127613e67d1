//! What a server is shown is shown to nobody else.

use std::thread::ThreadId;

use hotswap_artifact::{Fetch as _, Source};
use hotswap_trust::Trust;
use log::LevelFilter;
use parking_lot::Mutex;

use super::server::{Reply, Server, status};
use super::*;
use crate::delivery::Releases;
use crate::http::{HttpModules, HttpSource};

/// What shows a secret, in any form.
const SECRETS: [&str; 4] = ["geheim", "Z2VoZWlt", "bGljZTpnZWhlaW0", "YWxpY2U6Z2VoZWlt"];

fn shows_none(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn credentials_go_to_their_server_alone_and_stand_nowhere() {
    let unwilling = || status(403, &[("www-authenticate", "Basic")], "no");
    let (server, mirror, own) =
        (Server::always(unwilling), Server::always(unwilling), Server::always(unwilling));
    let directory = tempfile::tempdir().unwrap();
    let trust = Trust::anybody().remember_in(directory.path()).cache_in(directory.path());
    let address = format!("{}/modules#greet", server.origin());
    let source = HttpSource::new(&address, trust.clone())
        .unwrap()
        .basic("alice", "geheim")
        .mirror(mirror.mirror())
        .mirror(own.mirror().bearer("geheim-2"));
    shows_none(&format!("{source:?}"));
    let releases = Releases::from(source);
    let error = releases.fingerprint().unwrap_err();
    let text = format!("{releases:?} {}", told(&error));
    shows_none(&text);
    assert!(text.contains("does not accept what it is shown"), "{text}");
    shows_none(&format!("{} {} {:?}", releases.name(), releases.kind(), releases.assurance()));
    let source = Source::from(releases);
    shows_none(&format!("{source} {source:?}"));
    let shown = |server: &Server| {
        let requests = server.requests();
        assert!(!requests.is_empty(), "each was asked");
        requests[0].header("authorization").map(str::to_owned)
    };
    assert_eq!(shown(&server).as_deref(), Some("Basic YWxpY2U6Z2VoZWlt"));
    assert_eq!(shown(&mirror), None);
    assert_eq!(shown(&own).as_deref(), Some("Bearer geheim-2"));
    let modules = HttpModules::new(&format!("{}/modules", server.origin()), trust).unwrap();
    shows_none(&format!("{:?}", modules.bearer("geheim")));
}

#[test]
fn what_cannot_be_shown_is_told_without_it_and_not_sent() {
    let server = Server::always(|| Reply::Last(Vec::new()));
    for mirror in [server.mirror().bearer("geheim\n"), server.mirror().basic("a:b", "geheim")] {
        let error = refusal(&greet(mirror, LONG));
        assert!(error.contains("cannot be sent"), "{error}");
        shows_none(&error);
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn what_a_server_is_shown_does_not_get_into_the_log_of_the_program() {
    let server = Server::new(|request| match request.path.as_str() {
        "/there" => status(401, &[], ""),
        _ => status(302, &[("location", "/there")], ""),
    });
    let place = greet(server.mirror().basic("alice", "geheim"), LONG);
    let (error, records) = RECORDS.during(LevelFilter::Debug, || refusal(&place));
    assert!(error.contains("status 401"), "{error}");
    assert!(records.contains("GET"), "the client keeps records: {records}");
    shows_none(&records);
    // At this level it would keep all that it sends.
    let asked = server.requests().len();
    let (error, records) = RECORDS.during(LevelFilter::Trace, || refusal(&place));
    assert!(error.contains("`trace` of `ureq_proto`"), "{error}");
    shows_none(&format!("{error} {records}"));
    assert_eq!(server.requests().len(), asked, "nothing was sent");
    let place = at(&server);
    let (error, _) = RECORDS.during(LevelFilter::Trace, || refusal(&place));
    assert!(error.contains("status 401"), "who is shown nothing is asked: {error}");
}

/// What this thread logs.
struct Records {
    text: Mutex<String>,
    thread: Mutex<Option<ThreadId>>,
}

static RECORDS: Records = Records { text: Mutex::new(String::new()), thread: Mutex::new(None) };

impl Records {
    /// What is logged meanwhile, down to this level.
    fn during<T>(&'static self, level: LevelFilter, work: impl FnOnce() -> T) -> (T, String) {
        // The only logger of these tests; a second call finds it there.
        let _there = log::set_logger(self);
        *self.thread.lock() = Some(std::thread::current().id());
        log::set_max_level(level);
        let done = work();
        log::set_max_level(LevelFilter::Off);
        (done, std::mem::take(&mut *self.text.lock()))
    }
}

impl log::Log for Records {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        *self.thread.lock() == Some(std::thread::current().id())
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.text.lock().push_str(&format!("{} {}\n", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}
