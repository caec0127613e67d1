//! Releases are made, signed, and put into a directory, or nothing is.

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotswap_engine::Host;
use hotswap_engine::delivery::{
    Contents, DirectoryShelf, EXPIRY_DEFAULT, KeyPair, Line, PublishErrorKind, Published, Release,
    Shelf,
};
use hotswap_system::clock::move_calendar;
use hotswap_system::fault::{Fault, Manner, Times, watch};
use hotswap_tests::isolated;
use hotswap_trust::{COUNTER_JUMP_MAX, Manifest, PublicKeys, Signed, Timestamp, Trust, Verified};

/// A place of releases, and a file to be published.
struct World {
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { directory: tempfile::tempdir().expect("there is room") };
        world.write("greet.rs", "pub fn greet() {}\n");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    fn shelf(&self) -> DirectoryShelf {
        DirectoryShelf::new(self.path("releases"))
    }

    fn contents(&self) -> Contents {
        Contents::file(self.path("greet.rs")).expect("it is there")
    }

    fn publish(&self, release: Release) -> Result<Published, PublishErrorKind> {
        self.publish_from("here", release)
    }

    /// Publishes from this machine.
    fn publish_from(&self, machine: &str, release: Release) -> Result<Published, PublishErrorKind> {
        let release = release.remember_in(self.path("machines").join(machine));
        release.publish(&mut self.shelf()).map_err(|error| error.kind)
    }

    /// A manifest, where it lies.
    fn manifest(&self, line: &str) -> PathBuf {
        self.path("releases").join(line).join("hotswap.manifest")
    }

    /// What somebody has lie there who can write there is refused, also from a timer, and stays as it is.
    fn refuses(&self, is_told: impl Fn(&PublishErrorKind) -> bool) -> String {
        let before = fs::read(self.manifest("greet/stable")).ok();
        let renewed = self.publish(Release::renew("greet").signed_by(key(self)));
        let renewed = renewed.expect_err("it is not renewed");
        assert!(is_told(&renewed), "{renewed}");
        let followed = self.publish(Release::new("greet", self.contents()).signed_by(key(self)));
        let followed = followed.expect_err("it is not followed");
        assert!(is_told(&followed), "{followed}");
        assert_eq!(fs::read(self.manifest("greet/stable")).ok(), before);
        followed.to_string()
    }

    /// What a host finds that believes this.
    fn found(&self, trust: &Trust) -> Verified {
        let path = self.path("releases/greet/stable/hotswap.manifest");
        trust.verify(Signed::read_file(path).expect("it is there")).expect("it is believed")
    }

    /// The files of all releases, by name.
    fn files(&self) -> Vec<String> {
        names(&self.path("releases/greet/files"))
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The same key each time: a pair cannot be used twice.
fn key(world: &World) -> KeyPair {
    let (secret, public) = (world.path("key"), world.path("key.pub"));
    if !secret.is_file() {
        let made = KeyPair::generate(None).expect("there are random bytes");
        made.write(&secret, &public).expect("writable");
    }
    KeyPair::read(&secret, None).expect("it was written")
}

fn trust(world: &World) -> Trust {
    Trust::key(&key(world).public()).expect("a key")
}

#[test]
fn releases_follow_each_other_and_keep_their_files() {
    let world = World::new();
    let release = || Release::new("greet", world.contents()).signed_by(key(&world));
    let first = world.publish(release()).expect("nothing is wrong");
    assert_eq!((first.counter, first.files, first.bytes), (1, 1, 18));
    assert_eq!(first.signers, [key(&world).id()]);
    world.write("greet.rs", "pub fn greet() { }\n");
    let second = world.publish(release().floor(2)).expect("nothing is wrong");
    let found = world.found(&trust(&world));
    assert_eq!((found.counter, found.floor, found.hash()), (2, 2, second.hash));
    assert_eq!(found.previous.map(|previous| previous.hash), Some(first.hash));
    let file = &found.files[0];
    assert_eq!(file.path.as_str(), "greet.rs");
    assert!(world.files().contains(&file.hash.to_string()));
    assert_eq!(world.files().len(), 2, "who reads the release before has its file still");
    // A floor that is lower than before stays where it was.
    let third = world.publish(release()).expect("nothing is wrong");
    assert_eq!((third.counter, third.floor), (3, 2));
}

#[test]
fn a_release_is_renewed_with_the_same_files() {
    let world = World::new();
    let nothing = world.publish(Release::renew("greet").signed_by(key(&world)));
    assert!(matches!(nothing, Err(PublishErrorKind::Nothing { .. })), "{nothing:?}");
    let host = Host::new("x86_64-unknown-linux-gnu", "7", "rustc 1.95.0");
    let library = Contents::prebuilt(world.path("greet.rs"), host).expect("it is there");
    let day = Duration::from_secs(24 * 60 * 60);
    let release = Release::new("greet", library).signed_by(key(&world)).expires_in(day);
    let first = world.publish(release).expect("nothing is wrong");
    let before = world.found(&trust(&world));
    let again = || Release::renew("greet").signed_by(key(&world));
    let second = world.publish(again()).expect("there is one");
    let after = world.found(&trust(&world));
    assert_eq!((second.counter, after.counter), (2, 2));
    assert!(second.expires > first.expires);
    assert_eq!((&after.files, after.kind), (&before.files, before.kind));
    assert_eq!(
        (&after.target, &after.abi, &after.toolchain),
        (&before.target, &before.abi, &before.toolchain)
    );
    // One that would expire earlier expires with the one before.
    let third = world.publish(again().expires_in(day)).expect("there is one");
    assert_eq!(third.expires, second.expires);
    let file = world.files().remove(0);
    fs::remove_file(world.path("releases/greet/files").join(file)).expect("it is there");
    let missing = world.publish(again());
    assert!(matches!(missing, Err(PublishErrorKind::Missing { .. })), "{missing:?}");
    assert_eq!(world.found(&trust(&world)).counter, 3);
}

#[test]
fn what_lies_there_has_to_be_by_who_publishes() {
    let world = World::new();
    let other = KeyPair::generate(None).expect("there are random bytes");
    let release = || Release::new("greet", world.contents());
    world.publish(release()).expect("nobody signs");
    assert_eq!(world.found(&Trust::anybody()).counter, 1);
    let refused = world.publish(release().signed_by(key(&world)));
    let Err(error @ PublishErrorKind::Previous(_)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("remove that manifest to begin anew"), "{error}");
    let manifest = world.path("releases/greet/stable/hotswap.manifest");
    fs::remove_file(&manifest).expect("it is there");
    world.publish(release().signed_by(key(&world))).expect("it begins anew");
    let refused = world.publish(release().signed_by(other));
    assert!(matches!(refused, Err(PublishErrorKind::Previous(_))), "{refused:?}");
    let refused = world.publish(release());
    let Err(error @ PublishErrorKind::Unsigned { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains(&key(&world).id().to_string()), "{error}");
    // A changed byte is no release to follow either.
    let mut bytes = fs::read(&manifest).expect("it is there");
    *bytes.last_mut().expect("it has some") ^= 1;
    fs::write(&manifest, &bytes).expect("writable");
    let refused = world.publish(release().signed_by(key(&world)));
    assert!(matches!(refused, Err(PublishErrorKind::Previous(_))), "{refused:?}");
    assert_eq!(fs::read(&manifest).expect("it is there"), bytes, "it is as it was");
}

#[test]
fn what_is_followed_is_of_the_same_module_and_channel() {
    let world = World::new();
    let release = |module| Release::new(module, world.contents()).signed_by(key(&world));
    world.publish(release("greet")).expect("nothing is wrong");
    world.publish(release("greet").channel("beta")).expect("nothing is wrong");
    world.publish(release("admin")).expect("nothing is wrong");
    let own = fs::read(world.manifest("greet/stable")).expect("it is there");
    for (line, name) in [("greet/beta", "greet (beta)"), ("admin/stable", "admin (stable)")] {
        // By the same key, and with a number that this line has, too.
        fs::copy(world.manifest(line), world.manifest("greet/stable")).expect("writable");
        let told = world.refuses(|error| matches!(error, PublishErrorKind::Foreign { .. }));
        let said = format!("is a release of {name}, not of greet (stable): put back");
        assert!(told.contains(&said), "{told}");
        // Also where nothing is remembered.
        let renewed = Release::renew("greet").signed_by(key(&world));
        let refused = world.publish_from("elsewhere", renewed);
        assert!(matches!(refused, Err(PublishErrorKind::Foreign { .. })), "{refused:?}");
    }
    fs::write(world.manifest("greet/stable"), own).expect("writable");
    assert_eq!(world.publish(release("greet")).expect("it is put back").counter, 2);
}

#[test]
fn what_is_older_than_what_was_published_from_here_is_not_followed() {
    let world = World::new();
    let release = || Release::new("greet", world.contents()).signed_by(key(&world));
    let manifest = world.manifest("greet/stable");
    let mut published = Vec::new();
    for _ in 0..3 {
        world.publish(release()).expect("nothing is wrong");
        published.push(fs::read(&manifest).expect("it is there"));
    }
    let put = |bytes: &[u8]| fs::write(&manifest, bytes).expect("writable");
    let is_behind =
        |error: &PublishErrorKind| matches!(error, PublishErrorKind::Behind { published: 3, .. });
    put(&published[1]);
    let told = world.refuses(is_behind);
    assert!(told.contains("what lies there is release 2: put back"), "{told}");
    // Another release of that number, which follows the same one.
    world.write("greet.rs", "pub fn greet() { }\n");
    world.publish_from("elsewhere", release()).expect("nothing is remembered there");
    let told = world.refuses(is_behind);
    assert!(told.contains("what lies there is another release 3: "), "{told}");
    fs::remove_file(&manifest).expect("it is there");
    let told = world.refuses(is_behind);
    assert!(told.contains("what lies there is none: "), "{told}");
    put(&published[2]);
    assert_eq!(world.publish(release()).expect("it is put back").counter, 4);
    // What another machine published meanwhile is newer.
    assert_eq!(world.publish_from("elsewhere", release()).expect("newer there, too").counter, 5);
    assert_eq!(world.publish(release()).expect("newer here").counter, 6);
    put(&published[1]);
    let Err(PublishErrorKind::Behind { memory, .. }) = world.publish(release()) else {
        panic!("it is older");
    };
    fs::remove_file(memory).expect("it is there");
    assert_eq!(world.publish(release()).expect("it was told to").counter, 3);
}

#[test]
fn the_same_place_is_remembered_by_whatever_path() {
    let world = World::new();
    let publish = |path: &str| {
        let release = Release::new("greet", world.contents()).signed_by(key(&world));
        let release = release.remember_in(world.path("machines"));
        release.publish(&mut DirectoryShelf::new(world.path(path)))
    };
    publish("releases").expect("nothing is wrong");
    fs::remove_file(world.manifest("greet/stable")).expect("it is there");
    let refused = publish("./releases/").expect_err("it was there");
    assert!(matches!(refused.kind, PublishErrorKind::Behind { .. }), "{refused}");
    publish("others").expect("it is another place");
}

#[test]
fn a_number_that_is_far_off_is_not_followed() {
    let world = World::new();
    let release = || Release::new("greet", world.contents()).signed_by(key(&world));
    world.publish(release()).expect("nothing is wrong");
    let mut far = Manifest::clone(&world.found(&trust(&world)));
    far.counter += COUNTER_JUMP_MAX;
    far.previous = None;
    let signed = key(&world).sign(&far).expect("it may be signed");
    fs::write(world.manifest("greet/stable"), signed.to_bytes()).expect("writable");
    world.refuses(|error| matches!(error, PublishErrorKind::Far(_)));
}

#[test]
fn what_expired_is_followed_and_not_renewed() {
    // The calendar is one for the whole process.
    isolated("what_expired_is_followed_and_not_renewed", || {
        let calendar = move_calendar();
        let world = World::new();
        let minute = Duration::from_secs(60);
        let release = || Release::new("greet", world.contents()).signed_by(key(&world));
        world.publish(release().expires_in(minute)).expect("nothing is wrong");
        let renewed = || world.publish(Release::renew("greet").signed_by(key(&world)));
        assert_eq!(renewed().expect("it is good still").counter, 2);
        calendar.ahead(EXPIRY_DEFAULT + minute);
        let refused = renewed();
        let Err(error @ PublishErrorKind::Expired { release: 2, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.to_string().contains("publish the files again"), "{error}");
        assert_eq!(world.publish(release()).expect("a pause is no crime").counter, 3);
        assert_eq!(renewed().expect("it is good").counter, 4);
    });
}

#[test]
fn several_keys_sign_and_any_of_them_goes_on() {
    let world = World::new();
    let next = KeyPair::generate(None).expect("there are random bytes");
    let believed = format!("{}\n{}", key(&world).public(), next.public());
    let both = PublicKeys::parse("test", &believed).and_then(|keys| keys.requiring(2));
    let both = Trust::keys(both.expect("two keys"));
    world.publish(Release::new("greet", world.contents()).signed_by(key(&world))).expect("one");
    let release = Release::new("greet", world.contents()).signed_by(next).signed_by(key(&world));
    let second = world.publish(release).expect("one of them made the first");
    assert_eq!((second.counter, second.signers.len()), (2, 2));
    assert_eq!(world.found(&both).signers().len(), 2);
    let twice =
        Release::new("greet", world.contents()).signed_by(key(&world)).signed_by(key(&world));
    let refused = world.publish(twice);
    assert!(matches!(refused, Err(PublishErrorKind::Keys(_))), "{refused:?}");
}

#[test]
fn of_two_publishers_of_a_release_one_is_told() {
    let world = World::new();
    let release = || Release::new("greet", world.contents());
    let mut busy = world.shelf();
    let open = busy.open(Line::new("greet", "stable")).expect("nobody else has it");
    let refused = world.publish(release());
    assert!(matches!(refused, Err(PublishErrorKind::Busy { .. })), "{refused:?}");
    drop(open);
    world.publish(release().expecting(0)).expect("there is none");
    let refused = world.publish(release().expecting(0));
    assert!(
        matches!(refused, Err(PublishErrorKind::Conflict { expected: 0, found: 1 })),
        "{refused:?}"
    );
    world.publish(release().expecting(1)).expect("it is");
}

#[test]
fn a_crate_is_published_without_what_is_built_and_not_with_what_lies_outside() {
    let world = World::new();
    let manifest =
        "[package]\nname = \"greet\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n";
    world.write("greet/Cargo.toml", manifest);
    world.write("greet/src/lib.rs", "pub fn greet() {}\n");
    for left_out in ["greet/target/debug/x", "greet/.git/config", "greet/hotswap.manifest"] {
        world.write(left_out, "no part of it");
    }
    let package = || Contents::package(world.path("greet")).map_err(|error| error.kind);
    let contents = package().expect("it is a crate");
    let paths = contents.files().iter().map(|file| file.path.as_str());
    // Cargo was asked what it depends on, and wrote the lock file that goes with it.
    assert_eq!(paths.collect::<Vec<_>>(), ["Cargo.lock", "Cargo.toml", "src/lib.rs"]);
    world.publish(Release::new("greet", contents)).expect("nothing is wrong");
    assert_eq!(world.files().len(), 3);
    world.write("words/Cargo.toml", &manifest.replace("greet", "words"));
    world.write("words/src/lib.rs", "");
    world.write("greet/Cargo.toml", &format!("{manifest}words = {{ path = \"../words\" }}\n"));
    let refused = package();
    let Err(error @ PublishErrorKind::Outside { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().starts_with("it depends on words in "), "{error}");
    // Inside of it, it is part of it.
    world.write(
        "greet/words/Cargo.toml",
        &manifest.replace("greet", "words").replace("[workspace]\n", ""),
    );
    world.write("greet/words/src/lib.rs", "");
    world.write("greet/Cargo.toml", &format!("{manifest}words = {{ path = \"words\" }}\n"));
    assert_eq!(package().expect("all of it is inside").files().len(), 5);
    std::os::unix::fs::symlink("/etc/passwd", world.path("greet/link")).expect("writable");
    let refused = package();
    assert!(matches!(refused, Err(PublishErrorKind::List(_))), "{refused:?}");
    fs::remove_file(world.path("greet/Cargo.toml")).expect("it is there");
    let refused = package();
    assert!(matches!(refused, Err(PublishErrorKind::NoManifest { .. })), "{refused:?}");
}

#[test]
fn what_makes_no_release_writes_nothing() {
    let world = World::new();
    let release = |module: &str| Release::new(module, world.contents()).signed_by(key(&world));
    for name in ["../greet", "a/b", "", "9lives", "."] {
        let refused = world.publish(release(name));
        assert!(matches!(refused, Err(PublishErrorKind::Name { .. })), "{refused:?}");
        let refused = world.publish(release("greet").channel(name));
        assert!(matches!(refused, Err(PublishErrorKind::Name { .. })), "{refused:?}");
        let refused = world.publish(Release::renew(name));
        assert!(matches!(refused, Err(PublishErrorKind::Name { .. })), "{refused:?}");
    }
    assert!(!world.path("releases").exists());
    let refused = world.publish(release("greet").floor(2));
    assert!(matches!(refused, Err(PublishErrorKind::Sign(_))), "{refused:?}");
    // What was looked at is not what would be published.
    let contents = world.contents();
    world.write("greet.rs", "pub fn other() {}\n");
    let refused = world.publish(Release::new("greet", contents).signed_by(key(&world)));
    assert!(matches!(refused, Err(PublishErrorKind::Changed { .. })), "{refused:?}");
    assert_eq!(world.files(), [""; 0]);
    assert_eq!(names(&world.path("releases/greet/stable")), [""; 0]);
}

#[test]
fn a_file_that_was_damaged_at_rest_is_written_anew() {
    let world = World::new();
    let release = || Release::new("greet", world.contents()).signed_by(key(&world));
    world.publish(release()).expect("nothing is wrong");
    let file = world.path("releases/greet/files").join(world.files().remove(0));
    fs::write(&file, "anything else").expect("writable");
    world.publish(release()).expect("nothing is wrong");
    assert_eq!(fs::read(&file).expect("there"), fs::read(world.path("greet.rs")).expect("there"));
}

/// Whichever step fails: who looks finds one whole release, and who publishes again succeeds.
#[test]
fn every_step_of_publishing_may_fail() {
    isolated("every_step_of_publishing_may_fail", every_step_fails);
}

fn every_step_fails() {
    let world = World::new();
    let unremembered = Cell::new(0);
    let release = || Release::new("greet", world.contents()).signed_by(key(&world));
    let publish = || {
        let published = world.publish(release());
        published.is_ok_and(|published| {
            unremembered.set(unremembered.get() + u32::from(published.unremembered.is_some()));
            true
        })
    };
    let start = |world: &World| {
        for all in ["releases", "machines"] {
            let _absent = fs::remove_dir_all(world.path(all));
        }
        world.write("greet.rs", "pub fn greet() {}\n");
        assert!(publish());
        world.write("greet.rs", "pub fn greet() { }\n");
    };
    start(&world);
    let watching = watch();
    assert!(publish());
    let steps = watching.passed();
    let mut failed = 0;
    for (site, count) in steps {
        for number in 0..count {
            for manner in [Manner::Error, Manner::Panic] {
                watching.clear();
                start(&world);
                watching.clear();
                watching.inject(Fault { site, times: Times::Once(number), manner });
                let published = catch_unwind(AssertUnwindSafe(publish)).unwrap_or(false);
                assert_eq!(watching.fired(), 1, "{site}");
                watching.clear();
                failed += u64::from(!published);
                let found = world.found(&trust(&world));
                assert!(found.expires > Timestamp::now(), "{site}");
                assert!(found.counter == 2 || (found.counter == 1 && !published), "{site}");
                for file in &found.files {
                    assert!(world.files().contains(&file.hash.to_string()), "{site}");
                }
                if found.counter == 1 && manner == Manner::Error {
                    assert_eq!(world.files().len(), 1, "{site}: nothing is left behind");
                }
                assert!(publish(), "{site}: the next one");
                assert_eq!(world.found(&trust(&world)).counter, found.counter + 1);
            }
        }
    }
    assert!(failed > 30, "{failed} of them failed");
    assert!(
        unremembered.get() > 3,
        "{} were published, and it is not remembered",
        unremembered.get()
    );
}
