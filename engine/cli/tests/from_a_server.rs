//! From a publisher's shell to a program on another machine, by way of `hotswap serve`.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod harness;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use harness::{Place, Running, text};

/// A module with a key, published as a library, and a server of it.
struct World {
    place: Place,
    server: Option<Running>,
    address: String,
}

impl World {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        place.new_key("default");
        let mut world = Self { place, server: None, address: "127.0.0.1:0".to_owned() };
        world.publish("hello", &["--prebuilt"]);
        world.serve();
        world
    }

    fn publish(&self, greeting: &str, more: &[&str]) {
        // Of the same length, so that nobody knows it by that.
        self.place.write_greeting("greet.rs", greeting);
        let publish = ["publish", "greet.rs", "--to", "site/", "--sign", "default"];
        let output = self.place.building(&[&publish[..], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// At the address that it had before, if it had one.
    fn serve(&mut self) {
        let serve = ["serve", "site/", "--listen", &self.address];
        let mut server = Running::start(&mut self.place.hotswap(&serve));
        let line = server.line("serving site/ at http://");
        let (_, address) = line.split_once("://").unwrap();
        self.address = address.split('/').next().unwrap().to_owned();
        self.server = Some(server);
    }

    /// `hotswap run` of it, where there is neither cargo nor a compiler.
    fn run(&self, more: &[&str]) -> Running {
        let what = format!("http://{}/#greet", self.address);
        let run = ["run", &what, "--key", "default", "--every", "10ms", "--poll", "50ms"];
        let builds = ["--target-dir", "builds"];
        let mut command = self.place.hotswap(&[&run[..], &builds, more].concat());
        let nothing = self.place.0.join("nothing");
        fs::create_dir_all(&nothing).unwrap();
        command.env("PATH", nothing).env_remove("CARGO").env_remove("RUSTC");
        Running::start(&mut command)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.0.join("hotswap.log")).unwrap()
    }
}

fn end(mut running: Running) {
    running.signal("INT");
    assert!(running.end().0.success());
}

#[test]
fn what_is_published_runs_elsewhere_and_what_the_server_suffers_changes_nothing() {
    let mut world = World::new("web-whole");
    let mut running = world.run(&[]);
    running.line("out: hello");
    world.publish("later", &["--prebuilt"]);
    running.line("v2 is current");
    running.line("out: later");
    // The server is killed: it goes on.
    drop(world.server.take());
    running.line("out: later");
    // So it does when it is started again without one, from what was kept.
    end(running);
    let mut running = world.run(&[]);
    running.line("out: later");
    assert!(world.log().contains("from the cache"), "{}", world.log());
    // The server is back, with something newer.
    world.publish("again", &["--prebuilt"]);
    world.serve();
    running.line("out: again");
    end(running);
}

#[test]
fn a_tampered_file_is_refused_by_its_name_and_key_and_the_next_good_release_runs() {
    let world = World::new("web-tampered");
    let mut running = world.run(&["--long-poll"]);
    running.line("out: hello");
    tamper(&world);
    let told = running.line("libgreet.so is not what belongs to release 2 of greet (stable)");
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let shown = as_in_the_readme(&told, &world.address);
    assert!(readme.contains(&shown), "the README does not say what is said: {shown}");
    running.line("out: hello");
    world.publish("again", &["--prebuilt"]);
    running.line("out: again");
    end(running);
}

#[test]
fn a_server_says_when_there_is_something_new() {
    let world = World::new("web-wake");
    let what = format!("http://{}/#greet", world.address);
    // A look by itself comes after an hour.
    let run = ["run", &what, "--key", "default", "--every", "10ms", "--poll", "1h", "--long-poll"];
    let mut running = Running::start(&mut world.place.building(&run));
    running.line("out: hello");
    world.publish("later", &["--prebuilt"]);
    running.line("out: later");
    end(running);
}

#[test]
fn source_of_others_is_built_where_it_runs_in_a_sandbox() {
    let place = Place::new("web-source");
    place.new_key("default");
    place.new_crate("delivered");
    place.done(&["publish", "delivered", "--to", "site", "--sign", "default"]);
    let run = ["run", "site#delivered", "--key", "default", "--call", "f1", "--every", "10ms"];
    // In the shared place an earlier run may have built it.
    let builds = ["--target-dir", "builds"];
    let mut running = Running::start(&mut place.hotswap(&[&run[..], &builds].concat()));
    running.line("out: call to f1");
    end(running);
    let log = fs::read_to_string(place.0.join("hotswap.log")).unwrap();
    let intent = log.lines().find(|line| line.contains("build.intent")).unwrap();
    assert!(intent.contains(" sandbox="), "{intent}");
}

#[test]
fn a_token_is_taken_from_a_file_or_the_environment_and_shown_to_the_server() {
    let place = Place::new("web-token");
    fs::write(place.0.join("token"), "sesame\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let what = format!("http://{}/#greet", listener.local_addr().unwrap());
    let asked = |command: &mut Command| {
        let mut running = Running::start(command);
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").unwrap();
        running.line("has no releases");
        assert_eq!(running.end().0.code(), Some(1));
        assert!(!running.all().contains("sesame"), "{}", running.all());
        head.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
        })
    };
    let verify = ["verify", &*what, "--unsigned"];
    let with_file = [&verify[..], &["--bearer-file", "token"]].concat();
    let token = Some("Bearer sesame".to_owned());
    assert_eq!(asked(&mut place.hotswap(&with_file)), token);
    assert_eq!(asked(place.hotswap(&verify).env("HOTSWAP_TOKEN", "sesame")), token);
    assert_eq!(asked(&mut place.hotswap(&verify)), None);
}

/// What is said of a tampered file, with the address, the key and the hashes that the README has.
fn as_in_the_readme(told: &str, address: &str) -> String {
    let (_, told) = told.split_once("libgreet.so").unwrap();
    let mut hashes = ["6ee78bac..", "9237e052.."].into_iter();
    let words = told.split(' ').scan("", |before, word| {
        let is_hash = word.len() == 64 && word.chars().all(|c| c.is_ascii_hexdigit());
        let shown = match *before {
            "key" => "E7620F1842B4E81F",
            _ if is_hash => hashes.next().unwrap(),
            _ => word,
        };
        *before = word;
        Some(shown)
    });
    let text = format!("libgreet.so{}", words.collect::<Vec<_>>().join(" "));
    text.replace(&format!("http://{address}"), "https://example.org/modules")
}

/// A release that is good where it was published, and has another byte where it is served.
fn tamper(world: &World) {
    let place = &world.place;
    copy(&place.0.join("site"), &place.0.join("next"));
    place.write_greeting("greet.rs", "jello");
    let publish = ["publish", "greet.rs", "--to", "next", "--sign", "default", "--prebuilt"];
    let output = place.building(&publish).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (files, live) = (place.0.join("next/greet/files"), place.0.join("site/greet/files"));
    for entry in fs::read_dir(files).unwrap() {
        let path = entry.unwrap().path();
        let to = live.join(path.file_name().unwrap());
        if path.extension().is_none() && !to.exists() {
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(to, bytes).unwrap();
        }
    }
    let manifest = "greet/stable/hotswap.manifest";
    fs::rename(place.0.join("next").join(manifest), place.0.join("site").join(manifest)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let into = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &into);
        } else {
            fs::copy(&path, into).unwrap();
        }
    }
}
