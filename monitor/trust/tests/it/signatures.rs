//! What is signed, by whom, and as what.

use hotswap_artifact::ContentHash;
use hotswap_trust::{
    KeyPair, Level, MANIFEST_BYTES_MAX, PublicKeys, SIGNED_BYTES_MAX, SignatureErrorKind, Signed,
};

use crate::harness::{key, prebuilt, read, sent, verified};

fn refused(bytes: &[u8], keys: &PublicKeys) -> SignatureErrorKind {
    let verdict = Signed::read("greet.manifest", bytes).and_then(|signed| signed.verify(keys));
    let error = verdict.expect_err("it is not good");
    let text = error.to_string();
    assert!(text.starts_with("greet.manifest: "), "{text}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    error.kind
}

fn together(keys: &[&KeyPair]) -> PublicKeys {
    let text: Vec<String> = keys.iter().map(|key| key.public()).collect();
    PublicKeys::parse("the host", &text.join("\n")).unwrap()
}

#[test]
fn what_is_signed_is_read_by_who_knows_the_key() {
    let (key, other) = (key(), key());
    let bytes = sent(&key, &prebuilt(b"library"));
    let release = read("a", &bytes).verify(&together(&[&other, &key])).unwrap();
    assert_eq!(*release, prebuilt(b"library"));
    assert_eq!(release.signers(), [key.id()]);
    assert_eq!(release.level(), Level::L2);
    assert_eq!(read("a", &bytes).to_bytes(), bytes);
    let expected = format!("release 1 of greet (stable), signed by key {} in a", key.id());
    assert_eq!(release.described(), expected);
}

/// Every byte of the whole has a meaning, the comments included: no flip of any bit is passed over.
#[test]
fn d1_every_flipped_bit_is_refused() {
    let key = key();
    let keys = key.public_keys();
    let bytes = sent(&key, &prebuilt(b"library"));
    read("greet.manifest", &bytes).verify(&keys).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            refused(&flipped, &keys);
        }
    }
}

#[test]
fn d1_what_is_cut_or_goes_on_is_refused() {
    let key = key();
    let keys = key.public_keys();
    let bytes = sent(&key, &prebuilt(b"library"));
    for end in 0..bytes.len() {
        refused(&bytes[..end], &keys);
    }
    for more in ["\n", " ", "x", "\0"] {
        refused(&[&bytes, more.as_bytes()].concat(), &keys);
    }
    // A byte that readers of lines pass over.
    for place in (0..bytes.len()).filter(|place| bytes[*place] == b'\n') {
        let (start, end) = bytes.split_at(place);
        refused(&[start, b"\r", end].concat(), &keys);
    }
}

/// Whatever the manifest says: its bytes reach no reader before a believed key vouches for them.
#[test]
fn d1_nothing_is_read_before_it_is_verified() {
    let (key, other) = (key(), key());
    let bytes = sent(&other, &prebuilt(b"library"));
    let garbage = |bytes: &[u8]| {
        let end = bytes.windows(19).position(|part| part == b"\nhotswap manifest v").unwrap() + 1;
        [&bytes[..end], b"no manifest at all"].concat()
    };
    // Were it read first, it would be malformed.
    match refused(&garbage(&bytes), &key.public_keys()) {
        SignatureErrorKind::Unsigned { threshold, signers, believed, found } => {
            assert_eq!((threshold, signers), (1, Vec::new()));
            assert_eq!((believed, found), (vec![key.id()], vec![other.id()]));
        }
        other => panic!("{other}"),
    }
    match refused(&garbage(&sent(&key, &prebuilt(b"library"))), &key.public_keys()) {
        SignatureErrorKind::Invalid { key: named } => assert_eq!(named, key.id()),
        other => panic!("{other}"),
    }
}

#[test]
fn d11_a_threshold_of_keys_has_to_have_signed() {
    let keys = [key(), key(), key()];
    let believed = together(&[&keys[0], &keys[1], &keys[2]]).requiring(2).unwrap();
    let one = keys[0].sign(&prebuilt(b"library")).unwrap();
    match refused(&one.to_bytes(), &believed) {
        SignatureErrorKind::Unsigned { threshold: 2, signers, .. } => {
            assert_eq!(signers, [keys[0].id()]);
        }
        other => panic!("{other}"),
    }
    let two = keys[2].sign_also(&one).unwrap();
    let release = read("a", &two.to_bytes()).verify(&believed).unwrap();
    assert_eq!(release.signers(), [keys[0].id(), keys[2].id()]);
    // A signature of a stranger neither helps nor harms.
    let stranger = key();
    let with_stranger = stranger.sign_also(&one).unwrap();
    refused(&with_stranger.to_bytes(), &believed);
    let three = stranger.sign_also(&two).unwrap();
    assert_eq!(read("a", &three.to_bytes()).verify(&believed).unwrap().signers().len(), 2);
}

/// The block of lines of its first signature.
fn first_block(bytes: &[u8]) -> (String, String) {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    (lines[1..5].concat(), lines[5..].concat())
}

#[test]
fn d11_one_key_counts_once() {
    let (first, second) = (key(), key());
    let signed = first.sign(&prebuilt(b"library")).unwrap();
    first.sign_also(&signed).expect_err("it has signed");
    let (block, manifest) = first_block(&signed.to_bytes());
    let twice = format!("hotswap signatures v1 2\n{block}{block}{manifest}");
    let believed = together(&[&first, &second]).requiring(2).unwrap();
    match refused(twice.as_bytes(), &believed) {
        SignatureErrorKind::Twice { key } => assert_eq!(key, first.id()),
        other => panic!("{other}"),
    }
    let error = PublicKeys::parse("the host", &format!("{0}\n{0}", first.public())).unwrap_err();
    assert!(error.to_string().contains("is there twice"), "{error}");
}

/// A key of the README of minisign, and a signature of its old kind over `test`, which is good and not taken.
const LEGACY_KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
const LEGACY: &str = "RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=
trusted comment: timestamp:1555779966\tfile:test
QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==
";

#[test]
fn d19_a_signature_of_the_old_kind_is_refused() {
    let old =
        minisign_verify::Signature::decode(&format!("untrusted comment: x\n{LEGACY}")).unwrap();
    let public = minisign_verify::PublicKey::from_base64(LEGACY_KEY).unwrap();
    public.verify(b"test", &old, true).expect("it is good, for who takes it");
    let keys = PublicKeys::parse("the host", LEGACY_KEY).unwrap();
    let id = keys.ids().next().unwrap();
    let legacy = LEGACY.replace('\t', " ");
    let bytes =
        format!("hotswap signatures v1 1\nuntrusted comment: hotswap key {id}\n{legacy}test");
    match refused(bytes.as_bytes(), &keys) {
        SignatureErrorKind::Algorithm { key } => assert_eq!(key, id),
        other => panic!("{other}"),
    }
}

/// The same bytes, signed as something else: by minisign with a comment of its own.
#[test]
fn d19_what_was_signed_as_something_else_is_no_manifest() {
    let directory = tempfile::tempdir().unwrap();
    let (secret, public) = (directory.path().join("key"), directory.path().join("key.pub"));
    let key = key();
    key.write(&secret, &public).unwrap();
    let text = std::fs::read_to_string(&secret).unwrap();
    let raw = minisign::SecretKeyBox::from(text).into_unencrypted_secret_key().unwrap();
    let manifest = prebuilt(b"library").to_bytes().unwrap();
    let hash = ContentHash::of(&manifest);
    let signed_as = |says: &str| {
        let comment = format!("hotswap key {}", key.id());
        let signature =
            minisign::sign(None, &raw, manifest.as_slice(), Some(says), Some(&comment)).unwrap();
        let head = format!("hotswap signatures v1 1\n{}\n", signature.to_string().trim_end());
        [head.as_bytes(), &manifest].concat()
    };
    let good = signed_as(&format!("hotswap manifest v1 {hash}"));
    read("a", &good).verify(&key.public_keys()).expect("minisign itself may sign");
    let says = ["timestamp:1", "hotswap log v1", &format!("hotswap manifest v2 {hash}")];
    for says in says {
        match refused(&signed_as(says), &key.public_keys()) {
            SignatureErrorKind::Statement { key: named, found } => {
                assert_eq!((named, found.as_str()), (key.id(), says));
            }
            other => panic!("{other}"),
        }
    }
}

/// A list of other signatures than those below it, as when two files are fetched apart.
#[test]
fn d4_signatures_of_one_manifest_are_not_of_another() {
    let key = key();
    let (one, two) = (sent(&key, &prebuilt(b"one")), sent(&key, &prebuilt(b"two")));
    let ((block, _), (_, manifest)) = (first_block(&one), first_block(&two));
    let mixed = format!("hotswap signatures v1 1\n{block}{manifest}");
    let kind = refused(mixed.as_bytes(), &key.public_keys());
    assert!(matches!(kind, SignatureErrorKind::Invalid { .. }), "{kind}");
}

#[test]
fn d6_what_is_too_long_is_refused_before_anything_is_done_with_it() {
    let keys = key().public_keys();
    let long = vec![b'a'; SIGNED_BYTES_MAX + 1];
    assert!(matches!(refused(&long, &keys), SignatureErrorKind::TooLong));
    // Lines without an end, and counts without a measure.
    for start in ["", "hotswap signatures v1 1\n", "hotswap signatures v1 18446744073709551615\n"] {
        let long = format!("{start}{}", "a".repeat(MANIFEST_BYTES_MAX));
        assert!(matches!(refused(long.as_bytes(), &keys), SignatureErrorKind::Malformed(_)));
    }
}

#[test]
fn a_manifest_is_read_from_a_file_of_limited_length() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hotswap.manifest");
    let key = key();
    std::fs::write(&path, sent(&key, &prebuilt(b"library"))).unwrap();
    let release = Signed::read_file(&path).unwrap().verify(&key.public_keys()).unwrap();
    assert_eq!(release.name(), path.to_str().unwrap());
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1 << 40).unwrap();
    let error = Signed::read_file(&path).unwrap_err();
    assert!(matches!(error.kind, SignatureErrorKind::TooLong), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = Signed::read_file(&path).unwrap_err();
    assert!(matches!(error.kind, SignatureErrorKind::Io(_)), "{error}");
}

#[test]
fn a_release_that_the_host_names_needs_no_signature() {
    let manifest = prebuilt(b"library").to_bytes().unwrap();
    let unsigned = [b"hotswap signatures v1 0\n", manifest.as_slice()].concat();
    let hash = read("a", &unsigned).hash();
    assert_eq!(hash, ContentHash::of(&manifest));
    let release = read("a", &unsigned).verify_pinned(hash).unwrap();
    assert_eq!((release.level(), release.signers()), (Level::L1, [].as_slice()));
    assert_eq!(verified(&key(), &prebuilt(b"library")).hash(), hash);
    let another = ContentHash::of(b"another");
    let error = read("a", &unsigned).verify_pinned(another).unwrap_err();
    assert!(matches!(error.kind, SignatureErrorKind::Pin { .. }), "{error}");
    refused(&unsigned, &key().public_keys());
}
