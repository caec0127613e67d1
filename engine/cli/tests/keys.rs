//! Keys, from the command line.

mod harness;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use harness::{Place, finish};

#[test]
fn a_key_is_made_once_and_printed_as_hosts_are_given_it() {
    let place = Place::new("keys-new");
    let (code, stdout, stderr) =
        finish(&mut place.hotswap(&["keys", "new", "greet.key", "--no-password"]));
    assert_eq!(code, 0, "{stderr}");
    let line = stdout.trim();
    assert!(line.starts_with("RW") && !line.contains('\n'), "{stdout}");
    assert!(
        stderr.contains("secret in greet.key (it has no password), public in greet.pub"),
        "{stderr}"
    );
    let public = fs::read_to_string(place.0.join("greet.pub")).unwrap();
    assert_eq!(public.lines().nth(1), Some(line));
    let secret = place.0.join("greet.key");
    assert_eq!(fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&secret).unwrap();
    let told = place.refused(&["keys", "new", "greet.key", "--no-password"]);
    assert!(told.contains("greet.key exists, and no key is ever overwritten"), "{told}");
    fs::remove_file(&secret).unwrap();
    let told = place.refused(&["keys", "new", "greet.key", "--no-password"]);
    assert!(told.contains("greet.pub exists"), "{told}");
    assert!(!secret.exists(), "neither is left");
    assert_ne!(before, b"");
}

#[test]
fn a_name_is_a_key_in_the_directory_of_keys() {
    let place = Place::new("keys-named");
    assert_eq!(place.done(&["keys", "list"]), "");
    let default = place.new_key("default");
    let ci = place.new_key("ci");
    let directory = place.0.join("home/config/hotswap/keys");
    assert!(directory.join("ci.key").is_file() && directory.join("default.pub").is_file());
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_file(directory.join("ci.key")).unwrap();
    let list = place.done(&["keys", "list"]);
    let rows: Vec<_> = list.lines().skip(1).collect();
    assert!(rows.len() == 2 && rows[0].starts_with("ci ") && rows[0].ends_with(&ci), "{list}");
    assert!(rows[0].contains(" not here ") && rows[1].contains(" no password "), "{list}");
    assert!(rows[1].starts_with("default ") && rows[1].ends_with(&default), "{list}");
    assert_eq!(place.done(&["keys", "list", "home/config/hotswap/keys"]), list);
    let told = place.refused(&["keys", "list", "home/config/hotswap/keys/ci.pub"]);
    assert!(told.contains("cannot read"), "{told}");
}

#[test]
fn a_password_comes_from_a_file_or_the_environment_and_has_to_be_right() {
    let place = Place::new("keys-password");
    // Nobody is at a terminal.
    let told = place.refused(&["keys", "new", "secret"]);
    assert!(told.contains("HOTSWAP_KEY_PASSWORD") && told.contains("--no-password"), "{told}");
    fs::write(place.0.join("word"), "sesame\n").unwrap();
    fs::write(place.0.join("wrong"), "simsalabim\n").unwrap();
    fs::write(place.0.join("empty"), "\n").unwrap();
    let told = place.refused(&["keys", "new", "secret", "--password-file", "empty"]);
    assert!(told.contains("the first line of empty is empty"), "{told}");
    place.done(&["keys", "new", "secret", "--password-file", "word"]);
    assert!(place.done(&["keys", "list"]).contains(" with password "));
    place.write_greeting("greet.rs", "hello");
    let publish = ["publish", "greet.rs", "--to", "site/", "--sign", "secret"];
    let told = place.refused(&publish);
    assert!(told.contains("nobody is there to be asked"), "{told}");
    let told = place.refused(&[&publish[..], &["--password-file", "wrong"]].concat());
    assert!(told.contains("cannot sign with") && told.contains("secret.key"), "{told}");
    assert!(!place.0.join("site").exists(), "nothing is published");
    let mut command = place.hotswap(&publish);
    let (code, stdout, stderr) = finish(command.env("HOTSWAP_KEY_PASSWORD", "sesame"));
    assert!(code == 0 && stdout.contains("greet is at release 1"), "{stdout} {stderr}");
    place.done(&[&publish[..], &["--password-file", "word"]].concat());
    // A secret that others may read is none.
    let secret = place.0.join("home/config/hotswap/keys/secret.key");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let told = place.refused(&publish);
    assert!(told.contains("others may read the secret key"), "{told}");
}
