//! What is kept, for when places are down or lie, and what becomes of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hotswap_artifact::{Attachment, Bell, Fetch as _, FetchError, FetchErrorKind};
use hotswap_monitor::delivery::{Answer, Place, Releases};
use hotswap_system::fault::{Fault, Manner, Times, watch};
use hotswap_trust::{FileEntry, MANIFEST_NAME};
use parking_lot::Mutex;

use crate::world::{Client, Mood, Shelf, World, host};

#[test]
fn who_begins_runs_what_is_kept_while_places_are_down_or_lie_and_says_so() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    shelf.set(Mood::Down);
    world.client(&[&shelf]).refuses(&["cannot reach memory/a#greet"]);
    shelf.set(Mood::Fair);
    assert_eq!(world.client(&[&shelf]).text(), "one");
    let lies: [&dyn Fn(); 3] = [
        &|| shelf.set(Mood::Down),
        &|| shelf.content.lock().manifest = Some(b"no manifest".to_vec()),
        &|| shelf.content.lock().manifest = None,
    ];
    for lie in lies {
        shelf.set(Mood::Fair);
        lie();
        let client = world.client(&[&shelf]);
        let fetched = client.look().unwrap();
        assert_eq!(fetched.fingerprint, one.fingerprint());
        assert!(fetched.note.contains("release 1 of greet (stable)"), "{}", fetched.note);
        assert!(fetched.note.contains("; from the cache: "), "{}", fetched.note);
        // It has been told of; from now on what runs is kept, and why nothing newer can be had is said.
        client.look().expect_err("nothing can be had");
        shelf.set(Mood::Fair);
        shelf.put(&one);
        assert_eq!(client.releases.fingerprint().unwrap(), Some(one.fingerprint()));
    }
}

#[test]
fn d14_what_was_edited_in_the_cache_is_fetched_again_or_an_older_release_is_taken() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    let two = world.release("two", Some(&one), |_| {});
    for release in [&one, &two] {
        shelf.put(release);
        world.client(&[&shelf]).text();
    }
    let place = |release: &crate::world::Published| {
        let hash = release.verified.hash().to_string();
        world.kept().into_iter().find(|path| path.ends_with(&hash)).expect("it is kept")
    };
    let edits: [fn(&std::path::Path); 4] = [
        |place| fs::write(place.join("src/lib.rs"), "twO").unwrap(),
        |place| fs::remove_file(place.join("src/lib.rs")).unwrap(),
        |place| {
            fs::rename(place.join("src/lib.rs"), place.join("x")).unwrap();
            std::os::unix::fs::symlink("../x", place.join("src/lib.rs")).unwrap();
        },
        |place| fs::write(place.join(MANIFEST_NAME), "edited").unwrap(),
    ];
    for edit in edits {
        let fetched = shelf.content.lock().fetched;
        edit(&place(&two));
        assert_eq!(world.client(&[&shelf]).text(), "two");
        assert!(shelf.content.lock().fetched > fetched, "it was fetched again");
        edit(&place(&two));
        shelf.set(Mood::Down);
        assert_eq!(world.client(&[&shelf]).text(), "one");
        shelf.set(Mood::Fair);
        assert_eq!(world.client(&[&shelf]).text(), "two");
    }
    for release in [&one, &two] {
        edits[0](&place(release));
    }
    shelf.set(Mood::Down);
    world
        .client(&[&shelf])
        .refuses(&["cannot reach", "src/lib.rs is not what belongs to release 2"]);
    shelf.set(Mood::Fair);
    assert_eq!(world.client(&[&shelf]).text(), "two");
}

#[test]
fn d14_a_file_that_was_put_into_a_release_that_is_kept_is_not_handed_over() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    shelf.put(&world.release("one", None, |_| {}));
    world.client(&[&shelf]).text();
    fs::write(world.kept()[0].join("build.rs"), "fn main() {}").unwrap();
    let fetched = world.client(&[&shelf]).look().unwrap();
    assert!(!fetched.code.location().join("build.rs").exists());
}

#[test]
fn a_release_that_was_never_accepted_is_not_taken_from_the_cache() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    for release in [&one, &world.release("two", Some(&one), |_| {})] {
        shelf.put(release);
        world.client(&[&shelf]).text();
    }
    shelf.set(Mood::Down);
    // Who removed what is remembered cannot pass what is kept off as accepted.
    fs::remove_dir_all(world.home.path().join("state")).unwrap();
    world.client(&[&shelf]).refuses(&["cannot reach"]);
    shelf.set(Mood::Fair);
    assert_eq!(world.client(&[&shelf]).text(), "two");
    // Below what the host takes at least, neither.
    shelf.set(Mood::Down);
    Client::new(world.trust().floor(3), &[&shelf]).refuses(&["cannot reach"]);
}

#[test]
fn a_cache_where_others_may_write_is_no_place_for_releases() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    shelf.put(&world.release("one", None, |_| {}));
    fs::create_dir(world.cache()).unwrap();
    let open = |mode| {
        fs::set_permissions(world.cache(), fs::Permissions::from_mode(mode)).unwrap();
    };
    for mode in [0o777, 0o770, 0o1777] {
        open(mode);
        let path = world.cache().display().to_string();
        let error = world.client(&[&shelf]).refuses(&[&path, "other users", "`cache_in`"]);
        assert_eq!(error.kind, FetchErrorKind::Unavailable);
    }
    open(0o700);
    assert_eq!(world.client(&[&shelf]).text(), "one");
    let inside = fs::metadata(world.kept()[0].parent().unwrap()).unwrap();
    assert_eq!(inside.permissions().mode() & 0o777, 0o700);
}

#[test]
fn whichever_step_fails_there_is_all_of_a_release_or_nothing_and_the_next_attempt_succeeds() {
    let world = World::new();
    let shelf = Shelf::new("a");
    let one = world.release("one", None, |_| {});
    let two = world.release("two", Some(&one), |_| {});
    let watching = watch();
    let begin = || {
        let _absent = fs::remove_dir_all(world.cache());
        let _absent = fs::remove_dir_all(world.home.path().join("state"));
        shelf.put(&one);
        let client = world.client(&[&shelf]);
        assert_eq!(client.text(), "one");
        shelf.put(&two);
        client
    };
    let client = begin();
    watching.clear();
    assert_eq!(client.text(), "two");
    let steps = watching.passed();
    assert!(steps.len() > 20, "{steps:?}");
    let mut failed = 0;
    for (site, count) in steps {
        for number in 0..count {
            let client = begin();
            watching.inject(Fault { site, times: Times::Once(number), manner: Manner::Error });
            let attempt = client.look();
            watching.heal();
            match attempt {
                Ok(fetched) => assert_eq!(fetched.release, Some(2), "{site}"),
                Err(error) => {
                    failed += 1;
                    assert_eq!(error.kind, FetchErrorKind::Unavailable, "{site}: {error}");
                }
            }
            assert_eq!(client.text(), "two", "{site}, passing {number}");
            assert!(world.incoming().is_empty(), "{site}, passing {number}");
        }
    }
    assert!(failed > 10, "most of it cannot be done without");
}

#[test]
fn a_disk_that_is_full_is_told_and_leaves_nothing_behind() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    shelf.put(&world.release("one", None, |_| {}));
    // The same, twice: it is no fault of theirs.
    let client = || world.client(&[&shelf, &shelf]);
    let first = client();
    let watching = watch();
    assert!(first.look().is_ok());
    let steps = watching.passed();
    let writes: Vec<_> =
        steps.into_keys().filter(|site| site.file.ends_with("hand_over.rs")).collect();
    let write =
        writes.into_iter().find(|site| site.operation == hotswap_system::fault::Operation::Write);
    let site = write.expect("what is fetched is written there");
    shelf.put(&world.release("two", None, |manifest| manifest.counter = 1));
    fs::remove_dir_all(world.cache()).unwrap();
    fs::remove_dir_all(world.home.path().join("state")).unwrap();
    watching.inject(Fault { site, times: Times::From(0), manner: Manner::Error });
    let fetched = shelf.content.lock().fetched;
    let error = client().refuses(&["cannot write"]);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("No space left"));
    assert!(world.incoming().is_empty() && world.kept().is_empty());
    assert_eq!(shelf.content.lock().fetched, fetched + 1, "no other file is fetched for nothing");
    watching.heal();
    assert_eq!(client().text(), "two");
}

#[test]
fn many_processes_with_one_cache_all_get_what_was_signed() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let mut releases = vec![world.release("release 1", None, |_| {})];
    for number in 2..=6 {
        releases.push(world.release(&format!("release {number}"), releases.last(), |_| {}));
    }
    let trust = world.trust();
    for release in &releases {
        shelf.put(release);
        let expected = format!("release {}", release.verified.counter);
        std::thread::scope(|scope| {
            let (shelf, trust) = (&shelf, &trust);
            let clients: Vec<_> = (0..4)
                .map(|_| scope.spawn(move || Client::new(trust.clone(), &[shelf]).text()))
                .collect();
            for client in clients {
                assert_eq!(client.join().unwrap(), expected);
            }
        });
        assert!(world.kept().len() <= 3 && world.incoming().is_empty());
    }
}

#[test]
fn what_another_process_accepted_meanwhile_is_not_gone_back_behind() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    let [slow, quick] = [0, 1].map(|_| world.client(&[&shelf]));
    assert_eq!(slow.releases.fingerprint().unwrap(), Some(one.fingerprint()));
    assert_eq!(quick.text(), "one");
    let two = world.release_of(
        hotswap_trust::CodeKind::Crate,
        &[("Cargo.toml", "[package]".to_owned())],
        Some(&one),
        |_| {},
    );
    shelf.put(&two);
    assert_eq!(quick.look().unwrap().release, Some(2));
    // It looked before that, and finds what is there now, without anything of what it was about to hand over.
    let fetched = slow.fetch().unwrap();
    assert_eq!((fetched.release, fetched.fingerprint), (Some(2), two.fingerprint()));
    assert!(!fetched.note.contains("from the cache"), "{}", fetched.note);
    assert!(!fetched.code.location().join("src").exists());
}

/// A place that lies while a process begins is no reason to refuse, for good, the release that was kept and is damaged.
#[test]
fn d24_what_a_place_says_while_something_is_fetched_is_not_held_against_the_release() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    world.client(&[&shelf]).text();
    fs::write(world.kept()[0].join("src/lib.rs"), "onE").unwrap();
    shelf.content.lock().manifest = Some(b"no manifest".to_vec());
    let client = world.client(&[&shelf]);
    // What is kept is looked for by its manifest, which is whole.
    assert_eq!(client.releases.fingerprint().unwrap(), Some(one.fingerprint()));
    for _ in 0..2 {
        let error = client.fetch().unwrap_err();
        assert_eq!(error.kind, FetchErrorKind::Unavailable, "{error}");
    }
    shelf.put(&one);
    assert_eq!(client.text(), "one");
}

/// A place that answers when it is told to.
#[derive(Debug)]
struct Slow {
    asked: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Place for Slow {
    fn kind(&self) -> &'static str {
        "slow"
    }

    fn name(&self) -> &str {
        "slow#greet"
    }

    fn manifest(&self) -> Result<Answer, FetchError> {
        self.asked.send(()).unwrap();
        let told = self.go.lock().recv_timeout(Duration::from_secs(20));
        told.map_err(|_| FetchError::unavailable("nobody could tell it to go on"))?;
        Ok(Answer::Absent)
    }

    fn file(
        &self,
        _: &FileEntry,
        _: &mut dyn FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        Err(FetchError::unavailable("it has none"))
    }
}

#[test]
fn a_monitor_that_begins_does_not_wait_for_the_look_of_another() {
    let world = World::new();
    let ((asked, is_asked), (go, told)) = (mpsc::channel(), mpsc::channel());
    let place: Arc<dyn Place> = Arc::new(Slow { asked, go: Mutex::new(told) });
    let releases = Releases::new("greet", [place], world.trust()).unwrap();
    std::thread::scope(|scope| {
        let look = scope.spawn(|| releases.fingerprint());
        is_asked.recv().unwrap();
        releases.attach(&Attachment::new(Bell::new(|| true), Some(host()), || false));
        go.send(()).unwrap();
        assert_eq!(look.join().unwrap().unwrap(), None);
    });
}
