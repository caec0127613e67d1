//! The two hashes of the project, as types that cannot be confused.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use hotswap_system::fs::File;
use sha2::{Digest, Sha256};

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

/// Collects bytes into a [`ContentHash`], for who has them piece by piece.
#[derive(Debug, Clone, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Starts with no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; where one piece ends and the next begins makes no difference.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes that were added.
    #[must_use]
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

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

    /// Adds bytes without their length: of one content that comes in parts, and nothing else, so that the result is its plain
    /// SHA-1, as `sha1sum` gives it.
    pub fn part(&mut self, bytes: &[u8]) {
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
        let mut hasher = ContentHasher::new();
        let mut buffer = vec![0; Self::READ_BYTES];
        loop {
            match file.fill(&mut buffer)? {
                0 => return Ok(hasher.finish()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }

    /// How many bytes of a file are best read at a time to be hashed.
    ///
    /// 64 KiB: large enough that system calls do not show in a profile, small enough to stay in a processor's cache
    /// between being read and being hashed.
    pub const READ_BYTES: usize = 64 * 1024;

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
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::{Config, FileFailurePersistence, RngSeed};

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
        let mut pieces = ContentHasher::new();
        ["a", "", "bc"].iter().for_each(|piece| pieces.update(piece.as_bytes()));
        assert_eq!(pieces.finish(), ContentHash::of(b"abc"));
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in ["", "00", &"g".repeat(40), &"0".repeat(41), &"é".repeat(20)] {
            let error = text.parse::<Fingerprint>().expect_err(text);
            assert_eq!(error.digits, 40);
        }
    }

    /// So many cases, the same in every run; one that failed is written beside the manifest and tried first from
    /// then on.
    fn config() -> Config {
        const FAILURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/properties.regressions");
        Config {
            cases: 2_000,
            rng_seed: RngSeed::Fixed(1),
            failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILURES))),
            ..Config::default()
        }
    }

    type Pieces = Vec<Vec<u8>>;

    fn of(pieces: &[Vec<u8>]) -> Fingerprint {
        let mut hasher = FingerprintHasher::new();
        pieces.iter().for_each(|piece| hasher.piece(piece));
        hasher.finish()
    }

    /// Few and short pieces of few bytes, some of them like the lengths that stand between pieces: what could be
    /// mistaken for each other.
    fn pieces() -> impl Strategy<Value = Pieces> {
        let byte = prop::sample::select(vec![0_u8, 1, 2, 8, b'a']);
        let piece = prop_oneof![
            vec(byte, 0..4),
            (0..3_u64).prop_map(|length| length.to_le_bytes().to_vec()),
        ];
        vec(piece, 0..5)
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn other_pieces_have_another_fingerprint(left in pieces(), right in pieces()) {
            prop_assert_eq!(of(&left) == of(&right), left == right);
        }

        /// The same bytes in the same order: only where one piece ends and the next begins differs.
        #[test]
        fn boundaries_count(pieces in pieces(), cuts in vec(any::<Index>(), 0..5)) {
            let bytes = pieces.concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut again: Pieces = Vec::new();
            let mut start = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                again.push(bytes[start..cut].to_vec());
                start = cut;
            }
            prop_assert_eq!(of(&pieces) == of(&again), pieces == again);
        }

        /// One byte of one piece is another.
        #[test]
        fn each_byte_counts(
            mut pieces in vec(vec(any::<u8>(), 1..100), 1..4),
            (piece, byte) in any::<(Index, Index)>(),
            flip in 1..=u8::MAX,
        ) {
            let before = of(&pieces);
            let piece = piece.get_mut(&mut pieces);
            let place = byte.index(piece.len());
            piece[place] ^= flip;
            prop_assert_ne!(of(&pieces), before);
        }

        #[test]
        fn any_hash_is_its_text(short in any::<[u8; 20]>(), long in any::<[u8; 32]>()) {
            let fingerprint = Fingerprint::from_bytes(short);
            let text = fingerprint.to_string();
            prop_assert_eq!(text.len(), 40);
            prop_assert_eq!(text.to_uppercase().parse(), Ok(fingerprint));
            prop_assert_eq!(text.parse(), Ok(fingerprint));
            prop_assert_eq!(fingerprint.as_bytes(), &short);
            let content = ContentHash::from_bytes(long);
            prop_assert_eq!(content.to_string().parse(), Ok(content));
            prop_assert_eq!(content.as_bytes(), &long);
        }

        /// What is read is what would be written, in small letters; all else is refused.
        #[test]
        fn any_text_is_a_hash_or_refused(
            text in prop_oneof![".{0,70}", "[0-9a-fA-Fg]{39,41}", "[0-9a-f+]{64}", "\\PC{20}"],
        ) {
            match text.parse::<Fingerprint>() {
                Ok(hash) => prop_assert_eq!(hash.to_string(), text.to_lowercase()),
                Err(error) => prop_assert_eq!((error.digits, &error.found), (40, &text)),
            }
            match text.parse::<ContentHash>() {
                Ok(hash) => prop_assert_eq!(hash.to_string(), text.to_lowercase()),
                Err(error) => prop_assert_eq!((error.digits, &error.found), (64, &text)),
            }
        }
    }
}
