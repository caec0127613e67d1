//! Who made the code, what belongs to it, and whether it is the newest that may run.
//!
//! A **manifest** states what a release of a module is: its number, what it is for, every file with length and SHA-256, when it
//! expires, and which release it follows. A key signs its bytes. Whoever takes code from somewhere that others may write to (a web
//! server, a database, a directory) goes by that statement, and then no longer has to believe the server, the network or the
//! disk. The model is [The Update Framework](https://theupdateframework.io), of which this is the part that one key can do.
//!
//! ```
//! use std::path::Path;
//! use hotswap_trust::{PublicKeys, Signed, Subject, Timestamp, TrustStore, Wanted};
//! # use hotswap_trust::{CodeKind, FileEntry, KeyPair, Manifest, MANIFEST_NAME};
//!
//! # fn client(key: &str, directory: &Path, store: &Path) -> Result<(), Box<dyn std::error::Error>> {
//! let keys = PublicKeys::parse("the host", key)?;                          // whom it believes
//! let wanted = Wanted::new("greet", "x86_64-unknown-linux-gnu", "4", "rustc 1.95.0");
//! let store = TrustStore::open(store)?;                                    // what it remembers
//! let subject = Subject::new(directory.to_string_lossy(), &wanted.module, &wanted.channel);
//!
//! let signed = Signed::read_file(directory.join("hotswap.manifest"))?;     // bytes, and claims
//! let release = signed.verify(&keys)?;                                     // only now it is read
//! let state = store.load(&subject)?;
//! let accepted = state.check(&release, Timestamp::now(), &wanted)?;        // for us, new, not expired, follows
//! let library = release.open_file(directory, "libgreet.so")?;              // hashed as it lies in this open file
//! store.remember(&subject, &accepted)?;                                    // after every check
//! # drop(library);
//! # Ok(())
//! # }
//! # let directory = tempfile::tempdir()?;
//! # let (path, key) = (directory.path(), KeyPair::generate(None)?);
//! # std::fs::write(path.join("libgreet.so"), "library")?;
//! # let mut manifest = Manifest::new("greet", CodeKind::Prebuilt, Timestamp::now().after(std::time::Duration::from_secs(60)));
//! # manifest.target = Some("x86_64-unknown-linux-gnu".into());
//! # manifest.abi = Some("4".into());
//! # manifest.toolchain = Some("rustc 1.95.0".into());
//! # manifest.files = FileEntry::list_directory(path)?;
//! # std::fs::write(path.join(MANIFEST_NAME), key.sign(&manifest)?.to_bytes())?;
//! # client(&key.public(), path, &path.join("trust"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Levels
//!
//! | level | the host names | what is checked |
//! | --- | --- | --- |
//! | L0 | nobody ([`Trust::anybody`]) | what it is for; every file, against a manifest that anybody may have written |
//! | L1 | the SHA-256 of one manifest ([`Signed::verify_pinned`]) | what it is for; every file |
//! | L2 | keys ([`Signed::verify`]) | all of that, and the signature, the number, the floor, the expiry, the release before |
//!
//! # What is promised
//!
//! Rows are those of the threat model of The Update Framework and of delivery in general; each is a test of this name.
//!
//! | who | tries | what happens |
//! | --- | --- | --- |
//! | D1: network, mirror | other code, or any changed bit | refused; nothing of a manifest is read before a key vouches for its bytes, nothing of a file is used before its hash is known |
//! | D2: network, mirror | an older release, signed as it is | refused, also after a restart and without a cache: the number is remembered in a [`TrustStore`] |
//! | D3: network, mirror | the same answer for ever | refused from the second after its expiry on, which is signed |
//! | D4: mirror | the manifest of one release with a file of another | refused: the manifest lists every file |
//! | D6: anybody | bytes without end | refused one byte after the signed length; manifests, keys, lists and directories have limits |
//! | D8: mirror | a good release of another module, channel, target, ABI or compiler | refused: all of them are signed and compared |
//! | D9: mirror | a release with files missing, or more of them | refused as a whole |
//! | D13, D14: local user | swaps or edits a file before, while or after it is checked, or what is kept | what is kept is checked whenever it is used ([`TrustState::check_kept`]); what is given back is the open file that was hashed, reached by no link; a copy is hashed as it is written |
//! | D15: who makes archives | paths that lead elsewhere, links, devices, names that are one on some systems | refused |
//! | D18: clock | a year ahead, a year back | nothing expired becomes current, nothing wrong stays for good, and a clock that went back is told of |
//! | D19: signer | old or other kinds of signatures, signatures of something else | refused: one kind, and each says what it signs |
//! | D23: operator, intruder | back below the floor | refused: it never falls. Back to what is kept above it is possible ([`TrustState::may_run`]) |
//! | D24: anybody | a state that nothing follows | each refusal leaves everything as it was, and the next good release is taken |
//!
//! # What is not
//!
//! * **Keys in wrong hands (D5, D11, D12).** Who has as many keys as have to sign can release anything. That takes several roles,
//!   with an offline root that names their keys, to be undone from afar. Here a thief of the key is stopped by giving each host
//!   another key, and [`TrustStore::forget`] where the thief's releases were accepted. What there is: several keys of which some number has to sign
//!   ([`PublicKeys::requiring`]), and numbers that cannot jump to the end ([`COUNTER_JUMP_MAX`]).
//! * **Freshness within the expiry.** Until a release expires, it can be passed off as the newest to a client that has seen no newer one. Short
//!   expiries, and a release of the same files when there is no other, keep that time short.
//! * **The first time.** A client that remembers nothing takes any release that is signed and not expired. The host can name a
//!   floor ([`Wanted::floor`]). So does a client whose memory was removed: keep it apart from caches.
//! * **A clock that stands still.** Time is what the clock said at the latest; what never moves on never expires anything.
//! * **What the code does.** A good signature says who wrote it.
//!
//! # A release after another
//!
//! Each manifest names the number and the hash of the one before it. A client that finds a release which does not follow what it
//! accepted refuses it as a fork: two publishers, or a key in two hands. Where it missed some releases it cannot look between, takes the
//! new one, and says so ([`News::Gap`]). Expiries should not fall from one release to the next ([`Manifest::follow`]).
//!
//! Each channel of a module is one such line. Libraries for several targets or compilers are several lines, and need a channel each: a
//! host that moves to another compiler then begins on another line, and not in the middle of one.
//!
//! # What is sent
//!
//! ```text
//! hotswap signatures v1 1
//! untrusted comment: hotswap key 7F3A0C95D2E1B846
//! RURGuOHSlQw6f..
//! trusted comment: hotswap manifest v1 e3b0c44298fc1c14..
//! QtKMXWyYcwdpZAlPF7tE..
//! hotswap manifest v1
//! module greet
//! channel stable
//! kind prebuilt
//! counter 7
//! floor 3
//! target x86_64-unknown-linux-gnu
//! abi 4
//! toolchain rustc 1.95.0 (59807616e 2026-04-14)
//! expires 2026-05-01T12:00:00Z
//! previous 6 ba7816bf8f01cfea..
//! files 1
//! 9f86d081884c7d65.. 48128 libgreet.so
//! ```
//!
//! One file, so that one request gets both halves of the same release: how many signatures there are, four lines for each as minisign writes them, and
//! the bytes that they are over. `minisign -SHm manifest -c "hotswap key .." -t "hotswap manifest v1 .."` makes such lines as well, with the
//! SHA-256 of the manifest. No byte of it can be changed, left out or added without being refused, and a
//! line that a reader does not know is refused too: it might be what limits the rest. Another form will have another first line.
//!
//! # No part of this
//!
//! Nothing here fetches, builds or loads, starts a thread or logs. With the feature `sign` keys are made and manifests signed, in the formats
//! of [minisign](https://jedisct1.github.io/minisign/), which can do both as well.

#![forbid(unsafe_code)]

mod files;
mod keys;
mod level;
mod lines;
mod manifest;
#[cfg(feature = "sign")]
mod sign;
mod signed;
mod state;
mod timestamp;
mod trust;
mod wanted;

pub use files::{FileCheck, FileError, FileErrorKind, ListError, ListErrorKind};
pub use keys::{KEYS_MAX, KeyId, KeysError, KeysErrorKind, PublicKeys};
pub use level::{Check, Level};
pub use lines::LineError;
pub use manifest::{
    CodeKind, DEFAULT_CHANNEL, FILE_DEPTH_MAX, FILE_NAME_BYTES_MAX, FILE_PATH_BYTES_MAX, FILES_MAX,
    FileEntry, FilePath, FilePathError, MANIFEST_BYTES_MAX, MANIFEST_NAME, Manifest, ManifestError,
    ManifestErrorKind, Previous, RELEASE_BYTES_MAX, WORD_BYTES_MAX,
};
#[cfg(feature = "sign")]
pub use sign::{KeyPair, SignError};
pub use signed::{SIGNED_BYTES_MAX, SignatureError, SignatureErrorKind, Signed, Verified};
pub use state::{
    Accepted, CLOCK_BACK_MAX, COUNTER_JUMP_MAX, Damage, News, StateError, StateErrorKind, Subject,
    TrustError, TrustErrorKind, TrustState, TrustStore,
};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use trust::Trust;
pub use wanted::Wanted;
