//! Keys, in files and in settings.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ct_codecs::{Base64, Decoder as _, Encoder as _};
use hotswap_trust::{KEYS_MAX, KeyPair, KeysErrorKind, PublicKeys, SignError, Signed};

use crate::harness::{key, prebuilt, sent};

#[test]
fn a_key_is_written_for_its_owner_alone_and_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, public) = (directory.path().join("key"), directory.path().join("key.pub"));
    let key = key();
    key.write(&secret, &public).unwrap();
    let mode = fs::metadata(&secret).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = KeyPair::read(&secret, None).unwrap();
    assert_eq!((again.id(), again.public()), (key.id(), key.public()));
    let keys = PublicKeys::read(&public).unwrap();
    assert_eq!(keys, key.public_keys());
    assert_eq!(keys.ids().collect::<Vec<_>>(), [key.id()]);
    let signed = Signed::read("a", &sent(&again, &prebuilt(b"library"))).unwrap();
    assert_eq!(signed.verify(&keys).unwrap().signers(), [key.id()]);
    // Nothing of the secret is shown.
    let (shown, stored) = (format!("{key:?}"), fs::read_to_string(&secret).unwrap());
    assert!(shown.len() < 60 && !stored.contains(&shown), "{shown}");
    assert!(!KeyPair::has_password(&secret).unwrap());
    KeyPair::read(&secret, Some("password")).expect_err("it has none");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o640)).unwrap();
    let error = KeyPair::read(&secret, None).unwrap_err();
    assert!(matches!(error, SignError::Open { mode: 0o640, .. }), "{error}");
    KeyPair::has_password(&secret).expect_err("it is not even read");
    fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
    KeyPair::has_password(&public).expect_err("it is no secret key");
}

#[test]
fn a_key_is_never_replaced_and_none_is_left_half() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, public) = (directory.path().join("key"), directory.path().join("key.pub"));
    for taken in [&secret, &public] {
        fs::write(taken, "mine").unwrap();
        key().write(&secret, &public).expect_err("there is one");
        assert_eq!(fs::read_to_string(taken).unwrap(), "mine");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::remove_file(taken).unwrap();
    }
}

#[test]
fn a_key_with_a_password_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, public) = (directory.path().join("key"), directory.path().join("key.pub"));
    let key = KeyPair::generate(Some("correct horse")).unwrap();
    key.write(&secret, &public).unwrap();
    let keys = PublicKeys::read(&public).unwrap();
    let again = KeyPair::read(&secret, Some("correct horse")).unwrap();
    Signed::read("a", &sent(&again, &prebuilt(b"library"))).unwrap().verify(&keys).unwrap();
    assert!(KeyPair::has_password(&secret).unwrap());
    for wrong in [Some("battery staple"), None] {
        let error = KeyPair::read(&secret, wrong).unwrap_err();
        assert!(matches!(error, SignError::Key { .. }), "{error}");
    }
}

#[test]
fn keys_are_read_one_a_line() {
    let (first, second) = (key(), key());
    let text = format!(
        "# release keys\n\nuntrusted comment: the first\n{}\n  {}  \n",
        first.public(),
        second.public()
    );
    let keys = PublicKeys::parse("keys", &text).unwrap();
    assert_eq!(keys.ids().collect::<Vec<_>>(), [first.id(), second.id()]);
    assert_eq!(keys.threshold(), 1);
    assert_eq!(keys.clone().requiring(2).unwrap().threshold(), 2);
    for threshold in [0, 3] {
        let error = keys.clone().requiring(threshold).unwrap_err();
        assert!(matches!(error.kind, KeysErrorKind::Threshold { .. }), "{error}");
    }
}

/// The number of a key is drawn, and no part of what signs: neither makes two keys of one.
#[test]
fn d11_a_key_with_another_number_is_the_same_key() {
    let (first, second) = (key().public(), key().public());
    let bytes = |key: &str| Base64::decode_to_vec(key, None).unwrap();
    let (first_bytes, second_bytes) = (bytes(&first), bytes(&second));
    let spliced = |number: &[u8], key: &[u8]| {
        let text = [&number[..10], &key[10..]].concat();
        Base64::encode_to_string(text).unwrap()
    };
    PublicKeys::parse("keys", &format!("{first}\n{second}")).unwrap();
    let renumbered = spliced(&second_bytes, &first_bytes);
    let of_that_number = spliced(&first_bytes, &second_bytes);
    for other in [renumbered, of_that_number] {
        PublicKeys::parse("keys", &other).expect("alone it is a key");
        let error = PublicKeys::parse("keys", &format!("{first}\n{other}")).unwrap_err();
        assert!(matches!(error.kind, KeysErrorKind::Twice { line: 2, .. }), "{error}");
    }
}

#[test]
fn what_is_no_key_is_refused_by_its_line() {
    let good = key().public();
    let refused = |text: &str| PublicKeys::parse("host.pub", text).expect_err("no key");
    for bad in ["x", &good[1..], &format!("{good}A"), &good.replace("RW", "RX"), "RWQ="] {
        let error = refused(&format!("# one\n{bad}"));
        assert!(matches!(error.kind, KeysErrorKind::NoKey { line: 2 }), "{bad}: {error}");
        assert!(error.to_string().starts_with("public keys of host.pub: line 2"), "{error}");
    }
    for none in ["", "\n\n", "# RWQ\n", "untrusted comment: x\n"] {
        assert!(matches!(refused(none).kind, KeysErrorKind::None), "{none:?}");
    }
    let many: Vec<String> = (0..=KEYS_MAX).map(|_| key().public()).collect();
    assert!(matches!(refused(&many.join("\n")).kind, KeysErrorKind::TooMany));
    assert!(matches!(refused(&"#".repeat(100_000)).kind, KeysErrorKind::TooMany));
    let error = PublicKeys::read("/absent/host.pub").unwrap_err();
    assert!(error.to_string().contains("/absent/host.pub"), "{error}");
}
