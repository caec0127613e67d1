//! Places that lie. What is refused changes nothing, and the next good release is taken.

use std::sync::atomic::{AtomicBool, Ordering};

use hotswap_artifact::{ContentHash, Fetch as _, FetchErrorKind};
use hotswap_monitor::delivery::Trust;
use hotswap_trust::{CodeKind, KeyPair, Manifest, SIGNED_BYTES_MAX};

use crate::world::{Client, Mood, Published, Shelf, World};

/// A place with release 1, which a client runs.
fn running() -> (World, Shelf, Client, Published) {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    let client = world.client(&[&shelf]);
    assert_eq!(client.text(), "one");
    (world, shelf, client, one)
}

#[test]
fn d1_no_byte_of_a_manifest_can_be_changed() {
    let (world, shelf, client, one) = running();
    let two = world.release("two", Some(&one), |_| {});
    shelf.put(&two);
    // A sample: the crate of signatures flips all of them.
    for index in (0..two.bytes.len()).step_by(23) {
        let mut bytes = two.bytes.clone();
        bytes[index] ^= 1;
        shelf.content.lock().manifest = Some(bytes);
        assert_eq!(client.refuses(&["memory/a#greet"]).kind, FetchErrorKind::Refused);
    }
    let other = KeyPair::generate(None).unwrap();
    let manifest = Manifest::clone(&two.verified);
    shelf.content.lock().manifest = Some(other.sign(&manifest).unwrap().to_bytes());
    client.refuses(&["0 of the 1 signatures"]);
    shelf.put(&two);
    assert_eq!(client.text(), "two");
}

#[test]
fn d1_d4_a_file_that_is_another_is_refused_and_named_and_the_right_one_is_taken() {
    let (world, shelf, client, one) = running();
    let key = world.key.public_keys().ids().next().unwrap().to_string();
    let two = world.release("two", Some(&one), |_| {});
    shelf.put(&two);
    let hash = ContentHash::of(b"two");
    for bytes in [b"twO".to_vec(), b"one".to_vec(), b"tw".to_vec(), b"two!".to_vec(), vec![]] {
        shelf.content.lock().files.insert(hash, bytes);
        let error = client.refuses(&["src/lib.rs", "release 2", &key, "memory/a#greet"]);
        // It may be right at the next attempt, and nothing is to wait for another release then.
        assert_eq!(error.kind, FetchErrorKind::Unavailable);
        assert!(world.incoming().is_empty() && world.kept().len() == 1);
    }
    shelf.put(&two);
    assert_eq!(client.text(), "two");
}

#[test]
fn d2_older_releases_are_refused_after_a_restart_and_without_a_cache() {
    let (world, shelf, client, one) = running();
    let two = world.release("two", Some(&one), |_| {});
    shelf.put(&two);
    assert_eq!(client.text(), "two");
    shelf.put(&one);
    client.refuses(&["release 2 was accepted already"]);
    // A process that begins runs what it had.
    let restarted = world.client(&[&shelf]);
    assert_eq!(restarted.text(), "two");
    restarted.refuses(&["release 2 was accepted already"]);
    std::fs::remove_dir_all(world.cache()).unwrap();
    world.client(&[&shelf]).refuses(&["release 2 was accepted already"]);
    shelf.put(&world.release("three", Some(&two), |_| {}));
    assert_eq!(client.text(), "three");
}

#[test]
fn d6_what_never_ends_is_refused_where_it_should_have_ended() {
    let (world, shelf, client, one) = running();
    shelf.put(&world.release("two", Some(&one), |_| {}));
    shelf.set(Mood::Endless);
    client.refuses(&["src/lib.rs", "longer than 3 bytes"]);
    assert!(shelf.content.lock().given < 10_000, "one piece was enough");
    shelf.set(Mood::Fair);
    let manifest = vec![b'h'; SIGNED_BYTES_MAX + 1];
    shelf.content.lock().manifest = Some(manifest);
    client.refuses(&["more than"]);
    shelf.put(&world.release("two", Some(&one), |_| {}));
    assert_eq!(client.text(), "two");
}

#[test]
fn d8_a_good_release_of_something_else_is_refused() {
    let (world, shelf, client, one) = running();
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 6] = [
        ("its module is \"other\"", |manifest| manifest.module = "other".to_owned()),
        ("its channel is \"beta\"", |manifest| manifest.channel = "beta".to_owned()),
        ("its target is", |manifest| manifest.target = Some("wasm32-wasip1".to_owned())),
        ("its abi is", |manifest| manifest.abi = Some("3".to_owned())),
        ("its toolchain is", |manifest| manifest.toolchain = Some("rustc 1.0.0".to_owned())),
        ("follows no other", |manifest| manifest.previous = None),
    ];
    for (words, change) in changes {
        shelf.put(&world.release("two", Some(&one), change));
        assert_eq!(client.refuses(&[words]).kind, FetchErrorKind::Refused);
    }
    let libraries = world.trust().only(CodeKind::Prebuilt);
    Client::new(libraries, &[&shelf]).refuses(&["kind is \"crate\""]);
    shelf.put(&world.release("two", Some(&one), |_| {}));
    assert_eq!(client.text(), "two");
}

#[test]
fn d9_a_release_of_which_anything_is_missing_is_not_there_at_all() {
    let (world, shelf, client, one) = running();
    let files =
        ["Cargo.toml", "a.rs", "b/c.rs", "d"].map(|path| (path, format!("{path} of release two")));
    let two = world.release_of(CodeKind::Crate, &files, Some(&one), |_| {});
    for (path, text) in &files {
        shelf.put(&two);
        shelf.content.lock().files.remove(&ContentHash::of(text.as_bytes()));
        client.refuses(&[path, &ContentHash::of(text.as_bytes()).to_string()]);
        assert!(world.kept().len() == 1 && world.incoming().is_empty(), "{path}");
        // Who begins meanwhile has the release before.
        assert_eq!(world.client(&[&shelf]).text(), "one");
    }
    shelf.put(&two);
    shelf.set(Mood::Broken);
    client.refuses(&["broke off"]);
    shelf.set(Mood::Fair);
    assert_eq!(client.look().unwrap().release, Some(2));
}

#[test]
fn d13_what_is_handed_over_is_what_was_signed_whoever_replaces_it_meanwhile() {
    let (world, shelf, client, one) = running();
    let long = "x".repeat(100_000);
    shelf.put(&world.release(&long, Some(&one), |_| {}));
    client.text();
    let over = AtomicBool::new(false);
    let hash = shelf.content.lock().manifest.clone().unwrap();
    let file = |place: &std::path::PathBuf| place.join("src/lib.rs");
    let files: Vec<_> = world.kept().iter().map(file).collect();
    let forged = "y".repeat(long.len());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Whichever way a file can be replaced.
            let mut round = 0_u32;
            while !over.load(Ordering::Relaxed) {
                round += 1;
                for file in &files {
                    let _gone = match round % 3 {
                        0 => std::fs::write(file, &forged),
                        1 => std::fs::remove_file(file).and_then(|()| std::fs::write(file, &long)),
                        _ => std::fs::write(file.with_extension("new"), &forged)
                            .and_then(|()| std::fs::rename(file.with_extension("new"), file)),
                    };
                }
            }
        });
        for _ in 0..300 {
            // It is fetched again where it was damaged: an error is a race that was lost, and never other code.
            match client.fetch() {
                Ok(fetched) => {
                    let text = std::fs::read_to_string(fetched.code.location().join("src/lib.rs"));
                    assert!(text.unwrap() == long, "other bytes than were signed");
                }
                Err(error) => assert_eq!(error.kind, FetchErrorKind::Unavailable, "{error}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(shelf.content.lock().manifest, Some(hash));
    assert_eq!(client.text(), long);
}

#[test]
fn d24_who_refused_everything_takes_the_next_good_release() {
    let (world, shelf, client, one) = running();
    let two = world.release("two", Some(&one), |_| {});
    let bad: [&dyn Fn(); 7] = [
        &|| shelf.content.lock().manifest = Some(b"no manifest".to_vec()),
        &|| shelf.content.lock().manifest = Some(Vec::new()),
        &|| shelf.content.lock().manifest = None,
        &|| shelf.put(&world.release("x", None, |manifest| manifest.counter = u64::MAX)),
        &|| {
            shelf.put(&world.release("x", Some(&one), |manifest| {
                manifest.expires = hotswap_trust::Timestamp::default();
            }));
        },
        &|| shelf.put(&world.release("another first", None, |_| {})),
        &|| shelf.set(Mood::Down),
    ];
    for make_bad in bad {
        make_bad();
        client.look().expect_err("it is bad");
        assert_eq!(client.releases.floor(), 0);
    }
    shelf.set(Mood::Fair);
    shelf.put(&two);
    assert_eq!(client.text(), "two");
}

#[test]
fn who_has_no_key_of_a_release_and_says_so_takes_it_all_the_same() {
    let (world, shelf, _, one) = running();
    let thief = KeyPair::generate(None).unwrap();
    let manifest = Manifest::clone(&one.verified);
    shelf.content.lock().manifest = Some(thief.sign(&manifest).unwrap().to_bytes());
    let anybody = Client::new(world.at_home(Trust::anybody()), &[&shelf]);
    let fetched = anybody.look().unwrap();
    assert!(fetched.note.contains("believed as it is"), "{}", fetched.note);
}
