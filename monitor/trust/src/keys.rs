//! Whom a client believes.

use std::fmt;
use std::io;
use std::path::Path;

use ct_codecs::{Base64, Decoder as _};
use hotswap_system::fs::File;

/// How many keys there may be in a file, or signatures on a manifest.
///
/// 16: a threshold over more people than that is a ceremony, not a file.
pub const KEYS_MAX: usize = 16;

/// The longest file of keys, in bytes. Sixteen keys with long comments.
const KEYS_BYTES_MAX: usize = 16 * 1024;

/// The length of a public key in bytes: algorithm, number and Ed25519 key.
const KEY_BYTES: usize = 42;

/// The number of a key, which minisign draws when it makes one: 16 hexadecimal digits, as minisign shows them.
///
/// For messages, and to find the key. It proves nothing: the signature does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(u64);

impl KeyId {
    /// The number in a key or signature, after the two letters of its algorithm.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(u64::from_le_bytes(bytes.get(2..10)?.try_into().ok()?)))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Bytes of text, as minisign writes them.
pub(crate) fn base64<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    let decoded = Base64::decode(&mut bytes, text, None).ok()?;
    (decoded.len() == BYTES).then_some(bytes)
}

/// The public keys that a client was given, and how many of them have to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeys {
    keys: Vec<Key>,
    threshold: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    /// Without the number, which the key has no say in.
    ed25519: [u8; 32],
    pub(crate) public: minisign_verify::PublicKey,
}

/// A client cannot go by these keys.
#[derive(Debug, thiserror::Error)]
#[error("public keys of {name}: {kind}")]
#[non_exhaustive]
pub struct KeysError {
    /// What they were called: a file, a setting.
    pub name: String,
    /// What is wrong.
    pub kind: KeysErrorKind,
}

/// What can be wrong with public keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysErrorKind {
    /// The file cannot be read.
    #[error("they cannot be read ({0})")]
    Io(io::Error),
    /// There is too much of it.
    #[error("there are more than {KEYS_MAX}, or more than {KEYS_BYTES_MAX} bytes")]
    TooMany,
    /// A line is neither a key nor a comment.
    #[error("line {line} is no minisign public key, which begins with RW and has 56 characters")]
    NoKey {
        /// The line, counted from 1.
        line: usize,
    },
    /// There is a key of this number, or the same key with another.
    #[error("line {line}: key {id} is there twice; each counts once")]
    Twice {
        /// The line, counted from 1.
        line: usize,
        /// The key.
        id: KeyId,
    },
    /// There is none.
    #[error("there is no key in it")]
    None,
    /// More have to sign than there are.
    #[error(
        "{threshold} of {count} keys cannot have signed; the threshold is at least 1, and at most all of them"
    )]
    Threshold {
        /// How many have to sign.
        threshold: usize,
        /// How many there are.
        count: usize,
    },
}

impl PublicKeys {
    /// Reads keys as minisign writes them, one a line. Empty lines, and those that begin with `untrusted comment:` or `#`, are passed
    /// over. One key has to have signed. The name is for messages.
    ///
    /// # Errors
    ///
    /// When a line is none of that, a key is there twice, there is none, or there are more than [`KEYS_MAX`].
    pub fn parse(name: impl Into<String>, text: &str) -> Result<Self, KeysError> {
        match parse(text) {
            Ok(keys) => Ok(Self { keys, threshold: 1 }),
            Err(kind) => Err(KeysError { name: name.into(), kind }),
        }
    }

    /// Reads a file of keys, such as `minisign.pub`. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and when it cannot be read.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeysError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => Self::parse(name, &text),
            Err(error) => Err(KeysError { name, kind: KeysErrorKind::Io(error) }),
        }
    }

    /// So many of them have to have signed.
    ///
    /// # Errors
    ///
    /// When that is none, or more than there are.
    pub fn requiring(self, threshold: usize) -> Result<Self, KeysError> {
        let count = self.keys.len();
        if (1..=count).contains(&threshold) {
            return Ok(Self { threshold, ..self });
        }
        let kind = KeysErrorKind::Threshold { threshold, count };
        Err(KeysError { name: "this client".to_owned(), kind })
    }

    /// How many of them have to have signed.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Their numbers, in the order in which they were given.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|key| key.id)
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.read_at_most(KEYS_BYTES_MAX as u64 + 1, &mut bytes)?;
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text"))
}

fn parse(text: &str) -> Result<Vec<Key>, KeysErrorKind> {
    if text.len() > KEYS_BYTES_MAX {
        return Err(KeysErrorKind::TooMany);
    }
    let mut keys: Vec<Key> = Vec::new();
    for (index, text) in text.lines().map(str::trim).enumerate() {
        if text.is_empty() || text.starts_with('#') || text.starts_with("untrusted comment:") {
            continue;
        }
        let line = index + 1;
        let key = key(text).ok_or(KeysErrorKind::NoKey { line })?;
        if keys.iter().any(|known| known.id == key.id || known.ed25519 == key.ed25519) {
            return Err(KeysErrorKind::Twice { line, id: key.id });
        }
        if keys.len() == KEYS_MAX {
            return Err(KeysErrorKind::TooMany);
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(KeysErrorKind::None) } else { Ok(keys) }
}

fn key(text: &str) -> Option<Key> {
    let bytes: [u8; KEY_BYTES] = base64(text)?;
    if !bytes.starts_with(b"Ed") {
        return None;
    }
    let public = minisign_verify::PublicKey::from_base64(text).ok()?;
    Some(Key { id: KeyId::of(&bytes)?, ed25519: bytes[10..].try_into().ok()?, public })
}
