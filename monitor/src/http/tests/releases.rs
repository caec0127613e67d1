//! The way of a release: from a server into a directory, checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hotswap_artifact::{
    Collection as _, Fetch as _, FetchErrorKind, Host, ModuleName, Outcome, Source,
};
use hotswap_trust::{CodeKind, KeyPair, Manifest, PublicKeys, Signed, Timestamp, Trust};
use parking_lot::{Condvar, Mutex};

use super::server::{Reply, Server, ok, status};
use super::*;
use crate::delivery::Releases;
use crate::http::{HttpModules, HttpSource};
use crate::{BuildSettings, Monitor, SharedMonitor};

/// Bytes by the path of a request.
type Files = BTreeMap<String, Vec<u8>>;

/// What lies on a server, and who waits for it to be another.
#[derive(Clone, Default)]
struct Site(Arc<(Mutex<Files>, Condvar)>);

impl Site {
    /// Serves it as any server does.
    fn serve(&self) -> Server {
        let files = Arc::clone(&self.0);
        Server::new(move |request| {
            let (files, changed) = &*files;
            let mut files = files.lock();
            let etag = |bytes: &Vec<u8>| format!("\"{}\"", ContentHash::of(bytes));
            let is_waiting = |files: &mut Files| {
                let now = files.get(&request.path).map(etag);
                let is_same = now.as_deref() == request.header("if-none-match");
                is_same && !files.contains_key("/modules/greet/end")
            };
            if request.headers.contains_key("prefer") {
                changed.wait_while(&mut files, is_waiting);
            }
            let Some(bytes) = files.get(&request.path) else { return status(404, &[], "no") };
            let etag = etag(bytes);
            match request.header("if-none-match") == Some(etag.as_str()) {
                true => status(304, &[("etag", &etag)], ""),
                false => ok(&[("etag", &etag), ("cache-control", "max-age=600")], bytes),
            }
        })
    }

    fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.0.0.lock().insert(format!("/modules/greet/{path}"), bytes.into());
        self.0.1.notify_all();
    }

    fn manifest(&self) -> Option<Vec<u8>> {
        self.0.0.lock().get("/modules/greet/stable/hotswap.manifest").cloned()
    }

    /// Publishes a release of one file of source.
    fn publish(&self, key: &KeyPair, number: u64, text: &str) {
        self.publish_as("greet.rs", &|_| {}, key, number, text);
    }

    /// Publishes a library, of which only its bytes are looked at.
    fn publish_library(&self, key: &KeyPair, number: u64, text: &str) {
        let for_host = |manifest: &mut Manifest| {
            manifest.kind = CodeKind::Prebuilt;
            let Host { target, abi, toolchain, .. } = host();
            manifest.target = Some(target);
            manifest.abi = Some(abi);
            manifest.toolchain = Some(toolchain);
        };
        self.publish_as("libgreet.so", &for_host, key, number, text);
    }

    fn publish_as(
        &self,
        name: &str,
        of: &dyn Fn(&mut Manifest),
        key: &KeyPair,
        number: u64,
        text: &str,
    ) {
        let expires = Timestamp::now().after(Duration::from_secs(3600));
        let mut manifest = Manifest::new("greet", CodeKind::File, expires);
        of(&mut manifest);
        manifest.counter = number;
        let path = FilePath::new(name).unwrap();
        let hash = ContentHash::of(text.as_bytes());
        manifest.files = vec![FileEntry::new(path, text.len() as u64, hash)];
        self.put(&format!("files/{hash}"), text);
        let before = self.manifest().and_then(|bytes| Signed::read("before", &bytes).ok());
        let keys = PublicKeys::parse("the test", &key.public()).unwrap();
        if let Some(before) = before.and_then(|before| before.verify(&keys).ok()) {
            manifest.follow(&before);
        }
        self.put("stable/hotswap.manifest", key.sign(&manifest).unwrap().to_bytes());
    }
}

/// Somebody who publishes, and a client that believes them.
struct Stage {
    key: KeyPair,
    site: Site,
    home: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let key = KeyPair::generate(None).unwrap();
        Self { key, site: Site::default(), home: tempfile::tempdir().unwrap() }
    }

    fn trust(&self) -> Trust {
        let trust = Trust::key(&self.key.public()).unwrap();
        trust.remember_in(self.home.path().join("trust")).cache_in(self.home.path().join("cache"))
    }

    fn source(&self, server: &Server) -> HttpSource {
        let address = format!("{}/modules#greet", server.origin());
        HttpSource::new(&address, self.trust()).unwrap()
    }
}

/// What a program of these tests is.
fn host() -> Host {
    Host::new("this-target", "1", "rustc 1")
}

/// What is fetched, and what is said of it.
fn fetched(releases: &Releases) -> (String, u64) {
    let directory = tempfile::tempdir().unwrap();
    let fetched = releases.fetch(directory.path()).unwrap();
    let Source::File(file) = &fetched.code else { panic!("{:?}", fetched.code) };
    assert!(file.starts_with(directory.path()));
    assert!(fetched.is_foreign);
    (read(file), fetched.release.unwrap())
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn a_release_comes_from_a_server_checked_and_is_asked_for_once() {
    let stage = Stage::new();
    stage.site.publish(&stage.key, 1, "// one");
    let server = stage.site.serve();
    let releases = Releases::from(stage.source(&server));
    assert_eq!(releases.kind(), "http");
    assert_eq!(releases.name(), format!("{}/modules#greet", server.origin()));
    assert!(releases.is_slow());
    let first = releases.fingerprint().unwrap().unwrap();
    assert_eq!(fetched(&releases), ("// one".to_owned(), 1));
    let asked = server.requests().len();
    // Good for a while, and then one question without an answer in bytes.
    assert_eq!(releases.fingerprint().unwrap(), Some(first));
    assert_eq!(server.requests().len(), asked);
    releases.refresh();
    assert_eq!(releases.fingerprint().unwrap(), Some(first));
    assert_eq!(server.requests().len(), asked + 1);
    assert!(server.requests()[asked].header("if-none-match").is_some());
    stage.site.publish(&stage.key, 2, "// two");
    releases.refresh();
    assert_ne!(releases.fingerprint().unwrap(), Some(first));
    assert_eq!(fetched(&releases), ("// two".to_owned(), 2));
    let files = server.paths().iter().filter(|path| path.contains("/files/")).count();
    assert_eq!(files, 2, "each once: {:?}", server.paths());
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_is_gone_changes_nothing() {
    let stage = Stage::new();
    stage.site.publish(&stage.key, 1, "// one");
    let server = stage.site.serve();
    let releases = Releases::from(stage.source(&server));
    releases.fingerprint().unwrap();
    fetched(&releases);
    let later = Releases::from(stage.source(&server));
    drop(server);
    releases.refresh();
    let error = releases.fingerprint().unwrap_err();
    assert_eq!(error.kind, FetchErrorKind::Unavailable);
    // And who begins anew begins with what is kept.
    assert!(later.fingerprint().unwrap().is_some());
    assert_eq!(fetched(&later), ("// one".to_owned(), 1));
}

#[test]
fn d21_a_mirror_stands_in_for_servers_that_are_down_or_lie() {
    let stage = Stage::new();
    stage.site.publish(&stage.key, 1, "// one");
    let good = stage.site.serve();
    let thief = Site::default();
    thief.publish(&KeyPair::generate(None).unwrap(), 9, "// evil");
    let lying = thief.serve();
    let down = Server::always(|| Reply::Last(Vec::new()));
    for server in [&lying, &down] {
        let source = stage.source(server).mirror(down.mirror()).mirror(good.mirror());
        let releases = Releases::from(source);
        assert!(releases.fingerprint().unwrap().is_some());
        assert_eq!(fetched(&releases), ("// one".to_owned(), 1));
    }
}

#[test]
fn d1_a_file_that_was_tampered_with_is_refused_by_name_and_key() {
    let stage = Stage::new();
    stage.site.publish(&stage.key, 1, "// one");
    stage.site.put(&format!("files/{}", ContentHash::of(b"// one")), "// two");
    let server = stage.site.serve();
    let releases = Releases::from(stage.source(&server));
    releases.fingerprint().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let error = told(&releases.fetch(directory.path()).unwrap_err());
    assert!(error.contains("greet.rs"), "{error}");
    let key = stage.trust().described();
    assert!(error.contains(key.trim_start_matches("signed by ")), "{error}");
    // The next good one is taken.
    stage.site.publish(&stage.key, 2, "// two again");
    releases.refresh();
    releases.fingerprint().unwrap();
    assert_eq!(fetched(&releases), ("// two again".to_owned(), 2));
}

#[test]
fn d24_what_was_refused_is_asked_for_again_however_long_it_is_good_for() {
    let stage = Stage::new();
    stage.site.put("stable/hotswap.manifest", "no manifest");
    let server = stage.site.serve();
    let releases = Releases::from(stage.source(&server));
    assert_eq!(releases.fingerprint().unwrap_err().kind, FetchErrorKind::Refused);
    stage.site.publish(&stage.key, 1, "// one");
    assert!(releases.fingerprint().unwrap().is_some());
    assert_eq!(fetched(&releases), ("// one".to_owned(), 1));
}

#[test]
fn modules_of_a_server_are_found_by_name() {
    let stage = Stage::new();
    let server = stage.site.serve();
    let modules = HttpModules::new(&format!("{}/modules", server.origin()), stage.trust()).unwrap();
    let name = ModuleName::new("greet").unwrap();
    assert_eq!(modules.source(&name).unwrap(), None);
    stage.site.publish(&stage.key, 1, "// one");
    let found = modules.source(&name).unwrap();
    assert_eq!(found, modules.place(&name));
    assert_eq!(found, Some(stage.source(&server).into()));
    assert_eq!(modules.source(&ModuleName::new("a/greet").unwrap()).unwrap(), None);
    assert!(modules.names().unwrap_err().to_string().contains("loaded by name"));
}

#[test]
fn what_is_no_address_is_told_before_anything_is_asked() {
    use crate::http::{HttpErrorKind as Kind, Mirror};
    let trust = Stage::new().trust();
    let kind = |address: &str| HttpSource::new(address, trust.clone()).unwrap_err().kind;
    assert_eq!(kind("https://host/modules/greet"), Kind::NoModule);
    assert_eq!(kind("https://host/modules#"), Kind::NoModule);
    assert_eq!(kind("https://me:geheim@host/modules#greet"), Kind::Credentials);
    assert_eq!(kind("modules#greet"), Kind::Malformed);
    assert!(matches!(kind("https://host/modules#a/b"), Kind::Releases(_)));
    let wrong = HttpSource::new("https://host/modules#greet", trust.clone().channel("../x"));
    assert!(wrong.unwrap_err().to_string().contains("no channel is called"));
    assert_eq!(Mirror::new("https://host/modules#greet").unwrap_err().kind, Kind::OneModule);
    assert!(HttpModules::new("https://host/modules#greet", trust).is_err());
}

#[test]
fn who_is_told_of_a_release_has_it_without_looking_alone_or_on_a_shared_thread() {
    let rarely = Duration::from_secs(3600);
    for shared in [None, Some(SharedMonitor::start(rarely).unwrap())] {
        let stage = Stage::new();
        stage.site.publish_library(&stage.key, 1, "one");
        let server = stage.site.serve();
        let target_dir = Some(stage.home.path().join("target"));
        let settings = BuildSettings { target_dir, ..BuildSettings::default() };
        let builder = Monitor::builder(stage.source(&server).long_poll());
        let builder = builder.host(host()).build(settings).poll_every(rarely);
        let started = match &shared {
            Some(shared) => builder.start_on(shared),
            None => builder.start(),
        };
        let (monitor, notifications) = started.unwrap();
        for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
            if number > 1 {
                stage.site.publish_library(&stage.key, number, text);
            }
            let notification = notifications.recv_timeout(LONG);
            // Whoever waits at the server is let go, before this may fail.
            if number == 3 || notification.is_err() {
                stage.site.put("end", "");
            }
            let notification = notification.expect("it is told");
            let Outcome::Ready(artifact) = notification.outcome else { panic!("{notification:?}") };
            assert_eq!(read(&artifact.path), text);
        }
        // Each change takes a few requests, and nobody asks again and again.
        let asked = server.requests().len();
        assert!(asked < 50, "{asked} requests");
        drop(monitor);
    }
}
