//! Ctrl-C, whenever it comes: exit code 0, no process, no stray file.

mod harness;

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use harness::{Place, Running, shared_builds};

/// What "at once" may take on a busy machine; the things that are interrupted here would take minutes.
const AT_ONCE: Duration = Duration::from_secs(10);

#[track_caller]
fn ends_at_once(running: &mut Running) {
    let (status, time) = running.end();
    assert_eq!(status.code(), Some(0), "{}", running.all());
    assert!(time < AT_ONCE, "took {time:?}");
}

#[test]
fn during_the_first_build() {
    let place = Place::new("hanging-build");
    place.new_crate("hanging_build");
    let directory = place.0.join("hanging_build");
    // Without dependencies, so that nothing but the build script is built; it says when it runs.
    let manifest = "[package]\nname = \"hanging_build\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    fs::write(directory.join("src/lib.rs"), "").unwrap();
    // The script says that it runs by connecting, and the connection ends with it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = format!(
        "fn main() {{ let _here = std::net::TcpStream::connect({:?}); loop {{ std::thread::park() }} }}",
        listener.local_addr().unwrap().to_string()
    );
    fs::write(directory.join("build.rs"), script).unwrap();

    let mut running = Running::start(&mut place.hotswap(&["run", "hanging_build"]));
    let (sender, connected) = channel();
    thread::spawn(move || sender.send(listener.accept().unwrap().0));
    let mut script = connected.recv_timeout(harness::DEADLINE).unwrap();
    running.line("err: building hanging_build .. ");
    running.signal("INT");
    ends_at_once(&mut running);
    script.set_read_timeout(Some(AT_ONCE)).unwrap();
    assert_eq!(script.read(&mut [0]).unwrap_or(0), 0, "the build script goes on");
    assert_eq!(place.processes(), [""; 0], "processes are left");
    let stage = directory.join("target/hotswap/stage").join(running.id().to_string());
    assert!(!stage.exists());
}

#[test]
fn between_calls_and_by_terminate() {
    let place = Place::new("waiting");
    place.new_crate("waiting");
    let mut running = Running::start(&mut place.building(&["run", "waiting", "--every", "1h"]));
    running.line("out: call to f2");
    running.signal("TERM");
    ends_at_once(&mut running);
    assert!(!shared_builds().join("stage").join(running.id().to_string()).exists());
    let log = fs::read_to_string(place.0.join("hotswap.log")).unwrap();
    assert!(log.trim_end().lines().last().unwrap().contains(" engine.stop "), "{log}");
}

#[test]
fn during_a_call_that_never_returns() {
    let place = Place::new("endless");
    place.new_crate("endless");
    place.edit(
        "endless",
        "println!(\"call to f2\");",
        "println!(\"for ever\"); loop { std::thread::park() }",
    );
    let mut running = Running::start(&mut place.building(&["run", "endless"]));
    running.line("out: for ever");
    let stage = shared_builds().join("stage").join(running.id().to_string());
    assert!(stage.exists(), "{} is where libraries are staged", stage.display());
    running.signal("INT");
    ends_at_once(&mut running);
    assert!(!stage.exists(), "{} is left", stage.display());
}
