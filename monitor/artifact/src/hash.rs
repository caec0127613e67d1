//! The two hashes of the project, as types that cannot be confused.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use hotswap_system::fs::File;
use sha2::{Digest, Sha256};

/// How many bytes are read from a file at a time while it is hashed.
///
/// 64 KiB: large enough that system calls do not show in a profile, small
/// enough for any thread's stack budget (the buffer is on the heap all the same).
const READ_BYTES: usize = 64 * 1024;

/// SHA-1 over the names and bytes of everything that goes into a build.
///
/// It answers one question, *has the source changed?*, and is never a reason to
/// trust anything. Displayed as 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 20]);

/// SHA-256 of the very bytes of an artifact.
///
/// Displayed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

/// A text is not a hash of the expected length in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {digits} hexadecimal digits, found {found:?}")]
#[non_exhaustive]
pub struct ParseHashError {
    /// How many digits were expected.
    pub digits: usize,
    /// The text that was given.
    pub found: String,
}

/// Collects names and bytes into a [`Fingerprint`].
///
/// Every piece is preceded by its length, so that moving a byte from a name to
/// a content, or from one file to the next, gives another fingerprint.
#[derive(Default)]
pub struct FingerprintHasher(sha1_smol::Sha1);

impl FingerprintHasher {
    /// Starts with nothing collected.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one piece: a name, a content, a digest.
    pub fn piece(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The fingerprint of everything added so far.
    #[must_use]
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.digest().bytes())
    }
}

impl fmt::Debug for FingerprintHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FingerprintHasher").field(&self.finish()).finish()
    }
}

impl Fingerprint {
    /// The fingerprint of one piece of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = FingerprintHasher::new();
        hasher.piece(bytes);
        hasher.finish()
    }

    /// A fingerprint from its 20 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl ContentHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads a whole file and hashes it. Blocks for as long as reading takes.
    ///
    /// # Errors
    ///
    /// Whatever opening or reading the file gives.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A hash from its 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The common parts of both hashes: hexadecimal in, hexadecimal out.
macro_rules! hexadecimal {
    ($name:ident, $bytes:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseHashError;

            fn from_str(text: &str) -> Result<Self, ParseHashError> {
                let mut bytes = [0; $bytes];
                let well_formed = text.len() == 2 * $bytes
                    && text.bytes().all(|digit| digit.is_ascii_hexdigit())
                    && bytes.iter_mut().enumerate().all(|(index, byte)| {
                        u8::from_str_radix(&text[2 * index..2 * index + 2], 16)
                            .map(|value| *byte = value)
                            .is_ok()
                    });
                if well_formed {
                    Ok(Self(bytes))
                } else {
                    Err(ParseHashError { digits: 2 * $bytes, found: text.to_owned() })
                }
            }
        }
    };
}

hexadecimal!(Fingerprint, 20);
hexadecimal!(ContentHash, 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_round_trip() {
        let fingerprint = Fingerprint::of(b"fn f1() {}");
        assert_eq!(fingerprint.to_string().len(), 40);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        let content = ContentHash::of(b"\x7fELF");
        assert_eq!(content.to_string().parse(), Ok(content));
    }

    #[test]
    fn content_hash_is_sha_256() {
        assert_eq!(
            ContentHash::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn moving_a_byte_between_pieces_changes_the_fingerprint() {
        let of = |pieces: [&[u8]; 2]| {
            let mut hasher = FingerprintHasher::new();
            pieces.into_iter().for_each(|piece| hasher.piece(piece));
            hasher.finish()
        };
        assert_ne!(of([b"ab", b"c"]), of([b"a", b"bc"]));
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "00", &"g".repeat(40), &"0".repeat(41), &"é".repeat(20)] {
            let error = text.parse::<Fingerprint>().expect_err(text);
            assert_eq!(error.digits, 40);
        }
    }
}
