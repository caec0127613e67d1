//! Bodies for fuzzing: each takes any bytes, and panics when something that must be true of them is not.
//!
//! The tests run them over `tests/corpus` and over mutations of it; a fuzzer that measures coverage can run them for days
//! (CONTRIBUTING.md says how).

use std::fs;
use std::io::BufReader;
use std::path::{Component, Path};
use std::sync::LazyLock;

use hotswap_engine::sqlite::CrateArchive;
use hotswap_engine::{ContentHash, Fingerprint, Inspection, LogLine, log_lines};
use hotswap_module::__private::Root;
use hotswap_module::{ABI_NUMBER, RUSTC, TARGET};
use hotswap_monitor::fuzz::{compiler_messages, dep_info, index_entry};
use hotswap_trust::{PublicKeys, Signed};

/// One thing that reads foreign bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its directory below `tests/corpus`.
    pub name: &'static str,
    /// Feeds it.
    pub body: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "archive", body: fuzz_archive },
    Target { name: "compiler_messages", body: fuzz_compiler_messages },
    Target { name: "dep_info", body: fuzz_dep_info },
    Target { name: "hash_text", body: fuzz_hash_text },
    Target { name: "index_entry", body: fuzz_index_entry },
    Target { name: "library", body: fuzz_library },
    Target { name: "log", body: fuzz_log },
    Target { name: "manifest", body: fuzz_manifest },
    Target { name: "public_keys", body: fuzz_public_keys },
];

/// A library before it is loaded: what passes is known by the hash of these very bytes.
///
/// # Panics
///
/// When it is not; and so does each of the others.
pub fn fuzz_library(bytes: &[u8]) {
    for bytes in [bytes, &of_this_host(bytes)] {
        let Ok(inspection) = Inspection::of("fuzzed.so", bytes) else { continue };
        assert_eq!(inspection.content, ContentHash::of(bytes));
        let names = inspection.exports.windows(2).all(|pair| pair[0].name < pair[1].name);
        assert!(names, "two exports of one name: {:?}", inspection.exports);
    }
}

/// The bytes with this host's own facts in the place of the words that stand for them, so that what a file of the
/// corpus says is believed by every host.
#[must_use]
pub fn of_this_host(bytes: &[u8]) -> Vec<u8> {
    static MACHINE: LazyLock<[u8; 2]> = LazyLock::new(|| {
        let program = std::env::current_exe().and_then(fs::read).expect("this program is a file");
        [program[18], program[19]]
    });
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 20 {
        bytes[18..20].copy_from_slice(&*MACHINE);
    }
    let ours = Root::expected();
    let facts: [(&[u8], &[u8]); 4] = [
        (b"ABI#", &ABI_NUMBER.to_ne_bytes()),
        (b"SERVICES", &ours.services_hash.to_ne_bytes()),
        (b"RUSTC", RUSTC.as_bytes()),
        (b"TARGET", TARGET.as_bytes()),
    ];
    for (word, fact) in facts {
        let place = bytes.windows(word.len()).position(|window| window == word);
        // The words have room behind them.
        if let Some(room) = place.and_then(|place| bytes.get_mut(place..place + fact.len())) {
            room.copy_from_slice(fact);
        }
    }
    bytes
}

/// hotswap.log: each line that is not empty is an answer, whatever the reader's pieces; what is a line is shown
/// as it was.
pub fn fuzz_log(bytes: &[u8]) {
    let lines: Vec<&[u8]> =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let answers = |capacity| log_lines(BufReader::with_capacity(capacity, bytes));
    assert_eq!(answers(1 << 16).count(), lines.len());
    for ((answer, again), line) in answers(1 << 16).zip(answers(3)).zip(lines) {
        match (answer, again) {
            (Ok(answer), Ok(again)) => {
                assert_eq!(answer, again);
                assert_eq!(answer.to_string().as_bytes(), line);
                assert_eq!(answer.to_string().parse::<LogLine>().expect("as it was"), answer);
                let known = |(key, value): &(String, String)| answer.field(key) == Some(value);
                assert!(answer.fields.iter().all(known), "each key stands once: {answer}");
            }
            (Err(error), Err(again)) => {
                assert_eq!(error.to_string(), again.to_string());
                assert!(error.column <= line.len() + 1, "{error}");
            }
            (answer, again) => panic!("{answer:?} and {again:?}"),
        }
    }
}

/// The archive of a crate, as it is and with the checksums that it should have: what is taken stays below the crate, and each file
/// is there once.
pub fn fuzz_archive(bytes: &[u8]) {
    for bytes in [bytes, &with_checksums(bytes)] {
        let Ok(archive) = CrateArchive::read(bytes.to_vec()) else { continue };
        let is_part = |component| matches!(component, Component::Normal(_));
        let mut before = None;
        for (name, content) in archive.files() {
            assert!(name.components().all(is_part), "{name:?} leads elsewhere");
            assert!(before < Some(name), "{name:?} is there twice, or not in order");
            assert!(content.len() < bytes.len());
            before = Some(name);
        }
        assert!(archive.files().any(|(name, _)| name == Path::new("Cargo.toml")));
    }
}

/// Makes each block where a header is expected one: otherwise what is changed in a header is refused at the first look.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(header) =
        bytes.get_mut(at..at + 512).filter(|block| block.iter().any(|b| *b != 0))
    {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 8).ok());
        at += 512 + size.unwrap_or(0).div_ceil(512) * 512;
    }
    bytes
}

/// A `.d` file: written as compilers write it, what it names is named again.
pub fn fuzz_dep_info(bytes: &[u8]) {
    let names = dep_info(bytes);
    let mut text = b"/target:".to_vec();
    for name in &names {
        let name = name.as_os_str().as_encoded_bytes();
        // What would run into the next name has no place in this format.
        if name.ends_with(b"\\") {
            return;
        }
        text.push(b' ');
        for byte in name {
            let escape: &[u8] = if *byte == b' ' { b"\\" } else { b"" };
            text.extend_from_slice(escape);
            text.push(*byte);
        }
    }
    assert_eq!(dep_info(&text), names);
}

/// An entry of the index, as it is and under the hash that it should have: no entry, or one that reads back.
pub fn fuzz_index_entry(bytes: &[u8]) {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut sealed = line.to_vec();
    sealed.extend_from_slice(format!("\n{}\n", Fingerprint::of(line)).as_bytes());
    for bytes in [bytes, &sealed] {
        if let Some(text) = index_entry(bytes) {
            assert_eq!(index_entry(text.as_bytes()).as_ref(), Some(&text));
        }
    }
}

/// What cargo and rustc print: a build that failed has an error, and a line is one at most.
pub fn fuzz_compiler_messages(bytes: &[u8]) {
    let diagnostics = compiler_messages(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    assert!(diagnostics.error_count > 0, "it failed");
    assert!(diagnostics.error_count + diagnostics.warning_count <= lines + 1);
    assert!(!diagnostics.to_string().contains('\u{1b}'), "colours");
}

/// The text forms of the hashes.
pub fn fuzz_hash_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(hash) = text.parse::<Fingerprint>() {
        assert_eq!(hash.to_string(), text.to_lowercase());
    }
    if let Ok(hash) = text.parse::<ContentHash>() {
        assert_eq!(hash.to_string(), text.to_lowercase());
    }
}

/// A signed manifest, as one that the host named by its hash: what is taken has one form only, with its signatures and without.
pub fn fuzz_manifest(bytes: &[u8]) {
    let Ok(signed) = Signed::read("fuzzed", bytes) else { return };
    assert_eq!(signed.to_bytes(), bytes);
    let (hash, manifest) = (signed.hash(), signed.manifest().to_owned());
    let Ok(release) = signed.verify_pinned(hash) else { return };
    assert_eq!(release.to_bytes().expect("it was read"), manifest);
    assert!(release.floor <= release.counter, "{}", release.described());
    let names = release.files.windows(2).all(|pair| pair[0].path < pair[1].path);
    assert!(names, "two files of one path: {:?}", release.files);
    for file in &release.files {
        let path = Path::new("/release").join(file.path.as_path());
        let is_plain = |part| matches!(part, Component::Normal(_));
        assert!(
            path.components().skip(1).all(is_plain) && path.starts_with("/release"),
            "{path:?}"
        );
    }
}

/// Public keys: each stands once, and as many as there are may have to sign.
pub fn fuzz_public_keys(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(keys) = PublicKeys::parse("fuzzed", &text) else { return };
    let mut ids: Vec<_> = keys.ids().collect();
    ids.sort();
    ids.dedup();
    assert_eq!(keys.ids().count(), ids.len());
    assert!(keys.requiring(ids.len() + 1).is_err(), "more than there are");
}
