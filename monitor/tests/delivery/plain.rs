//! Places that do as they should.

use std::fs;
use std::time::Duration;

use hotswap_artifact::{
    Attachment, Bell, Collection as _, ContentHash, Fetch as _, FetchErrorKind, ModuleName,
};
use hotswap_monitor::delivery::{
    ReleaseDirectory, ReleasedModules, Releases, ReleasesErrorKind, Trust,
};
use hotswap_monitor::{BuildSettings, Monitor, Outcome, POLL_PERIOD_MAX, Trigger};
use hotswap_trust::{CodeKind, MANIFEST_NAME, Manifest};

use crate::world::{Client, Mood, Published, Shelf, World, host, told};

/// How long a monitor may take for what takes no time.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn each_kind_of_code_is_handed_over_in_its_form() {
    let world = World::new();
    let key = world.key.public_keys().ids().next().unwrap().to_string();
    let text = |text: &str| text.to_owned();
    for (kind, files, handed_over, is_foreign) in [
        (CodeKind::File, vec![("main.rs", text("code"))], "file greet.rs", true),
        (CodeKind::Prebuilt, vec![("libgreet.so", text("code"))], "prebuilt greet.so", false),
        (
            CodeKind::Prebuilt,
            vec![("README", text("")), ("greet-5.so", text("code"))],
            "prebuilt greet.so",
            false,
        ),
        (
            CodeKind::Crate,
            vec![("Cargo.toml", text("[package]")), ("src/deep/lib.rs", text("code"))],
            "crate greet",
            true,
        ),
    ] {
        let shelf = Shelf::new("a");
        let release = world.release_of(kind, &files, None, |_| {});
        shelf.put(&release);
        let home = tempfile::tempdir().unwrap();
        let trust =
            world.trust().cache_in(home.path().join("c")).remember_in(home.path().join("s"));
        let client = Client::new(trust, &[&shelf]);
        let fetched = client.look().unwrap();
        let path = fetched.code.location();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(format!("{} {name}", fetched.code.kind()), handed_over);
        let code = if path.is_dir() { path.join("src/deep/lib.rs") } else { path.to_owned() };
        assert_eq!(fs::read_to_string(code).unwrap(), "code");
        assert_eq!((fetched.release, fetched.is_foreign), (Some(1), is_foreign));
        assert_eq!(fetched.fingerprint, release.fingerprint());
        for word in ["release 1 of greet (stable)", &key, "memory/a#greet"] {
            assert!(fetched.note.contains(word), "{}", fetched.note);
        }
    }
}

#[test]
fn what_is_not_new_is_neither_fetched_nor_written() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    let client = world.client(&[&shelf]);
    assert_eq!(client.text(), "one");
    assert_eq!(shelf.content.lock().fetched, 2);
    for mood in [Mood::Fair, Mood::Same] {
        shelf.set(mood);
        assert_eq!(client.releases.fingerprint().unwrap(), Some(one.fingerprint()));
    }
    // The next process has it in its cache.
    shelf.set(Mood::Fair);
    assert_eq!(world.client(&[&shelf]).text(), "one");
    assert_eq!(shelf.content.lock().fetched, 2);
    // Of the next release only what differs is fetched.
    shelf.put(&world.release("two", Some(&one), |_| {}));
    assert_eq!(client.text(), "two");
    assert_eq!(shelf.content.lock().fetched, 3);
}

#[test]
fn a_gap_is_told_and_three_releases_are_kept() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let mut releases = vec![world.release("1", None, |_| {})];
    for text in ["2", "3", "4", "5", "6"] {
        releases.push(world.release(text, releases.last(), |_| {}));
    }
    let client = world.client(&[&shelf]);
    for number in [1, 2, 3, 6] {
        shelf.put(&releases[number - 1]);
        let fetched = client.look().unwrap();
        assert_eq!(fetched.release, Some(number as u64));
        assert_eq!(fetched.note.contains("after 3, up to 5, were never seen"), number == 6);
    }
    let name = |path: &std::path::PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut kept: Vec<_> = world.kept().iter().map(name).collect();
    kept.sort();
    let mut expected = [2, 3, 6].map(|number| releases[number - 1].verified.hash().to_string());
    expected.sort();
    assert_eq!(kept, expected);
    assert!(world.incoming().is_empty());
}

#[test]
fn what_the_host_says_of_itself_and_of_releases_is_passed_on() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let trust = world.trust().floor(3);
    let client = Client::new(trust, &[&shelf]);
    assert_eq!(client.releases.floor(), 3);
    assert_eq!(client.releases.fingerprint().unwrap(), None);
    let assurance = client.releases.assurance().unwrap();
    let key = world.key.public_keys().ids().next().unwrap();
    assert_eq!(
        (assurance.level, assurance.text),
        ("L2", format!("signed by key {key}, channel stable"))
    );
    let release = world.release("5", None, |manifest| (manifest.counter, manifest.floor) = (5, 4));
    shelf.put(&release);
    assert_eq!(client.look().unwrap().release, Some(5));
    assert_eq!(client.releases.floor(), 4);
    // Of a process that did not look yet as well.
    assert_eq!(world.client(&[&shelf]).releases.floor(), 4);
    shelf.put(&world.release("2", None, |manifest| manifest.counter = 2));
    Client::new(world.at_home(world.trust().floor(9)), &[&shelf]).refuses(&["below 9"]);
}

#[test]
fn a_library_is_for_one_kind_of_host_and_is_refused_where_that_is_not_known() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let files = [("libgreet.so", "code".to_owned())];
    shelf.put(&world.release_of(CodeKind::Prebuilt, &files, None, |_| {}));
    let client = Releases::new("greet", [shelf.place()], world.trust()).unwrap();
    client.attach(&Attachment::new(Bell::new(|| true), None, || false));
    let error = client.fingerprint().unwrap_err();
    assert!(error.to_string().contains("was not told which kind"), "{error}");
    shelf.put(&world.release("source", None, |_| {}));
    assert!(client.fingerprint().unwrap().is_some());
}

#[test]
fn who_ends_waits_for_no_other_file() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    shelf.put(&world.release("one", None, |_| {}));
    let releases = Releases::new("greet", [shelf.place()], world.trust()).unwrap();
    let attach = |is_over: bool| {
        releases.attach(&Attachment::new(Bell::new(|| true), Some(host()), move || is_over));
    };
    let place = tempfile::tempdir().unwrap();
    attach(true);
    let error = releases.fetch(place.path()).unwrap_err();
    assert!(error.to_string().contains("nobody waits"), "{error}");
    assert_eq!(shelf.content.lock().fetched, 0);
    // Another one does.
    attach(false);
    assert!(releases.fetch(place.path()).is_ok());
}

#[test]
fn one_release_by_its_hash_and_whatever_there_is() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let (one, two) = (world.release("one", None, |_| {}), world.release("two", None, |_| {}));
    shelf.put(&one);
    let pinned = Client::new(world.at_home(Trust::pinned(one.verified.hash())), &[&shelf]);
    assert_eq!(pinned.text(), "one");
    shelf.put(&two);
    pinned.refuses(&[&two.verified.hash().to_string(), &one.verified.hash().to_string()]);
    // The next process has it still.
    let pinned = Client::new(world.at_home(Trust::pinned(one.verified.hash())), &[&shelf]);
    assert_eq!(pinned.text(), "one");
    let anybody = Client::new(world.at_home(Trust::anybody()), &[&shelf]);
    assert_eq!(anybody.text(), "two");
    let unsigned = Manifest::clone(&one.verified).to_bytes().unwrap();
    let unsigned = [b"hotswap signatures v1 0\n".to_vec(), unsigned].concat();
    shelf.content.lock().manifest = Some(unsigned);
    assert_eq!(anybody.text(), "one");
    world.client(&[&shelf]).refuses(&["0 of the 1 signatures"]);
}

#[test]
fn what_cannot_be_asked_for_is_told_at_once() {
    let world = World::new();
    let shelf = Shelf::new("a");
    let fail = |module: &str, trust: Trust, places: &[&Shelf]| {
        let places = places.iter().map(|shelf| shelf.place());
        Releases::new(module, places, trust).unwrap_err().kind
    };
    assert_eq!(fail("../greet", world.trust(), &[&shelf]), ReleasesErrorKind::Module);
    assert_eq!(fail("greet", world.trust(), &[]), ReleasesErrorKind::NoPlace);
    let kind = fail("greet", world.trust().channel("a/b"), &[&shelf]);
    assert_eq!(kind, ReleasesErrorKind::Channel { channel: "a/b".to_owned() });
    assert!(Releases::in_directory("x", "..", world.trust()).is_err());
}

/// Puts a release where a publisher would.
fn publish(base: &std::path::Path, release: &Published) {
    let module = base.join("greet");
    fs::create_dir_all(module.join("files")).unwrap();
    fs::create_dir_all(module.join("stable")).unwrap();
    for (hash, bytes) in &release.files {
        fs::write(module.join("files").join(hash.to_string()), bytes).unwrap();
    }
    fs::write(module.join("stable").join(MANIFEST_NAME), &release.bytes).unwrap();
}

#[test]
fn releases_below_a_directory() {
    let world = World::new();
    let base = world.home.path().join("modules");
    let releases = Releases::in_directory(&base, "greet", world.trust()).unwrap();
    assert_eq!((releases.kind(), releases.is_slow()), ("directory", false));
    assert_eq!(releases.name(), format!("{}#greet", base.display()));
    assert_eq!(releases.fingerprint().unwrap(), None);
    let one = world.release("one", None, |_| {});
    publish(&base, &one);
    assert_eq!(releases.fingerprint().unwrap(), Some(one.fingerprint()));
    let place = tempfile::tempdir().unwrap();
    let fetched = releases.fetch(place.path()).unwrap();
    assert_eq!(fs::read_to_string(fetched.code.location().join("src/lib.rs")).unwrap(), "one");
    // It is a name for the same, and not followed.
    let (manifest, elsewhere) = (base.join("greet/stable").join(MANIFEST_NAME), base.join("other"));
    fs::rename(&manifest, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &manifest).unwrap();
    assert_eq!(releases.fingerprint().unwrap_err().kind, FetchErrorKind::Unavailable);
    fs::remove_file(&manifest).unwrap();
    // Nobody signed that there is no such module any more.
    let error = releases.fingerprint().unwrap_err();
    assert!(error.to_string().contains("release 1 was accepted"), "{error}");
    fs::rename(&elsewhere, &manifest).unwrap();
    assert_eq!(releases.fingerprint().unwrap(), Some(one.fingerprint()));
}

#[test]
fn a_file_of_a_directory_that_is_a_link_or_is_not_there_is_named() {
    let world = World::new();
    let base = world.home.path().join("modules");
    let one = world.release("one", None, |_| {});
    publish(&base, &one);
    let file = base.join("greet/files").join(ContentHash::of(b"one").to_string());
    let elsewhere = base.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    let fetch = || {
        let releases = Releases::in_directory(&base, "greet", world.trust()).unwrap();
        releases.fetch(tempfile::tempdir().unwrap().path())
    };
    let absent = fetch().unwrap_err();
    assert!(told(&absent).contains(file.to_str().unwrap()), "{absent}");
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert_eq!(fetch().unwrap_err().kind, FetchErrorKind::Unavailable);
    fs::remove_file(&file).unwrap();
    fs::rename(&elsewhere, &file).unwrap();
    fetch().unwrap();
}

#[test]
fn modules_of_a_directory_are_found_by_name() {
    let world = World::new();
    let base = world.home.path().join("modules");
    let modules = ReleasedModules::in_directory(&base, world.trust());
    let name = |text: &str| ModuleName::new(text).unwrap();
    assert_eq!(modules.names().unwrap(), []);
    assert_eq!(modules.source(&name("greet")).unwrap(), None);
    publish(&base, &world.release("one", None, |_| {}));
    fs::create_dir_all(base.join("empty")).unwrap();
    assert_eq!(modules.names().unwrap(), [name("greet")]);
    let source = modules.source(&name("greet")).unwrap();
    assert_eq!(source, modules.place(&name("greet")));
    assert_eq!(source.unwrap().module_name().unwrap(), "greet");
    assert_eq!(modules.source(&name("empty")).unwrap(), None);
    assert_eq!(modules.source(&name("a/greet")).unwrap(), None);
    let beta = ReleasedModules::in_directory(&base, world.trust().channel("beta"));
    assert_eq!((beta.names().unwrap(), beta.source(&name("greet")).unwrap()), (vec![], None));
    // What is there may be refused; it is there all the same.
    fs::write(base.join("greet/stable").join(MANIFEST_NAME), "no manifest").unwrap();
    assert!(modules.source(&name("greet")).unwrap().is_some());
    let mirrored = [ReleaseDirectory::new(base.join("none")), ReleaseDirectory::new(&base)];
    let mirrored = mirrored.map(|base| std::sync::Arc::new(base) as _);
    let mirrored = ReleasedModules::new(mirrored, world.trust());
    assert!(mirrored.source(&name("greet")).unwrap().is_some());
}

#[test]
fn a_monitor_runs_what_is_released_and_what_is_signed_again_is_the_same_library() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let files = |text: &str| [("libgreet.so", text.to_owned())];
    let one = world.release_of(CodeKind::Prebuilt, &files("one"), None, |_| {});
    shelf.put(&one);
    let releases = Releases::new("greet", [shelf.place()], world.trust()).unwrap();
    let mut settings = BuildSettings::default();
    settings.target_dir = Some(world.home.path().join("target"));
    let builder =
        Monitor::builder(releases).host(host()).build(settings).poll_every(POLL_PERIOD_MAX);
    let (monitor, notifications) = builder.start().unwrap();
    let next = || notifications.recv_timeout(PATIENCE).unwrap().outcome;
    let library = |outcome| match outcome {
        Outcome::Ready(artifact) => (fs::read_to_string(artifact.path).unwrap(), artifact.release),
        other => panic!("{other:?}"),
    };
    assert_eq!(library(next()), ("one".to_owned(), Some(1)));
    let again = world.release_of(CodeKind::Prebuilt, &files("one"), Some(&one), |_| {});
    shelf.put(&again);
    monitor.scan(Trigger::Manual);
    // Nothing was built, and it has its number from now on.
    assert_eq!(library(next()), ("one".to_owned(), Some(2)));
    shelf.put(&one);
    monitor.scan(Trigger::Manual);
    let outcome = next();
    assert!(matches!(outcome, Outcome::Unreadable(_)), "it was accepted: {outcome:?}");
    shelf.put(&world.release_of(CodeKind::Prebuilt, &files("two"), Some(&again), |_| {}));
    monitor.scan(Trigger::Manual);
    assert_eq!(library(next()), ("two".to_owned(), Some(3)));
}
