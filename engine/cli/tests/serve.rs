//! The static server, asked byte by byte.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod harness;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;

use harness::{DEADLINE, Place, Running, text};

const MANIFEST: &str = "/greet/stable/hotswap.manifest";

/// A server of the directory `site`, on a port of its own.
fn serve(place: &Place, more: &[&str]) -> (Running, String) {
    let arguments = [&["serve", "site", "--listen", "127.0.0.1:0"], more].concat();
    let mut server = Running::start(&mut place.hotswap(&arguments));
    let line = server.line("serving site at ");
    let (_, address) = line.split_once("://").unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    (server, address)
}

/// A release of one file, by a key called `default`.
fn publish(place: &Place, greeting: &str) {
    place.write_greeting("greet.rs", greeting);
    place.done(&["publish", "greet.rs", "--to", "site", "--sign", "default"]);
}

fn site(name: &str) -> Place {
    let place = Place::new(name);
    place.new_key("default");
    publish(&place, "hello");
    place
}

/// One answer: the status, the lines of its head, and the rest.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let all = text(&bytes);
        let (head, body) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {all:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        values.next().unwrap_or_else(|| panic!("no {name} in {}", self.head)).1
    }

    fn lacks(&self, name: &str) -> bool {
        !self.head.to_lowercase().contains(&format!("\r\n{name}: "))
    }
}

/// Asks, and does not read yet.
fn asked(address: &str, method: &str, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn get(address: &str, path: &str, headers: &str) -> Answer {
    Answer::of(asked(address, "GET", path, headers))
}

#[test]
fn files_are_served_whole_in_part_and_not_twice() {
    let place = site("serve-files");
    let (mut server, address) = serve(&place, &[]);
    let manifest = fs::read_to_string(place.0.join("site").join(&MANIFEST[1..])).unwrap();
    let whole = get(&address, MANIFEST, "");
    assert_eq!((whole.status, &*whole.body), (200, &*manifest));
    assert_eq!(whole.header("content-length"), manifest.len().to_string());
    assert_eq!(whole.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(whole.header("cache-control"), "no-cache");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    let (etag, modified) =
        (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    assert!(etag.starts_with('"') && etag.len() == 66, "{etag} is strong");
    server.line(&format!("GET {MANIFEST} 200 {}", manifest.len()));
    for known in
        [format!("If-None-Match: \"x\", {etag}\r\n"), format!("If-Modified-Since: {modified}\r\n")]
    {
        let same = get(&address, MANIFEST, &known);
        assert_eq!((same.status, &*same.body, same.header("etag")), (304, "", &*etag));
    }
    // A validator of content counts for more than one of time.
    let other = get(
        &address,
        MANIFEST,
        &format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {modified}\r\n"),
    );
    assert_eq!(other.status, 200);
    let head = Answer::of(asked(&address, "HEAD", MANIFEST, "Range: bytes=0-1\r\n"));
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.header("content-length"), manifest.len().to_string());
    for (range, status, body) in [
        ("bytes=0-6", 206, "hotswap"),
        ("bytes=8-17", 206, "signatures"),
        ("bytes=-1", 206, "\n"),
        ("bytes=0-0,2-2", 200, &*manifest),
        ("lines=1-2", 200, &*manifest),
    ] {
        let part = get(&address, MANIFEST, &format!("Range: {range}\r\n"));
        assert_eq!((part.status, &*part.body), (status, body), "{range}");
    }
    let part = get(&address, MANIFEST, &format!("Range: bytes=8-17\r\nIf-Range: {etag}\r\n"));
    assert_eq!(part.header("content-range"), format!("bytes 8-17/{}", manifest.len()));
    let changed = get(&address, MANIFEST, "Range: bytes=8-17\r\nIf-Range: \"x\"\r\n");
    assert_eq!((changed.status, changed.body.len()), (200, manifest.len()));
    let none = get(&address, MANIFEST, &format!("Range: bytes={}-\r\n", manifest.len()));
    assert_eq!(none.status, 416);
    assert_eq!(none.header("content-range"), format!("bytes */{}", manifest.len()));
    let posted = Answer::of(asked(&address, "POST", MANIFEST, ""));
    assert_eq!((posted.status, posted.header("allow")), (405, "GET, HEAD"));
    // A file that is called by its hash never changes.
    let name = fs::read_dir(place.0.join("site/greet/files")).unwrap().next().unwrap().unwrap();
    let name = name.file_name().into_string().unwrap();
    let file = get(&address, &format!("/greet/files/{name}"), "");
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("etag"), format!("\"{name}\""));
    assert_eq!(file.body, fs::read_to_string(place.0.join("greet.rs")).unwrap());
    // Another manifest, of the same length within the same second too, has another ETag.
    publish(&place, "jello");
    let newer = get(&address, MANIFEST, &format!("If-None-Match: {etag}\r\n"));
    assert!(newer.status == 200 && newer.header("etag") != etag);
    // A file that is not what it is called is not kept for ever.
    fs::write(place.0.join("site/greet/files").join(&name), "anything else").unwrap();
    let damaged = get(&address, &format!("/greet/files/{name}"), "");
    assert_eq!(damaged.header("cache-control"), "no-cache");
}

#[test]
fn what_lies_elsewhere_is_not_there() {
    let place = site("serve-nowhere");
    fs::write(place.0.join("outside.txt"), "mine").unwrap();
    fs::write(place.0.join("site/.hidden"), "mine").unwrap();
    fs::write(place.0.join("site/with space.txt"), "yours").unwrap();
    symlink("../outside.txt", place.0.join("site/link.txt")).unwrap();
    symlink("..", place.0.join("site/up")).unwrap();
    let (_server, address) = serve(&place, &[]);
    assert_eq!(get(&address, "/with%20space.txt", "").body, "yours");
    for path in [
        "/../outside.txt",
        "/greet/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/.hidden",
        "/%2ehidden",
        "/greet/.lock",
        "/link.txt",
        "/up/outside.txt",
        "/",
        "/greet",
        "/greet/",
        "/greet/stable/hotswap.manifest/",
        "/absent",
        "/greet/stable/hotswap.manifest%00",
    ] {
        let answer = get(&address, path, "");
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.body.contains("mine") && answer.lacks("etag"), "{path}");
    }
    // An absolute address of another server is a path of this one.
    assert_eq!(get(&address, "http://example.org/outside.txt", "").status, 404);
}

#[test]
fn a_secret_is_never_served() {
    let place = site("serve-secrets");
    let secret = place.0.join("home/config/hotswap/keys/default.key");
    let inside = place.0.join("site/greet/default.key");
    fs::copy(&secret, &inside).unwrap();
    let told = place.refused(&["serve", "site", "--listen", "127.0.0.1:0"]);
    assert!(told.contains("site/greet/default.key is a secret key"), "{told}");
    fs::remove_file(&inside).unwrap();
    fs::copy(secret.with_extension("pub"), place.0.join("site/default.pub")).unwrap();
    let (_server, address) = serve(&place, &[]);
    assert_eq!(get(&address, "/default.pub", "").status, 200);
    // One that is put there later.
    fs::copy(&secret, &inside).unwrap();
    let answer = get(&address, "/greet/default.key", "");
    assert!(answer.status == 404 && !answer.body.contains("untrusted comment"), "{}", answer.body);
    let key = "-----BEGIN PRIVATE KEY-----\n";
    fs::write(place.0.join("site/greet/default.key"), key).unwrap();
    assert_eq!(get(&address, "/greet/default.key", "").status, 404);
    let told = place.refused(&["serve", "absent"]);
    assert!(told.contains("cannot serve absent"), "{told}");
    let told = place.refused(&["serve", "site/default.pub"]);
    assert!(told.contains("cannot serve site/default.pub"), "{told}");
}

#[test]
fn who_waits_for_a_manifest_is_answered_when_it_changes_and_at_the_end() {
    let place = site("serve-wait");
    let (mut server, address) = serve(&place, &["--quiet"]);
    let etag = get(&address, MANIFEST, "").header("etag").to_owned();
    let known = format!("If-None-Match: {etag}\r\n");
    // The time is over.
    let same = get(&address, MANIFEST, &format!("{known}Prefer: wait=1\r\n"));
    assert_eq!((same.status, same.header("preference-applied")), (304, "wait"));
    // Nothing to wait for: it is another one, or no manifest.
    let other = get(&address, MANIFEST, "If-None-Match: \"x\"\r\nPrefer: wait=300\r\n");
    assert_eq!(other.status, 200);
    let name = fs::read_dir(place.0.join("site/greet/files")).unwrap().next().unwrap().unwrap();
    let name = name.file_name().into_string().unwrap();
    let file = get(
        &address,
        &format!("/greet/files/{name}"),
        &format!("If-None-Match: \"{name}\"\r\nPrefer: wait=300\r\n"),
    );
    assert!(file.status == 304 && file.lacks("preference-applied"));
    // It changes meanwhile, also by way of a name that was not there for a moment.
    let waiting = asked(&address, "GET", MANIFEST, &format!("{known}Prefer: wait=300\r\n"));
    publish(&place, "good evening");
    let newer = Answer::of(waiting);
    assert!(newer.status == 200 && newer.header("etag") != etag);
    assert_eq!(newer.header("content-length"), newer.body.len().to_string());
    // The server ends: who waits is answered.
    let known = format!("If-None-Match: {}\r\n", newer.header("etag"));
    let waiting = asked(&address, "GET", MANIFEST, &format!("{known}Prefer: wait=300\r\n"));
    // Whoever asks later is answered later: the one before was heard.
    assert_eq!(get(&address, MANIFEST, "").status, 200);
    server.signal("INT");
    assert_eq!(Answer::of(waiting).status, 304);
    let (status, _) = server.end();
    assert!(status.success());
    assert_eq!(server.count("GET "), 0, "{}", server.all());
}

#[test]
fn with_a_certificate_it_is_https_and_who_does_not_believe_it_gets_nothing() {
    let place = site("serve-tls");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(place.0.join("cert.pem"), made.cert.pem()).unwrap();
    fs::write(place.0.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let (mut server, address) = serve(&place, &tls);
    let (_, port) = address.rsplit_once(':').unwrap();
    let what = format!("https://localhost:{port}#greet");
    let verify = ["verify", &*what, "--key", "default", "--ca-file", "cert.pem"];
    let verified = place.done(&verify);
    assert!(verified.contains("\nok  greet.rs  "), "{verified}");
    server.line(&format!("GET {MANIFEST} 200 "));
    let told = place.refused(&verify[..4]);
    assert!(told.contains("certificate"), "{told}");
    let what = format!("https://127.0.0.1:{port}#greet");
    let told = place.refused(&["verify", &what, "--key", "default", "--ca-file", "cert.pem"]);
    assert!(told.contains("certificate"), "{told}");
    // Who speaks without TLS is no client, and costs nobody anything.
    let mut plain = asked(&address, "GET", MANIFEST, "");
    let mut answer = Vec::new();
    let _reset = plain.read_to_end(&mut answer);
    assert!(!text(&answer).contains("200"), "{}", text(&answer));
    place.done(&verify);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(place.0.join("other.pem"), other.signing_key.serialize_pem()).unwrap();
    for (certificate, key, said) in [
        ("cert.pem", "other.pem", "do not go together"),
        ("key.pem", "key.pem", "no certificate in key.pem"),
        ("cert.pem", "cert.pem", "cannot read cert.pem as PEM"),
        ("absent.pem", "key.pem", "cannot read absent.pem"),
    ] {
        let told = place.refused(&["serve", "site", "--tls-cert", certificate, "--tls-key", key]);
        assert!(told.contains(said), "{told}");
    }
}
