//! What a host keeps of releases, and who else is on the machine: damaged caches, directories that others may write to, files that are
//! replaced while they are used, full disks. Rows D13, D14, D22, SE-3 and SE-5.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use hotswap_engine::{ContentHash, Source};
use hotswap_tests::fake_compiler::{FakeCompiler, text_of};
use hotswap_tests::isolated_under;
use hotswap_tests::prebuilt::numbered;
use hotswap_tests::release_world::{Carrier, MANIFEST, Release, ReleaseWorld};
use hotswap_tests::siege::{Siege, chain, version};
use hotswap_trust::{KeyPair, MANIFEST_NAME, PublicKeys, Trust};

/// Releases 1 and 2 are kept, and 2 was the last that ran. Nothing runs.
fn kept_two(carrier: Carrier) -> ReleaseWorld {
    let mut siege = Siege::begin(carrier);
    siege.world.publish(2);
    siege.engine.sync().expect("it is good");
    let world = siege.end();
    // What was built before is no way around.
    world.forget("target");
    world
}

/// A bit of a file is another, as a bad disk or a bad neighbour has it.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).expect("ours");
    let place = bytes.len() / 2;
    match bytes.get_mut(place) {
        Some(byte) => *byte ^= 1,
        None => bytes.push(b'x'),
    }
    // In place, and past every permission that its owner can take from himself.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::write(path, bytes).expect("ours");
}

/// What is kept: locks first, then each release's files, the oldest release first.
fn kept_files(world: &ReleaseWorld) -> Vec<PathBuf> {
    let counter = |path: &PathBuf| -> Option<u64> {
        let manifest = fs::read_to_string(path.with_file_name(MANIFEST_NAME)).ok()?;
        manifest.lines().find_map(|line| line.strip_prefix("counter "))?.parse().ok()
    };
    let mut files = world.kept("cache");
    files.sort_by_key(|path| (counter(path), path.file_name().map(ToOwned::to_owned)));
    files
}

#[test]
fn d14_what_was_edited_in_the_cache_is_fetched_again() {
    for carrier in Carrier::ALL {
        let count = kept_files(&kept_two(carrier)).len();
        assert!(count >= 4, "two manifests and two libraries: {count}");
        for index in 0..count {
            let mut world = kept_two(carrier);
            let path = kept_files(&world).remove(index);
            damage(&path);
            let what = format!("{carrier:?}, {}", path.display());
            let engine = world.engine().open();
            let engine = engine.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
            assert_eq!(version(&engine), 2, "{what}");
            world.publish(3);
            engine.sync().unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
            assert_eq!(version(&engine), 3, "{what}");
        }
    }
}

/// Nothing but the cache is there: what is damaged in it is not used, and an earlier release that is whole is.
#[test]
fn d14_with_the_server_down_what_was_edited_in_the_cache_is_not_used_and_an_earlier_one_is() {
    let mut earlier = 0;
    for index in 0..kept_files(&kept_two(Carrier::Http)).len() {
        let world = kept_two(Carrier::Http);
        world.server.go_down();
        let path = kept_files(&world).remove(index);
        damage(&path);
        let what = path.display().to_string();
        let engine = world.engine().open();
        let engine = engine.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        let number = version(&engine);
        assert!([1, 2].contains(&number), "{what}: {number}");
        earlier += u64::from(number == 1);
        let mut siege = Siege::of(world, engine);
        siege.recovers(&what);
    }
    assert_eq!(earlier, 2, "the manifest of the newest, and its library");
}

/// Both are damaged: nothing runs, and the text says which file and who signed what it should be.
#[test]
fn d14_with_nothing_good_left_nothing_runs_until_something_good_comes() {
    let mut world = kept_two(Carrier::Http);
    world.server.go_down();
    world.kept("cache").iter().for_each(|path| damage(path));
    let error = world.engine().open().expect_err("nothing is good");
    assert!(chain(&error).contains("greet"), "{}", chain(&error));
    world.server.behave();
    world.publish(3);
    assert_eq!(version(&world.engine().open().expect("it is good")), 3);
}

/// Who may write there could put anything there, and take away what is remembered.
#[test]
fn d14_directories_that_others_may_write_to_are_refused_by_name() {
    for name in ["cache", "state"] {
        let mut world = kept_two(Carrier::Http);
        let directory = world.inside(name);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("ours");
        let error = world.engine().open().expect_err("anybody may write there");
        let text = chain(&error);
        assert!(text.contains(&directory.display().to_string()), "{text}");
        assert!(text.contains("777"), "{text}");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("ours");
        let engine = world.engine().open().expect("it is private again");
        assert_eq!(version(&engine), 2);
        // While it runs.
        world.publish(3);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("ours");
        let siege = Siege::of(world, engine);
        siege.withstands(name, &[&directory.display().to_string()]);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("ours");
        siege.engine.sync().expect("it is private again");
        assert_eq!(siege.version(), 3);
    }
}

#[test]
fn d14_directories_of_somebody_else_are_refused_by_name() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tried: only root can give a directory away");
        return;
    }
    for name in ["cache", "state"] {
        let world = kept_two(Carrier::Http);
        let directory = world.inside(name);
        std::os::unix::fs::chown(&directory, Some(1234), None).expect("root may");
        let error = world.engine().open().expect_err("it is somebody else's");
        let text = chain(&error);
        assert!(text.contains(&directory.display().to_string()), "{text}");
        assert!(text.contains("1234"), "{text}");
        std::os::unix::fs::chown(&directory, Some(0), None).expect("root may");
        assert_eq!(version(&world.engine().open().expect("it is ours again")), 2);
    }
}

/// What is remembered is damaged: nothing is taken that nobody can judge, and the text says what to do.
#[test]
fn d24_what_is_remembered_is_damaged_and_that_is_said() {
    for carrier in Carrier::ALL {
        let mut world = kept_two(carrier);
        let files = world.kept("state");
        assert!(!files.is_empty());
        files.iter().for_each(|path| damage(path));
        let Err(error) = world.engine().open() else { panic!("{carrier:?}: it runs") };
        let text = chain(&error);
        assert!(files.iter().any(|path| text.contains(&path.display().to_string())), "{text}");
        world.forget("state");
        world.publish(3);
        assert_eq!(version(&world.engine().open().expect("as for the first time")), 3);
    }
}

/// What served is a way around the cache, unless it is another's: a key that was stolen, another release that was pinned, another channel.
#[test]
fn d5_what_served_because_another_was_believed_is_not_gone_back_to() {
    const BETA: &str = "greet/beta/hotswap.manifest";
    let other = KeyPair::generate(None).expect("random bytes");
    for what in ["key", "pin", "channel", "both keys"] {
        let mut world = ReleaseWorld::new(Carrier::Http);
        let release = match what {
            "channel" => world.next_with(1, |made| made.channel = "beta".to_owned()),
            _ => world.next(1),
        };
        world.publish_release(&release);
        world.write(BETA, &release.signed);
        let keys = world.key.public_keys();
        let (before, after) = match what {
            "pin" => {
                let other = ContentHash::of(b"another release");
                (Trust::pinned(release.verified.hash()), Trust::pinned(other))
            }
            "channel" => (Trust::keys(keys.clone()).channel("beta"), Trust::keys(keys)),
            "both keys" => {
                let both = format!("{}\n{}", world.key.public(), other.public());
                let both = PublicKeys::parse("the host", &both).expect("two keys");
                let needed = both.clone().requiring(2).expect("there are two");
                (Trust::keys(both), Trust::keys(needed))
            }
            _ => (Trust::keys(keys), Trust::keys(other.public_keys())),
        };
        let [before, after] = [before, after].map(|trust| world.source_of(world.trust_of(trust)));
        let open = |world: &ReleaseWorld, source: &Source| world.engine_of(source.clone()).open();
        drop(open(&world, &before).unwrap_or_else(|error| panic!("{what}: {}", chain(&error))));
        world.server.go_down();
        world.forget("cache");
        let again = open(&world, &before);
        let again = again.unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        assert_eq!(version(&again), 1, "{what}: who believes the same goes back to it");
        drop(again);
        open(&world, &after).expect_err(what);
        if what == "key" {
            // Neither does a rollback.
            world.server.behave();
            let next = world.next(2);
            let signed = other.sign(&next.verified).expect("a good manifest").to_bytes();
            world.put(&Release { signed, ..next });
            let engine = open(&world, &after).unwrap_or_else(|error| panic!("{}", chain(&error)));
            assert_eq!(version(&engine), 2);
            engine.rollback().expect_err("there is nothing to go back to");
        }
    }
}

/// Where the floor cannot be read it may be anywhere.
#[test]
fn d23_where_what_is_remembered_is_damaged_nothing_is_gone_back_to() {
    let world = Siege::begin(Carrier::Http).end();
    world.server.go_down();
    world.forget("cache");
    assert_eq!(version(&world.engine().open().expect("it served")), 1);
    world.kept("state").iter().for_each(|path| damage(path));
    let error = world.engine().open().expect_err("nobody knows the floor");
    assert!(chain(&error).contains("state"), "{}", chain(&error));
    world.forget("state");
    world.server.behave();
    assert_eq!(version(&world.engine().open().expect("as for the first time")), 1);
}

/// A server that lies while a process begins whose cache is damaged, and has the same release again afterwards.
#[test]
fn d24_a_release_is_taken_again_when_who_lied_about_it_is_repaired() {
    let mut siege = Siege::begin(Carrier::Http);
    let release = siege.world.publish(2);
    siege.engine.sync().expect("it is good");
    let world = siege.end();
    let is_library = |path: &&PathBuf| path.extension().is_some_and(|end| end == "so");
    kept_files(&world).iter().filter(is_library).for_each(|path| damage(path));
    world.write(MANIFEST, b"no manifest");
    // What served last is the way out.
    let engine = world.engine().open().unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(version(&engine), 2);
    engine.sync().expect_err("nothing is to be had");
    world.put(&release);
    engine.sync().unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(version(&engine), 2);
}

/// Source that was signed lies in a file of this user's when it is built: an edit of that is nobody's release.
#[test]
fn se_3_fetched_source_that_is_edited_is_not_built_and_put_right() {
    let mut world = ReleaseWorld::new(Carrier::Directory);
    world.publish_text(&text_of(1));
    let target = world.inside("target");
    let compiler = FakeCompiler::new(&target.join("sources"), &target.join("compiled"));
    let builds = compiler.builds();
    let engine = world.engine().backend(compiler).open();
    let engine = engine.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(version(&engine), 1);
    let find = || {
        let mut found = world.kept("target/sources");
        found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
        found.remove(0)
    };
    for text in [text_of(2), "no Rust".to_owned()] {
        fs::write(find(), text).expect("ours");
        let error = engine.sync().expect_err("nobody released this");
        assert!(chain(&error).contains("edited after it was checked"), "{}", chain(&error));
        engine.sync().unwrap_or_else(|error| panic!("{}", chain(&error)));
        assert_eq!(fs::read_to_string(find()).expect("ours"), text_of(1));
        assert_eq!((version(&engine), engine.versions().len()), (1, 1));
        assert_eq!(builds.load(Ordering::Relaxed), 1);
    }
    // Nobody else may even look.
    let slot = find().parent().and_then(Path::parent).expect("of the slot").to_owned();
    let mode = |path: &Path| fs::metadata(path).expect("ours").permissions().mode() & 0o777;
    assert_eq!(mode(&slot), 0o700);
    fs::set_permissions(&slot, fs::Permissions::from_mode(0o777)).expect("ours");
    world.publish_text(&text_of(2));
    let error = engine.sync().expect_err("anybody may write there");
    assert!(chain(&error).contains("mode 777"), "{}", chain(&error));
    fs::set_permissions(&slot, fs::Permissions::from_mode(0o700)).expect("ours");
    engine.sync().unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(version(&engine), 2);
}

/// Somebody who replaces a file again and again, by turns good and bad, until it is dropped.
struct Replacer {
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Replacer {
    /// `find` says which files there are now.
    fn start(bytes: Vec<u8>, find: impl Fn() -> Vec<PathBuf> + Send + 'static) -> Self {
        let (is_over, rounds) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, counted) = (Arc::clone(&is_over), Arc::clone(&rounds));
        // Relaxed: a flag and a count, nothing is published by them.
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                for path in find() {
                    let new = path.with_extension("evil");
                    // The directory may be gone meanwhile.
                    if fs::write(&new, &bytes).and_then(|()| fs::rename(&new, &path)).is_ok() {
                        counted.fetch_add(1, Ordering::Relaxed);
                    }
                }
                thread::yield_now();
            }
        });
        Self { is_over, rounds, thread: Some(thread) }
    }

    fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Replacer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it did not panic");
        }
    }
}

/// How often the file is replaced while it is handed over.
const ROUNDS: u64 = 10_000;

/// Where a release is handed over: the cache's file is replaced all the time, and so is the place that it came from. What is given is what
/// was signed, or nothing. No library is loaded here, so that there is time for so many rounds.
#[test]
fn se_3_d13_ten_thousand_replacements_give_what_was_signed_or_nothing() {
    let mut world = ReleaseWorld::new(Carrier::Directory);
    let good = b"pub fn version() -> u64 { 1 }\n".to_vec();
    let evil = b"pub fn version() -> u64 { 6 }\n".to_vec();
    world.publish_text(&String::from_utf8(good.clone()).expect("text"));
    let file = Release::place_of(&good);
    let Source::Fetched(source) = world.source() else { panic!("it is fetched") };
    let fetch = source.fetch();
    let at = world.inside("given");
    let places = [world.base().join(&file), world.inside("cache")];
    let replacer = Replacer::start(evil, move || {
        let mut found = vec![places[0].clone()];
        hotswap_tests::release_world::walk(&places[1], &mut found);
        found.retain(|path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"pub fn")));
        found
    });
    let (mut given, mut refused) = (0_u64, 0_u64);
    while replacer.rounds() < ROUNDS || given == 0 || refused == 0 {
        let _ = fs::remove_dir_all(&at);
        fs::create_dir(&at).expect("ours");
        let fetched = fetch.fingerprint().and_then(|_| fetch.fetch(&at));
        match fetched {
            Ok(fetched) => {
                given += 1;
                assert_eq!(fs::read(fetched.code.location()).expect("given"), good);
            }
            Err(_) => refused += 1,
        }
        world.write(&file, &good);
    }
}

/// All the way: whatever lies below the directories of host and engine is replaced while releases come and are loaded. None of the
/// other code ever runs.
#[test]
fn se_3_d13_what_is_replaced_between_check_and_load_never_runs() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        let evil = fs::read(numbered(3)).expect("built");
        let (cache, target) = (siege.world.inside("cache"), siege.world.inside("target"));
        let replacer = Replacer::start(evil, move || {
            let mut found = Vec::new();
            hotswap_tests::release_world::walk(&cache, &mut found);
            hotswap_tests::release_world::walk(&target.join("sources"), &mut found);
            found.retain(|path| path.extension().is_some_and(|extension| extension == "so"));
            found
        });
        let (mut swapped, mut rounds) = (0, 0);
        while rounds < 100 || (swapped == 0 && rounds < 10_000) {
            rounds += 1;
            siege.world.publish(1 + rounds % 2);
            swapped += u64::from(siege.engine.sync().is_ok());
            let number = siege.version();
            assert!([1, 2].contains(&number), "{carrier:?}: {number} was never signed");
        }
        let count = replacer.rounds();
        assert!(count > 0, "{carrier:?}: nothing was replaced");
        drop(replacer);
        siege.world.publish(2);
        siege.engine.sync().unwrap_or_else(|error| panic!("{carrier:?}: {}", chain(&error)));
        assert_eq!(siege.version(), 2);
    }
}

/// A release that is signed as it should be, and no module: the others never notice.
#[test]
fn d22_what_is_signed_and_bad_is_refused_and_the_next_one_installs() {
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        let text = b"no library at all".to_vec();
        let half = fs::read(numbered(2)).expect("built");
        let half = half[..half.len() / 2].to_vec();
        let vetoing = hotswap_tests::prebuilt::library(
            "delivered_veto",
            &(hotswap_tests::versioned(9)
                + "#[hotswap_module::on_load]\nfn no() -> Result<(), String> { Err(\"not today\".into()) }\n"),
            hotswap_tests::prebuilt::Kind::Module,
        );
        let vetoing = fs::read(vetoing).expect("built");
        for (bytes, said) in [
            (text, "is not a whole library"),
            (half, "is not a whole library"),
            (vetoing, "not today"),
        ] {
            siege.world.publish_library(bytes);
            siege.withstands(&format!("{carrier:?}"), &[said]);
            siege.recovers(&format!("{carrier:?}, {said}"));
        }
    }
}

/// The cache lies on a disk of two megabytes: a release that does not fit is told of and leaves nothing, and one that does is taken.
#[test]
fn a_disk_that_fills_during_a_download_is_told_of_and_waited_for() {
    const NAME: &str = "a_disk_that_fills_during_a_download_is_told_of_and_waited_for";
    // Built where there is a whole disk.
    let paths = [1, 2].map(numbered);
    let script = "mount -t tmpfs -o size=24m,mode=700 none /mnt && exec \"$0\" \"$@\"";
    let launcher = ["unshare", "--mount", "--map-root-user", "sh", "-c", script];
    if !is_possible(&launcher) {
        eprintln!("not tried: this machine gives nobody mounts of his own");
        return;
    }
    isolated_under(NAME, &launcher, || {
        let mut world = ReleaseWorld::new(Carrier::Http);
        world.publish(1);
        let cache = Path::new("/mnt/cache");
        let source = world.http(world.trust().cache_in(cache));
        let mut siege = Siege::open(world, |world| world.engine_of(source));
        let stuffing = Path::new("/mnt/stuffing");
        let room = rustix::fs::statvfs("/mnt").expect("mounted");
        let free = room.f_bavail * room.f_frsize;
        let half = fs::metadata(&paths[1]).expect("built").len() / 2;
        assert!(free > half, "{free} bytes are free");
        let stuffed = fs::File::create(stuffing).expect("ours");
        rustix::fs::fallocate(&stuffed, rustix::fs::FallocateFlags::empty(), 0, free - half)
            .expect("there is room");
        siege.world.publish(2);
        siege.withstands("a full disk", &["/mnt/cache", "No space left on device"]);
        let room = rustix::fs::statvfs("/mnt").expect("mounted");
        assert!(room.f_bavail * room.f_frsize * 2 > half, "what was begun is removed");
        drop(stuffed);
        fs::remove_file(stuffing).expect("ours");
        siege.engine.sync().expect("there is room");
        assert_eq!(siege.version(), 2);
    });
}

fn is_possible(launcher: &[&str]) -> bool {
    let (program, arguments) = launcher.split_first().expect("a program");
    let output = std::process::Command::new(program).args(arguments).arg("true").output();
    output.is_ok_and(|output| output.status.success())
}
