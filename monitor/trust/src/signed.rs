//! A manifest with its signatures, before and after they were verified.
//!
//! ```text
//! hotswap signatures v1 1
//! untrusted comment: hotswap key 7F3A0C95D2E1B846
//! RUR..
//! trusted comment: hotswap manifest v1 <SHA-256 of all that follows the signatures>
//! ..==
//! hotswap manifest v1
//! ..
//! ```
//!
//! Each signature is four lines as minisign writes and reads them. The comment that minisign does not sign has one form only,
//! so that no byte of the whole is without a meaning.

use std::io;
use std::ops::Deref;
use std::path::Path;

use hotswap_artifact::ContentHash;
use hotswap_system::fs::File;
use minisign_verify::Signature;

use crate::keys::{KEYS_MAX, KeyId, PublicKeys, base64};
use crate::level::Level;
use crate::lines::{LineError, Lines, number};
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestError};

const FIRST: &str = "hotswap signatures v1";

/// The longest signature, in bytes: four lines of fixed length, and some room.
const SIGNATURE_BYTES_MAX: usize = 1_000;

/// The longest manifest with its signatures, in bytes: what a client reads at most.
pub const SIGNED_BYTES_MAX: usize = MANIFEST_BYTES_MAX + (KEYS_MAX + 1) * SIGNATURE_BYTES_MAX;

/// The length of a signature in bytes: algorithm, number of the key, Ed25519 signature.
const SIGNATURE_BYTES: usize = 74;

/// What a signature says of the bytes it is made over, so that none made for anything else can be taken for it.
pub(crate) fn statement(hash: ContentHash) -> String {
    format!("hotswap manifest v1 {hash}")
}

/// The comment before a signature, which minisign does not sign.
pub(crate) fn comment(key: KeyId) -> String {
    format!("hotswap key {key}")
}

/// A manifest and its signatures, from wherever. Nothing of the manifest was read.
#[derive(Clone)]
pub struct Signed {
    name: String,
    pub(crate) signatures: Vec<Block>,
    manifest: Vec<u8>,
    hash: ContentHash,
}

/// One signature.
#[derive(Clone)]
pub(crate) struct Block {
    pub(crate) key: KeyId,
    /// As it stood in the file.
    pub(crate) text: String,
    signature: Signature,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.signatures.iter().map(|block| block.key).collect();
        let Self { name, hash, .. } = self;
        f.debug_struct("Signed")
            .field("name", name)
            .field("hash", hash)
            .field("keys", &keys)
            .finish()
    }
}

/// A manifest is not what a client may go by; what it went by before stays.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {kind}")]
#[non_exhaustive]
pub struct SignatureError {
    /// What the manifest was called: a file, an address, a row.
    pub name: String,
    /// What is wrong.
    pub kind: SignatureErrorKind,
}

/// What can be wrong with a signed manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureErrorKind {
    /// The file cannot be read.
    #[error("it cannot be read ({0})")]
    Io(io::Error),
    /// It is longer than [`SIGNED_BYTES_MAX`].
    #[error("it has more than {SIGNED_BYTES_MAX} bytes")]
    TooLong,
    /// It is no list of signatures with something behind it.
    #[error("it is no signed manifest: {0}")]
    Malformed(#[from] LineError),
    /// A signature is of a kind that is not taken, such as one without a hash before it, which old minisign makes.
    #[error(
        "the signature by key {key} is not of the one kind that is taken: Ed25519 over BLAKE2b (minisign -H)"
    )]
    Algorithm {
        /// The key.
        key: KeyId,
    },
    /// Two signatures are by one key.
    #[error("two signatures are by key {key}")]
    Twice {
        /// The key.
        key: KeyId,
    },
    /// A key that is believed did not sign these bytes.
    #[error("the signature by key {key} is not of these bytes: they or the signature were changed")]
    Invalid {
        /// The key.
        key: KeyId,
    },
    /// A key that is believed signed these bytes, as something else.
    #[error("key {key} signed these bytes, but not as a manifest: it says {found:?}")]
    Statement {
        /// The key.
        key: KeyId,
        /// What the signature says.
        found: String,
    },
    /// Nobody who is believed signed it, or not enough of them.
    #[error(
        "{} of the {threshold} signatures needed are by keys that are believed ({}); it is signed by {}",
        signers.len(), list(believed), list(found)
    )]
    Unsigned {
        /// How many signatures are needed.
        threshold: usize,
        /// Who is believed and signed.
        signers: Vec<KeyId>,
        /// Who is believed.
        believed: Vec<KeyId>,
        /// Who signed.
        found: Vec<KeyId>,
    },
    /// It is not the manifest that the host named.
    #[error("its manifest is {found}, not {expected}, which alone is believed")]
    Pin {
        /// SHA-256 of the manifest that is believed.
        expected: ContentHash,
        /// SHA-256 of this one.
        found: ContentHash,
    },
    /// It was signed, and cannot be used.
    #[error("{error} (signed by {})", list(signers))]
    Manifest {
        /// What is wrong.
        error: ManifestError,
        /// Who signed it; nobody when the host named it.
        signers: Vec<KeyId>,
    },
}

/// Numbers of keys, for a message.
pub(crate) fn list(keys: &[KeyId]) -> String {
    match keys {
        [] => "no key".to_owned(),
        keys => keys.iter().map(|key| format!("key {key}")).collect::<Vec<_>>().join(", "),
    }
}

impl Signed {
    /// Takes a list of signatures and the bytes behind it apart. The name is for messages: a file, an address without
    /// credentials, a row.
    ///
    /// # Errors
    ///
    /// When it is no such list, is too long, or a signature is of another kind.
    pub fn read(name: impl Into<String>, bytes: &[u8]) -> Result<Self, SignatureError> {
        let name = name.into();
        match split(bytes) {
            Ok((signatures, manifest)) => Ok(Self::of(name, signatures, manifest.to_owned())),
            Err(kind) => Err(SignatureError { name, kind }),
        }
    }

    pub(crate) fn of(name: String, signatures: Vec<Block>, manifest: Vec<u8>) -> Self {
        let hash = ContentHash::of(&manifest);
        Self { name, signatures, manifest, hash }
    }

    /// Reads a file of signatures and a manifest, at most [`SIGNED_BYTES_MAX`] of it. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and when it cannot be read.
    pub fn read_file(path: impl AsRef<Path>) -> Result<Self, SignatureError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(path)
            .and_then(|mut file| file.read_at_most(SIGNED_BYTES_MAX as u64 + 1, &mut bytes));
        match read {
            Ok(_) => Self::read(name, &bytes),
            Err(error) => Err(SignatureError { name, kind: SignatureErrorKind::Io(error) }),
        }
    }

    /// The list of signatures and the manifest, as they are sent and stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let texts: String = self.signatures.iter().map(|block| block.text.as_str()).collect();
        Self::join(self.signatures.len(), &texts, &self.manifest)
    }

    pub(crate) fn join(count: usize, signatures: &str, manifest: &[u8]) -> Vec<u8> {
        let mut bytes = format!("{FIRST} {count}\n{signatures}").into_bytes();
        bytes.extend_from_slice(manifest);
        bytes
    }

    /// What it was called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bytes that were signed. Nobody vouches for them yet.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// SHA-256 of the manifest, without signatures: what a host may name.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// Who is said to have signed.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.signatures.iter().map(|block| block.key)
    }

    /// Verifies the signatures over the bytes of the manifest, and reads it.
    ///
    /// Signatures by keys that are not known are passed over, so that a new key can sign before all clients have it. One by a
    /// known key has to be good.
    ///
    /// # Errors
    ///
    /// When too few of the keys signed, a signature of theirs is not of these bytes or says something else, or what was signed is no manifest.
    pub fn verify(self, keys: &PublicKeys) -> Result<Verified, SignatureError> {
        match self.signers(keys) {
            Ok(signers) => self.read_manifest(signers, Level::L2),
            Err(kind) => Err(self.refused(kind)),
        }
    }

    /// Reads the manifest if it is the one that the host named by its SHA-256. Signatures count for nothing here.
    ///
    /// # Errors
    ///
    /// When it is another, or no manifest.
    pub fn verify_pinned(self, expected: ContentHash) -> Result<Verified, SignatureError> {
        if self.hash != expected {
            let kind = SignatureErrorKind::Pin { expected, found: self.hash };
            return Err(self.refused(kind));
        }
        self.read_manifest(Vec::new(), Level::L1)
    }

    /// Reads the manifest of whoever wrote it: nothing is verified.
    pub(crate) fn believe(self) -> Result<Verified, SignatureError> {
        self.read_manifest(Vec::new(), Level::L0)
    }

    fn signers(&self, keys: &PublicKeys) -> Result<Vec<KeyId>, SignatureErrorKind> {
        let mut signers = Vec::new();
        for Block { key, signature, .. } in &self.signatures {
            let key = *key;
            let Some(known) = keys.find(key) else { continue };
            // Legacy: no hash before the signature.
            let allow_legacy = false;
            let verdict = known.public.verify(&self.manifest, signature, allow_legacy);
            verdict.map_err(|_| SignatureErrorKind::Invalid { key })?;
            // What it says is signed as well; that it is said of these very bytes makes it complete.
            if signature.trusted_comment() != statement(self.hash) {
                let found = signature.trusted_comment().to_owned();
                return Err(SignatureErrorKind::Statement { key, found });
            }
            signers.push(key);
        }
        let threshold = keys.threshold();
        if signers.len() < threshold {
            let (believed, found) = (keys.ids().collect(), self.keys().collect());
            return Err(SignatureErrorKind::Unsigned { threshold, signers, believed, found });
        }
        Ok(signers)
    }

    /// The only way from bytes to a manifest.
    fn read_manifest(self, signers: Vec<KeyId>, level: Level) -> Result<Verified, SignatureError> {
        match Manifest::from_bytes(&self.manifest) {
            Ok(manifest) => {
                Ok(Verified { manifest, hash: self.hash, name: self.name, signers, level })
            }
            Err(error) => Err(self.refused(SignatureErrorKind::Manifest { error, signers })),
        }
    }

    fn refused(self, kind: SignatureErrorKind) -> SignatureError {
        SignatureError { name: self.name, kind }
    }
}

fn split(bytes: &[u8]) -> Result<(Vec<Block>, &[u8]), SignatureErrorKind> {
    if bytes.len() > SIGNED_BYTES_MAX {
        return Err(SignatureErrorKind::TooLong);
    }
    let (first, rest) = line(bytes, 1, FIRST)?;
    let count = first.strip_prefix(FIRST).and_then(|rest| number(rest.strip_prefix(' ')?));
    let count = count.filter(|count| *count <= KEYS_MAX as u64);
    let count = count.ok_or_else(|| LineError::new(1, FIRST, first))?;
    let (mut rest, mut blocks) = (rest, Vec::<Block>::new());
    for index in 0..count as usize {
        let (block, behind) = signature(rest, 2 + 4 * index)?;
        if blocks.iter().any(|known| known.key == block.key) {
            return Err(SignatureErrorKind::Twice { key: block.key });
        }
        blocks.push(block);
        rest = behind;
    }
    Ok((blocks, rest))
}

/// The next line of bytes of which only the beginning has to be text.
fn line<'a>(
    bytes: &'a [u8],
    number: usize,
    expected: &'static str,
) -> Result<(&'a str, &'a [u8]), LineError> {
    let end = bytes.iter().take(SIGNATURE_BYTES_MAX).position(|byte| *byte == b'\n');
    let text = end.and_then(|end| std::str::from_utf8(&bytes[..end]).ok());
    // A carriage return, which readers of lines pass over, would be a byte without a meaning.
    let text = text.filter(|text| !text.chars().any(char::is_control));
    match (text, end) {
        (Some(text), Some(end)) => Ok((text, &bytes[end + 1..])),
        _ => Err(LineError::new(number, expected, "")),
    }
}

/// Four lines: a comment, a signature, what it says, and a signature over both.
fn signature(bytes: &[u8], first: usize) -> Result<(Block, &[u8]), SignatureErrorKind> {
    let mut rest = bytes;
    let mut text = String::new();
    for index in 0..4 {
        let (next, behind) = line(rest, first + index, "a line of a signature")?;
        text.push_str(next);
        text.push('\n');
        rest = behind;
    }
    let mut lines = Lines::starting_at(first, &text);
    let comment_line = lines.value("untrusted comment:")?;
    let (key, kind) = lines.line("a signature of minisign", |line| {
        let bytes: [u8; SIGNATURE_BYTES] = base64(line)?;
        Some((KeyId::of(&bytes)?, [bytes[0], bytes[1]]))
    })?;
    if comment_line != comment(key) {
        let expected = "untrusted comment: hotswap key, and the number of the key";
        return Err(LineError::new(first, expected, comment_line).into());
    }
    if kind != *b"ED" {
        return Err(SignatureErrorKind::Algorithm { key });
    }
    lines.value("trusted comment:")?;
    let is_signature = |line: &str| base64::<64>(line);
    lines.line("a signature of minisign", is_signature)?;
    let signature = Signature::decode(&text)
        .map_err(|_| LineError::new(first, "a signature of minisign", &text))?;
    Ok((Block { key, text, signature }, rest))
}

/// A manifest whose signatures were verified, or that the host named by its hash. Nothing else makes one.
#[derive(Debug, Clone)]
pub struct Verified {
    manifest: Manifest,
    hash: ContentHash,
    name: String,
    signers: Vec<KeyId>,
    level: Level,
}

impl Verified {
    /// What it was called: a file, an address, a row.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the bytes that were signed.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.hash
    }

    /// The keys that are believed and signed it, each once; none when the host named it by its hash.
    #[must_use]
    pub fn signers(&self) -> &[KeyId] {
        &self.signers
    }

    /// How it came to be believed.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Who said so, for messages: `release 7 of greet (stable), signed by key 7F3A0C95D2E1B846 in greet.manifest`.
    #[must_use]
    pub fn described(&self) -> String {
        let Manifest { module, channel, counter, .. } = &self.manifest;
        let by = match self.level {
            Level::L0 => "believed as it is".to_owned(),
            Level::L1 => format!("named by SHA-256 {}", self.hash),
            Level::L2 => format!("signed by {}", list(&self.signers)),
        };
        format!("release {counter} of {module} ({channel}), {by} in {}", self.name)
    }
}

impl Deref for Verified {
    type Target = Manifest;

    fn deref(&self) -> &Manifest {
        &self.manifest
    }
}
