//! What web servers and the network do: bodies without an end, bombs, slowness, redirects, forged headers, certificates, mirrors that lie.
//! Rows D6, D7, D16, D17, D21, LO-3 and RB-7 over HTTP, each against an engine that runs.

use std::fs;
use std::time::Duration;

use hotswap_engine::http::Mirror;
use hotswap_engine::{Engine, Verdict};
use hotswap_tests::deadline::until;
use hotswap_tests::fault_world::until_all_threads_ended;
use hotswap_tests::hostile::{Authority, Body, HostileServer, Identity, Reply, gzip};
use hotswap_tests::prebuilt::numbered;
use hotswap_tests::release_world::{Carrier, MANIFEST, Release, ReleaseWorld, at, library};
use hotswap_tests::siege::{Siege, chain, version};
use hotswap_tests::{isolated, isolated_under};
use hotswap_trust::{CodeKind, SIGNED_BYTES_MAX};

/// What a client may have taken of a body that never ends before it hung up: what lies between two sockets of this machine, and to spare.
const UNDER_WAY_BYTES: u64 = 32 * 1024 * 1024;

/// A password, of which nothing may ever be seen.
const SECRET: &str = "correct-horse-battery-staple";

/// Whichever path is asked for, the manifest or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Manifest,
    File,
}

impl Asked {
    const ALL: [Self; 2] = [Self::Manifest, Self::File];

    fn path(self, release: &Release) -> String {
        match self {
            Self::Manifest => at(MANIFEST),
            Self::File => at(&release.first_place()),
        }
    }
}

fn mirror_at(base: &str) -> Mirror {
    Mirror::new(base).expect("a good address")
}

fn siege() -> Siege {
    Siege::begin(Carrier::Http)
}

/// An answer for each thing that is asked for, one after the other on one engine. All is well again after each.
fn withstands_each(siege: &mut Siege, replies: &[(&str, Reply, &[&str])]) {
    for asked in Asked::ALL {
        for (name, reply, said) in replies {
            let what = format!("{name} for the {asked:?}");
            let release = siege.world.publish(siege.version() % 3 + 1);
            let before = siege.world.server.body_bytes();
            siege.world.server.script(&asked.path(&release), reply.clone());
            siege.withstands(&what, said);
            let taken = siege.world.server.body_bytes() - before;
            assert!(taken < UNDER_WAY_BYTES, "{what}: {taken} bytes were sent");
            siege.recovers(&what);
        }
    }
}

#[test]
fn d6_what_never_ends_is_refused_where_it_should_have_ended() {
    let mut siege = siege();
    let zeros = vec![0; SIGNED_BYTES_MAX * 16];
    withstands_each(
        &mut siege,
        &[
            ("chunks without end", Reply::endless(), &["greet"]),
            ("a stream without end", Reply::of(Body::EndlessStream), &["greet"]),
            ("a head without end", Reply::of(Body::EndlessHead), &["greet"]),
            ("a bomb", Reply::gzip_bomb(), &["greet"]),
            ("a small bomb", Reply::gzipped(&zeros), &["greet"]),
        ],
    );
}

#[test]
fn d7_what_comes_too_slowly_ends_at_the_deadline() {
    let world = ReleaseWorld::new(Carrier::Http);
    let mut siege = Siege::with(world, |world| {
        let http = world.http(world.trust());
        http.deadline(Duration::from_millis(300)).rate_min(u64::MAX / 2).into()
    });
    let bytes = vec![b'h'; 1_000];
    withstands_each(
        &mut siege,
        &[
            ("a byte now and then", Reply::drip(bytes, Duration::from_secs(10)), &["greet"]),
            ("nothing at all", Reply::of(Body::Held), &["greet"]),
        ],
    );
}

/// What is slow holds up nobody who calls, and not the end of the engine.
#[test]
fn d7_an_engine_ends_while_its_server_is_silent() {
    isolated("d7_an_engine_ends_while_its_server_is_silent", || {
        let siege = siege();
        siege.world.server.script(&at(MANIFEST), Reply::of(Body::Held));
        siege.engine.wake();
        siege.world.server.wait_for(&at(MANIFEST), 2);
        assert_eq!(siege.version(), 1);
        // The answer never comes, and the deadline is far away.
        let world = siege.end();
        until_all_threads_ended();
        assert!(world.lines_of("fetch.ok").len() == 1, "{:#?}", world.lines());
    });
}

#[test]
fn lo_3_what_is_cut_or_of_another_length_is_refused_and_takes_no_number() {
    for asked in Asked::ALL {
        let mut siege = siege();
        let first = siege.engine.version();
        let release = siege.world.next(2);
        let path = asked.path(&release);
        let bytes = match asked {
            Asked::Manifest => release.signed.clone(),
            Asked::File => release.files[0].1.clone(),
        };
        let length = bytes.len() as u64;
        let longer = [bytes.clone(), vec![0; 1_000]].concat();
        let mut replies = vec![Reply::whole(longer.clone()), Reply::of(Body::Chunked(longer))];
        for part in [0, 1, 10, 50, 90, 99] {
            let half = bytes[..bytes.len() * part / 100].to_vec();
            let zipped = gzip(&bytes);
            let half_zipped = zipped[..zipped.len() * part / 100].to_vec();
            replies.extend([
                Reply::claimed(half.clone(), length),
                Reply::whole(half.clone()),
                Reply::gzipped(&half),
                Reply::of(Body::Chunked(half)),
                Reply::claimed(half_zipped.clone(), zipped.len() as u64)
                    .header("Content-Encoding", "gzip"),
                Reply::whole(half_zipped).header("Content-Encoding", "gzip"),
            ]);
        }
        for (index, reply) in replies.into_iter().enumerate() {
            // It is never there as it should be: what failed is tried again at any moment.
            siege.world.server.script(&path, reply);
            siege.world.put(&release);
            siege.withstands(&format!("answer {index} for the {asked:?}"), &["greet"]);
            assert_eq!(siege.engine.version(), first);
        }
        siege.recovers("all of them");
        assert_eq!(siege.engine.version().number(), first.number() + 1);
    }
}

#[test]
fn lo_3_what_servers_answer_instead_is_told_and_waited_for() {
    let mut siege = siege();
    let noise = Reply::of(Body::Noise(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()));
    withstands_each(
        &mut siege,
        &[
            ("500", Reply::status(500), &["500"]),
            ("503", Reply::status(503), &["503"]),
            ("429", Reply::status(429).header("Retry-After", "nonsense"), &["429"]),
            ("401", Reply::status(401), &["401"]),
            ("403", Reply::status(403), &["403"]),
            ("404", Reply::status(404), &["greet"]),
            ("410", Reply::status(410), &["greet"]),
            ("a hang-up", Reply::of(Body::Cut), &["greet"]),
            ("noise", noise, &["greet"]),
            ("a page", Reply::whole("<html>log in</html>"), &["greet"]),
        ],
    );
}

/// What is right comes in many ways.
#[test]
fn lo_3_what_is_right_is_taken_in_chunks_and_compressed() {
    let mut siege = siege();
    for asked in Asked::ALL {
        for number in [2, 3] {
            let release = siege.world.publish(number);
            let path = asked.path(&release);
            let bytes = siege.world.server.file(&path).expect("just put");
            let reply = match number {
                2 => Reply::of(Body::Chunked(bytes)),
                _ => Reply::gzipped(&bytes),
            };
            siege.world.server.script(&path, reply);
            siege.engine.sync().unwrap_or_else(|error| panic!("{asked:?}: {}", chain(&error)));
            assert_eq!(siege.version(), number, "{asked:?}");
            siege.world.server.behave();
        }
    }
}

#[test]
fn d16_a_redirect_leads_nowhere_but_to_the_same_origin() {
    let mut siege = siege();
    let (thief, own) = (HostileServer::start(), siege.world.server.origin());
    let port = siege.world.server.port();
    siege.world.server.copy_to(&thief);
    let elsewhere = [
        thief.origin() + &at(MANIFEST),
        format!("//127.0.0.1:{}{}", thief.port(), at(MANIFEST)),
        format!("http://127.0.0.1:{port}@127.0.0.1:{}{}", thief.port(), at(MANIFEST)),
        format!("http://localhost:{port}{}", at(MANIFEST)),
        format!("https://127.0.0.1:{port}{}", at(MANIFEST)),
        format!("http://127.0.0.1.example.invalid:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[::1]/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        "http://".to_owned(),
        String::new(),
    ];
    for asked in Asked::ALL {
        for status in [301, 302, 303, 307, 308] {
            for to in &elsewhere {
                let release = siege.world.next(siege.version() % 3 + 1);
                thief.put(&at(&release.first_place()), release.files[0].1.clone());
                thief.put(&at(MANIFEST), release.signed.clone());
                let to = to.replace(&at(MANIFEST), &asked.path(&release));
                let reply = Reply { status, ..Reply::redirect(&to) };
                // Before it is there: what failed is tried again at any moment.
                siege.world.server.script(&asked.path(&release), reply);
                siege.world.publish_release(&release);
                let what = format!("{status} to {to:?} for the {asked:?}");
                siege.withstands(&what, &["greet"]);
                // One of them per status is enough for what comes afterwards.
                if to.is_empty() {
                    siege.recovers(&what);
                }
            }
        }
    }
    assert_eq!(thief.requests(), []);
    // A circle ends.
    let before = siege.world.server.requests().len();
    siege.world.server.script(&at(MANIFEST), Reply::redirect(at(MANIFEST)));
    siege.withstands("a circle", &["redirect"]);
    assert!(siege.world.server.requests().len() - before < 20);
    siege.recovers("a circle");
    // Within the origin it may lead anywhere, relative or not.
    for (asked, to) in [(Asked::Manifest, ""), (Asked::File, own.as_str())] {
        let release = siege.world.publish(siege.version() % 3 + 1);
        let path = asked.path(&release);
        let bytes = siege.world.server.file(&path).expect("just put");
        siege.world.server.put("/moved/here", bytes);
        siege.world.server.script(&path, Reply::redirect(format!("{to}/moved/here")));
        siege.engine.sync().unwrap_or_else(|error| panic!("{asked:?}: {}", chain(&error)));
        siege.world.server.behave();
    }
}

/// Who else listens gets no credentials, and nobody reads them in the log or in an error.
#[test]
fn d16_credentials_never_leave_their_origin_nor_enter_a_log() {
    for (kind, sent) in [("bearer", "Bearer "), ("basic", "Basic ")] {
        let world = ReleaseWorld::new(Carrier::Http);
        let mirror = HostileServer::start();
        let at_mirror = format!("{}/modules", mirror.origin());
        let siege = Siege::with(world, |world| {
            let http = world.http(world.trust()).mirror(mirror_at(&at_mirror));
            let http =
                if kind == "bearer" { http.bearer(SECRET) } else { http.basic("ann", SECRET) };
            assert!(!format!("{http:?}").contains(SECRET), "{http:?}");
            http.into()
        });
        let told = |server: &HostileServer| -> Vec<Option<String>> {
            let requests = server.requests();
            requests.iter().map(|one| one.header("authorization").map(str::to_owned)).collect()
        };
        let all = told(&siege.world.server);
        let is_sent = |one: &Option<String>| one.as_ref().is_some_and(|one| one.starts_with(sent));
        assert!(!all.is_empty() && all.iter().all(is_sent), "{all:?}");
        // The server fails in every way, and sends its client away.
        let thief = HostileServer::start();
        let to_thief = Reply::redirect(thief.origin() + &at(MANIFEST));
        for reply in [to_thief, Reply::status(401), Reply::status(500), Reply::of(Body::Cut)] {
            siege.world.server.script(&at(MANIFEST), reply);
            let error = siege.engine.sync().expect_err("no place answers");
            assert!(!format!("{error:?}{}", chain(&error)).contains(SECRET), "{error:?}");
        }
        siege.world.server.copy_to(&mirror);
        siege.world.server.go_down();
        let _ = siege.engine.sync();
        assert_eq!(thief.requests(), []);
        assert!(!mirror.requests().is_empty(), "it is asked too");
        assert!(told(&mirror).iter().all(Option::is_none), "{:?}", told(&mirror));
        siege.world.server.copy_to(&mirror);
        let log = fs::read_to_string(siege.world.inside("hotswap.log")).expect("there");
        let encoded = "YW5uOmNvcnJlY3Q"; // `ann:correct`, in base64
        assert!(!log.contains(SECRET) && !log.contains(encoded), "{log}");
    }
}

/// A forged `ETag`, a huge one, and an answer that nobody could have waited for: what is signed decides.
#[test]
fn d17_what_headers_say_decides_nothing() {
    let mut siege = siege();
    let huge = "a".repeat(1024 * 1024);
    let never = Reply::not_modified();
    // A server that has nothing new for anybody: what runs is what it was asked about.
    siege.world.publish(2);
    siege.world.server.script(&at(MANIFEST), never.clone());
    assert!(matches!(siege.engine.sync(), Ok(Verdict::Unchanged { .. })));
    assert_eq!(siege.version(), 1);
    siege.recovers("304 for ever");
    // The headers of another manifest.
    let release = siege.world.publish(siege.version() % 3 + 1);
    let lying = Reply::whole(release.signed.clone()).header("ETag", "\"always the same\"");
    siege.world.server.script(&at(MANIFEST), lying);
    siege.engine.sync().expect("it is good");
    siege.recovers("a forged ETag");
    for (name, value) in [
        ("ETag", format!("\"{huge}\"")),
        ("Last-Modified", huge.clone()),
        ("Cache-Control", format!("max-age={huge}")),
    ] {
        let release = siege.world.publish(siege.version() % 3 + 1);
        let reply = Reply::whole(release.signed.clone()).header(name, value);
        siege.world.server.script(&at(MANIFEST), reply);
        // Whether it is taken or not: nothing of the header is kept.
        let before = siege.version();
        if let Err(error) = siege.engine.sync() {
            assert!(chain(&error).contains("greet"), "{}", chain(&error));
            assert_eq!(siege.version(), before);
        }
        siege.recovers(name);
        let sent = siege.world.server.requests().pop().expect("just asked");
        assert!(format!("{sent:?}").len() < 10_000, "{name} came back");
    }
    // Good for a year, it says: who asks is not put off.
    let release = siege.world.publish(siege.version() % 3 + 1);
    let reply = Reply::whole(release.signed.clone()).header("Cache-Control", "max-age=31536000");
    siege.world.server.script(&at(MANIFEST), reply);
    siege.engine.sync().expect("it is good");
    siege.recovers("a year");
}

/// Nobody who never had anything can be told that it is the same.
#[test]
fn d17_a_first_answer_without_bytes_is_none() {
    let mut world = ReleaseWorld::new(Carrier::Http);
    world.publish(1);
    world.server.script(&at(MANIFEST), Reply::not_modified());
    let error = world.engine().open().expect_err("nothing came");
    assert!(chain(&error).contains("304"), "{}", chain(&error));
    world.server.behave();
    assert_eq!(version(&world.engine().open().expect("it is good")), 1);
}

#[test]
fn d21_while_one_mirror_is_good_updates_come() {
    let lies: [fn(&HostileServer, &Release); 6] = [
        |server, _| server.go_down(),
        |server, _| server.script(&at(MANIFEST), Reply::status(404)),
        |server, _| server.script(&at(MANIFEST), Reply::whole(*b"lies")),
        |server, _| server.script(&at(MANIFEST), Reply::endless()),
        |server, new| server.script(&at(&new.first_place()), Reply::status(404)),
        |server, new| server.script(&at(&new.first_place()), Reply::whole(*b"lies")),
    ];
    let world = ReleaseWorld::new(Carrier::Http);
    let mirrors = [HostileServer::start(), HostileServer::start()];
    let bases = mirrors.each_ref().map(|server| format!("{}/modules", server.origin()));
    let mut siege = Siege::with(world, |world| {
        bases
            .iter()
            .fold(world.http(world.trust()), |http, base| http.mirror(mirror_at(base)))
            .into()
    });
    for (index, lie) in lies.iter().enumerate() {
        for good in 0..3 {
            let number = siege.version() % 3 + 1;
            let release = siege.world.publish(number);
            let all = [&siege.world.server, &mirrors[0], &mirrors[1]];
            mirrors.iter().for_each(|mirror| siege.world.server.copy_to(mirror));
            for (place, server) in all.iter().enumerate().filter(|(place, _)| *place != good) {
                assert_ne!(place, good);
                lie(server, &release);
            }
            let what = format!("lie {index}, and server {good} is good");
            if let Err(error) = siege.engine.sync() {
                panic!("{what}: {}", chain(&error));
            }
            assert_eq!(siege.version(), number, "{what}");
            all.iter().for_each(|server| server.behave());
        }
    }
}

/// A mirror that stands still is as good as the others for who cannot know better, and cannot hold back what they have.
#[test]
fn d21_a_mirror_that_stands_still_holds_nothing_back() {
    let world = ReleaseWorld::new(Carrier::Http);
    let still = HostileServer::start();
    let base = format!("{}/modules", still.origin());
    let mut siege =
        Siege::with(world, |world| world.http(world.trust()).mirror(mirror_at(&base)).into());
    for _ in 0..5 {
        siege.world.server.copy_to(&still);
        let number = siege.version() % 3 + 1;
        siege.world.publish(number);
        // Whom to ask is left to chance at each look.
        until("it is found", || siege.engine.sync().is_ok() && siege.version() == number);
    }
}

/// A server that wants to be left alone for a while is, and what it has then is taken.
#[test]
fn lo_3_a_server_that_wants_to_be_left_alone_is_asked_later() {
    let mut siege = siege();
    siege.world.publish(2);
    let busy = Reply::status(503).header("Retry-After", "1");
    siege.world.server.script(&at(MANIFEST), busy);
    siege.engine.sync().expect_err("it is busy");
    siege.world.server.behave();
    until("it is asked again", || siege.engine.sync().is_ok());
    assert_eq!(siege.version(), 2);
    let asked = siege.world.server.requests().len();
    assert!(asked < 10, "{asked} requests in a second that it wanted for itself");
}

#[test]
fn an_idle_poll_is_one_request_and_reads_no_body() {
    let siege = siege();
    let server = &siege.world.server;
    let (asked, bytes) = (server.requests().len(), server.body_bytes());
    for _ in 0..10 {
        assert!(matches!(siege.engine.sync(), Ok(Verdict::Unchanged { .. })));
    }
    assert_eq!(server.requests().len(), asked + 10);
    assert_eq!(server.body_bytes(), bytes);
    assert_eq!(server.connections(), 1);
}

/// Nothing that lies there unchanged is asked for again.
#[test]
fn a_file_that_an_earlier_release_had_is_not_sent_again() {
    let mut siege = siege();
    let bytes = library(2).remove(0).1;
    let path = at(&Release::place_of(&bytes));
    siege.world.publish_library(bytes.clone());
    siege.engine.sync().expect("it is good");
    siege.world.publish_library(bytes);
    siege.engine.sync().expect("it is good");
    let count = |path: &str| {
        siege.world.server.requests().iter().filter(|request| request.path == path).count()
    };
    assert_eq!(count(&path), 1);
    siege.recovers("the same files again");
}

#[test]
fn rb_7_killing_the_server_changes_nothing_and_the_next_process_starts_from_what_is_kept() {
    let mut siege = siege();
    let first = siege.engine.version();
    for number in [2, 3] {
        siege.world.publish(number);
        siege.engine.sync().expect("it is good");
    }
    siege.world.server.kill();
    siege.withstands("nobody listens", &["greet"]);
    siege.engine.rollback_to(first).expect("it is kept");
    assert_eq!(siege.version(), 1);
    let world = siege.end();
    // Whichever of the two is lost, the other has it: what served last, and the newest that is kept.
    for (lost, expected) in [("nothing", 1), ("target", 3), ("cache", 3)] {
        if lost != "nothing" {
            world.forget(lost);
        }
        let engine = world.engine().open();
        let engine = engine.unwrap_or_else(|error| panic!("lost {lost}: {}", chain(&error)));
        assert_eq!(version(&engine), expected, "lost {lost}");
    }
}

#[test]
fn a_certificate_has_to_be_good_and_of_the_right_name() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let bad: [(&str, Identity, &str); 3] = [
        ("another name", authority.identity("example.org"), "name"),
        ("an expired one", authority.expired_identity("127.0.0.1"), "expired"),
        ("an unknown authority", stranger.identity("127.0.0.1"), "ca_file"),
    ];
    for (what, identity, said) in &bad {
        let mut world = on_tls(identity, &authority);
        world.publish(1);
        let error = world.engine_of(https(&world)).open().expect_err(what);
        let text = chain(&error);
        assert!(text.contains(said) && text.contains("127.0.0.1"), "{what}: {text}");
        assert_eq!(world.server.requests(), [], "{what}");
    }
    let mut siege = Siege::with(on_tls(&authority.identity("127.0.0.1"), &authority), https);
    assert_eq!(siege.version(), 1);
    siege.recovers("a good certificate");
    // Who believes in a file that holds none.
    let mut world = on_tls(&authority.identity("127.0.0.1"), &authority);
    world.publish(1);
    fs::write(world.inside("authority.pem"), "no certificate").expect("ours");
    let error = world.engine_of(https(&world)).open().expect_err("no certificate");
    assert!(chain(&error).contains("authority.pem"), "{}", chain(&error));
}

fn on_tls(identity: &Identity, authority: &Authority) -> ReleaseWorld {
    let world = ReleaseWorld::on(Carrier::Http, HostileServer::start_tls(identity));
    fs::write(world.inside("authority.pem"), authority.pem()).expect("ours");
    world
}

fn https(world: &ReleaseWorld) -> hotswap_engine::Source {
    world.http(world.trust()).ca_file(world.inside("authority.pem")).into()
}

#[test]
fn d16_a_server_with_tls_leads_to_none_without() {
    let authority = Authority::new();
    let world = on_tls(&authority.identity("127.0.0.1"), &authority);
    let mut siege = Siege::with(world, https);
    let plain = HostileServer::start();
    let release = siege.world.publish(2);
    siege.world.server.copy_to(&plain);
    for asked in Asked::ALL {
        let path = asked.path(&release);
        siege.world.server.script(&path, Reply::redirect(plain.origin() + &path));
        siege.withstands(&format!("{asked:?}"), &["greet"]);
        siege.world.server.behave();
    }
    assert_eq!(plain.requests(), []);
    siege.recovers("plaintext");
}

/// A process that finds no program at all runs what was built and signed elsewhere.
#[test]
fn a_machine_without_a_compiler_runs_what_was_built_and_signed_elsewhere() {
    const NAME: &str = "a_machine_without_a_compiler_runs_what_was_built_and_signed_elsewhere";
    const LIBRARIES: &str = "HOTSWAP_TESTS_LIBRARIES";
    let libraries = std::env::var(LIBRARIES).unwrap_or_else(|_| {
        let paths = [1, 2].map(numbered).map(|path| path.display().to_string());
        paths.join(":")
    });
    let given = format!("{LIBRARIES}={libraries}");
    let launcher = ["env", "-u", "CARGO", "-u", "RUSTC", "PATH=/nowhere", given.as_str()];
    isolated_under(NAME, &launcher, || {
        std::process::Command::new("rustc").output().expect_err("it is not found");
        std::process::Command::new("cc").output().expect_err("it is not found");
        let mut world = ReleaseWorld::new(Carrier::Http);
        let publish = |world: &mut ReleaseWorld, index: usize| {
            let path = libraries.split(':').nth(index).expect("two of them");
            world.publish_library(fs::read(path).expect("built before"));
        };
        publish(&mut world, 0);
        let source = world.source_of(world.trust().only(CodeKind::Prebuilt));
        let engine: Engine = world.engine_of(source).open().expect("it needs no compiler");
        assert_eq!(version(&engine), 1);
        publish(&mut world, 1);
        engine.sync().expect("it needs no compiler");
        assert_eq!(version(&engine), 2);
    });
}
