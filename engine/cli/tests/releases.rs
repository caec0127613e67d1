//! Signed releases in a directory: published, and verified.

#![expect(clippy::unwrap_used, reason = "all of this is test code")]

mod harness;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use harness::{Place, finish, text};
use hotswap_trust::{KeyPair, PublicKeys, Signed, Timestamp};

const MANIFEST: &str = "site/greet/stable/hotswap.manifest";

/// The arguments that publish it, and more.
fn publish<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["publish", "greet.rs", "--to", "site"], more].concat()
}

/// The same, signed.
fn signed<'a>(more: &[&'a str]) -> Vec<&'a str> {
    publish(&[&["--sign", "default"], more].concat())
}

fn file(place: &Place) -> PathBuf {
    let mut files = fs::read_dir(place.0.join("site/greet/files")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn what_was_published_is_verified_and_whatever_is_changed_is_told_with_file_and_key() {
    let place = Place::new("releases-verify");
    let key = place.new_key("default");
    place.write_greeting("greet.rs", "hello");
    let publish = ["publish", "greet.rs", "--to", "site/", "--sign", "default", "--expires", "7d"];
    let said = place.done(&publish);
    assert!(
        said.starts_with("greet is at release 1: 1 file, ") && said.contains(", signed by key "),
        "{said}"
    );
    let id = said.split("signed by key ").nth(1).unwrap()[..16].to_owned();
    let hash = said.trim().rsplit(' ').next().unwrap().to_owned();
    for (what, trust) in [
        ("site#greet", &["--key", &*key][..]),
        ("site/#greet", &["--key", "default"]),
        (MANIFEST, &["--key", "home/config/hotswap/keys/default.pub"]),
        (MANIFEST, &["--pin", &*hash]),
        ("site#greet", &["--unsigned"]),
    ] {
        let verified = place.done(&[&["verify", what], trust].concat());
        assert!(verified.starts_with("release 1 of greet (stable), "), "{verified}");
        assert!(verified.contains("\nok  greet.rs  "), "{verified}");
        let level = if trust[0] == "--key" {
            "\nL2: "
        } else if trust[0] == "--pin" {
            "\nL1: "
        } else {
            "\nL0: "
        };
        assert!(verified.contains(level), "{verified}");
    }
    let verify = ["verify", "site#greet", "--key", "default"];
    // A file.
    let (path, bytes) = (file(&place), fs::read(file(&place)).unwrap());
    fs::write(&path, text(&bytes).replace("hello", "jello")).unwrap();
    let (code, stdout, stderr) = finish(&mut place.hotswap(&verify));
    assert!(code == 1 && stdout.contains("BAD greet.rs: "), "{stdout} {stderr}");
    assert!(stderr.contains("1 of 1 files") && stderr.contains(&format!("key {id}")), "{stderr}");
    fs::remove_file(&path).unwrap();
    assert!(place.refused(&verify).contains("1 of 1 files"));
    fs::write(&path, &bytes).unwrap();
    place.done(&verify);
    // The manifest.
    let manifest = fs::read_to_string(place.0.join(MANIFEST)).unwrap();
    fs::write(place.0.join(MANIFEST), manifest.replace("counter 1", "counter 2")).unwrap();
    let told = place.refused(&verify);
    assert!(
        told.contains("site#greet")
            && told.contains(&format!("the signature by key {id} is not of these bytes")),
        "{told}"
    );
    fs::write(place.0.join(MANIFEST), &manifest).unwrap();
    // Another key, another pin, another channel, none.
    place.new_key("other");
    let told = place.refused(&["verify", "site#greet", "--key", "other"]);
    assert!(told.contains("0 of the 1 signatures needed") && told.contains(&id), "{told}");
    let told = place.refused(&["verify", "site#greet", "--pin", &"0".repeat(64)]);
    assert!(told.contains("which alone is believed"), "{told}");
    let told = place.refused(&["verify", "site#greet", "--key", "default", "--channel", "beta"]);
    assert!(told.contains("has no releases"), "{told}");
    let told = place.refused(&["verify", "site#greet"]);
    assert!(told.contains("--key KEY, --pin SHA256"), "{told}");
    let told = place.refused(&["verify", "site#greet", "--key", "nobody"]);
    assert!(told.contains("--key nobody is no public key, and "), "{told}");
    let told = place.refused(&["verify", "site", "--unsigned"]);
    assert!(told.contains("names no release"), "{told}");
    // A good release of another module.
    fs::rename(place.0.join("site/greet"), place.0.join("site/farewell")).unwrap();
    let told = place.refused(&["verify", "site#farewell", "--key", "default"]);
    assert!(told.contains("is no release of farewell"), "{told}");
}

#[test]
fn releases_follow_each_other_and_are_renewed() {
    let place = Place::new("releases-follow");
    place.new_key("default");
    place.new_key("other");
    place.write_greeting("greet.rs", "hello");
    place.done(&signed(&["--expires", "1d"]));
    let told = place.refused(&publish(&["--sign", "other"]));
    assert!(told.contains("was not made by who publishes now"), "{told}");
    let told = place.refused(&publish(&[]));
    assert!(told.contains("is signed (key "), "{told}");
    let told = place.refused(&signed(&["--expect", "0"]));
    assert!(told.contains("it is at release 1, not 0"), "{told}");
    let renewed = place.done(&signed(&["--renew", "--expires", "2d", "--expect", "1"]));
    assert!(renewed.contains("greet is at release 2: 1 file"), "{renewed}");
    let floored = place.done(&signed(&["--floor", "3"]));
    assert!(floored.contains("release 3"), "{floored}");
    let verified = place.done(&["verify", "site#greet", "--key", "default"]);
    assert!(verified.contains("nothing below 3 may run"), "{verified}");
    let told = place.refused(&signed(&["--floor", "9"]));
    assert!(told.contains("greet was not published: "), "{told}");
    let beta = place.done(&signed(&["--channel", "beta", "--sign", "other"]));
    assert!(beta.contains("greet is at release 1") && beta.matches("key ").count() == 2, "{beta}");
    for (wrong, said) in [
        (signed(&["--name", "../greet"]), "is no name"),
        (signed(&["--channel", "a/b"]), "is no name"),
        (signed(&["--why", "it is late"]), "--dependency and --keep are of revisions"),
        (signed(&["--keep", "3"]), "--dependency and --keep are of revisions"),
        (signed(&["--sign", "nobody"]), "cannot sign with "),
    ] {
        let told = place.refused(&wrong);
        assert!(told.contains(said), "{told}");
    }
    let told = place.refused(&["publish", "absent.rs", "--to", "site", "--sign", "default"]);
    assert!(told.contains("cannot read absent.rs"), "{told}");
    let (code, _, stderr) = finish(&mut place.hotswap(&signed(&["--expires", "1s"])));
    assert!(code == 2 && stderr.contains("good for a minute at least"), "{stderr}");
}

#[test]
fn an_older_release_that_was_put_there_is_neither_renewed_nor_followed() {
    let place = Place::new("releases-older");
    place.new_key("default");
    place.write_greeting("greet.rs", "hello");
    let manifest = place.0.join("site/greet/stable/hotswap.manifest");
    place.done(&signed(&[]));
    let first = fs::read(&manifest).unwrap();
    place.done(&signed(&["--renew"]));
    fs::write(&manifest, &first).unwrap();
    for more in [&["--renew"][..], &[]] {
        let told = place.refused(&signed(more));
        assert!(told.contains("release 2 was published last from here"), "{told}");
        assert!(told.contains("home/state/hotswap/published/greet-"), "{told}");
    }
    assert_eq!(fs::read(&manifest).unwrap(), first);
}

#[test]
fn where_it_goes_is_told_by_its_name() {
    let place = Place::new("releases-where");
    place.new_key("default");
    place.write_greeting("greet.rs", "hello");
    let publish = |to: &str| place.done(&["publish", "greet.rs", "--to", to]);
    assert!(publish("modules.db").starts_with("greet is at revision 1"));
    assert!(publish("site").starts_with("greet is at release 1"));
    assert!(publish("site.db/").starts_with("greet is at release 1"));
    assert!(publish("site.db").starts_with("greet is at release 2"), "it is a directory");
    fs::rename(place.0.join("modules.db"), place.0.join("modules")).unwrap();
    assert!(publish("modules").starts_with("greet is at revision 2"), "it is a file");
    // What only a release has would be left out of a revision in silence.
    for option in ["--expires=1d", "--floor=3", "--channel=beta", "--password-file=password"] {
        let told = place.refused(&["publish", "greet.rs", "--to", "modules", option]);
        assert!(
            told.contains("are of releases") && told.contains("--sign KEY"),
            "{option}: {told}"
        );
    }
    assert!(publish("modules").starts_with("greet is at revision 3"), "nothing was published");
    let (_, _, stderr) = finish(&mut place.hotswap(&["publish", "greet.rs", "--to", "site"]));
    assert!(stderr.contains("nobody signs it") && stderr.contains("--sign KEY"), "{stderr}");
}

#[test]
fn a_crate_that_needs_what_lies_outside_is_refused_and_its_library_is_not() {
    let place = Place::new("releases-crate");
    place.new_key("default");
    place.new_crate("released");
    let publish = ["publish", "released", "--to", "site", "--sign", "default"];
    let manifest = place.0.join("released/Cargo.toml");
    let alone = fs::read_to_string(&manifest).unwrap();
    place.new_crate("words");
    let words = "[dependencies]\nwords = { path = \"../words\" }";
    fs::write(&manifest, alone.replace("[dependencies]", words)).unwrap();
    let told = place.refused(&publish);
    assert!(told.contains("it depends on words in ") && told.contains("prebuilt"), "{told}");
    assert!(!place.0.join("site").exists(), "nothing is published");
    // What every module depends on, hosts have.
    fs::write(&manifest, alone).unwrap();
    let (code, stdout, stderr) = finish(&mut place.hotswap(&publish));
    assert!(
        code == 0 && stdout.contains("released is at release 1: 4 files, "),
        "{stdout} {stderr}"
    );
    assert!(stderr.contains("it finds hotswap-module in /"), "{stderr}");
    let verified = place.done(&["verify", "site#released", "--key", "default"]);
    assert!(
        verified.contains("\nok  Cargo.lock  ") && verified.contains("\nok  src/lib.rs  "),
        "{verified}"
    );
    let mut command = place.building(&publish);
    let (code, stdout, stderr) = finish(command.arg("--prebuilt"));
    assert!(code == 0 && stdout.contains("released is at release 2"), "{stdout} {stderr}");
    let verified = place.done(&["verify", "site#released", "--key", "default"]);
    assert!(verified.contains("; prebuilt release of released, expires "), "{verified}");
    assert!(
        verified.contains("\nfor target ") && verified.contains("\nok  libreleased.so  "),
        "{verified}"
    );
    // What is not verified is not said to be.
    let told = place.refused(&["check", "released", "--key", "default"]);
    assert!(told.contains("released is no release, and nothing of it is verified"), "{told}");
}

#[test]
fn a_database_takes_signed_releases_as_a_directory_does() {
    let place = Place::new("releases-database");
    place.new_key("default");
    place.write_greeting("greet.rs", "hello");
    let publish = ["publish", "greet.rs", "--to", "modules.db", "--sign", "default"];
    let said = place.done(&publish);
    assert!(
        said.starts_with("greet is at release 1: 1 file, ") && said.contains(", signed by key "),
        "{said}"
    );
    let said = place.done(&[&publish[..], &["--renew", "--expires", "60d"]].concat());
    assert!(said.starts_with("greet is at release 2: "), "{said}");
    for what in ["modules.db#greet", "sqlite:modules.db#greet"] {
        let verified = place.done(&["verify", what, "--key", "default"]);
        assert!(verified.starts_with("release 2 of greet (stable), signed by key "), "{verified}");
        assert!(verified.contains("\nok  greet.rs  "), "{verified}");
    }
    place.new_key("other");
    let told = place.refused(&["verify", "modules.db#greet", "--key", "other"]);
    assert!(told.contains("0 of the 1 signatures needed"), "{told}");
    let told = place.refused(&["publish", "greet.rs", "--to", "modules.db"]);
    assert!(told.contains("signed"), "what is not signed does not take its place: {told}");
    // A revision that nobody signed is no release.
    place.done(&["publish", "greet.rs", "--to", "modules.db", "--name", "plain"]);
    let told = place.refused(&["verify", "modules.db#plain", "--key", "default"]);
    assert!(told.contains("plain"), "{told}");
    // A library needs no build where it runs.
    let library = [&publish[..], &["--prebuilt"]].concat();
    assert_eq!(finish(&mut place.building(&library)).0, 0);
    let run = ["run", "sqlite:modules.db#greet", "--times", "1", "--control", "none"];
    let run = [&run[..], &["--key", "default", "--target-dir", "builds"]].concat();
    let (code, stdout, stderr) = finish(&mut place.hotswap(&run));
    assert_eq!((code, &*stdout), (0, "hello\n"), "{stderr}");
}

#[test]
fn what_expired_is_whole_and_no_news() {
    let place = Place::new("releases-expired");
    place.new_key("default");
    place.write_greeting("greet.rs", "hello");
    place.done(&signed(&[]));
    // The same release, as it would be if it had been good for a day in 1970.
    let secret = place.0.join("home/config/hotswap/keys/default.key");
    let key = KeyPair::read(secret, None).unwrap();
    let path = place.0.join(MANIFEST);
    let keys = PublicKeys::parse("test", &key.public()).unwrap();
    let release = Signed::read_file(&path).unwrap().verify(&keys).unwrap();
    let mut manifest = (*release).clone();
    manifest.expires = Timestamp::default().after(Duration::from_secs(24 * 60 * 60));
    fs::write(&path, key.sign(&manifest).unwrap().to_bytes()).unwrap();
    let verify = ["verify", "site#greet", "--key", "default"];
    let (code, stdout, stderr) = finish(&mut place.hotswap(&verify));
    assert!(code == 1 && stdout.contains("\nok  greet.rs  "), "{stdout} {stderr}");
    assert!(
        stderr.contains("expired at 1970-01-02T00:00:00Z") && stderr.contains("`hotswap publish`"),
        "{stderr}"
    );
    // It is another one than was published here; and on a machine that published nothing it is not renewed either.
    let told = place.refused(&signed(&["--renew"]));
    assert!(told.contains("another release 1"), "{told}");
    fs::remove_dir_all(place.0.join("home/state/hotswap/published")).unwrap();
    let told = place.refused(&signed(&["--renew"]));
    assert!(told.contains("publish the files again"), "{told}");
    place.done(&signed(&[]));
    place.done(&verify);
}
