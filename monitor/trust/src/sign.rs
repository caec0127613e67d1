//! Keys and signatures, for who publishes.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use hotswap_artifact::ContentHash;
use hotswap_system::fs::{self, File};
use minisign::{SecretKeyBox, SignatureBox};

use crate::keys::{KEYS_MAX, KeyId, PublicKeys, base64};
use crate::manifest::{Manifest, ManifestError};
use crate::signed::{Signed, comment, statement};

/// The longest file of a secret key, in bytes: two lines, and some room.
const SECRET_BYTES_MAX: u64 = 4_096;

/// The length of a secret key in bytes, with what its password is stretched by.
const SECRET_KEY_BYTES: usize = 158;

/// Permissions of the group and of others.
const OPEN_TO_OTHERS: u32 = 0o077;

/// A secret key, and the public one that belongs to it, in the formats of minisign.
///
/// The memory that holds it is not cleared.
pub struct KeyPair {
    secret: minisign::SecretKey,
    /// As it is stored: encrypted, where there is a password.
    stored: String,
    public: minisign::PublicKey,
    id: KeyId,
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key was not made, read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// minisign says no.
    #[error("{doing} ({reason})")]
    Key {
        /// What was not done.
        doing: &'static str,
        /// What minisign says.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {} ({error})", path.display())]
    Io {
        /// What was not done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system answered.
        error: io::Error,
    },
    /// Others may read a secret key.
    #[error("others may read the secret key {} (mode {mode:o}): run `chmod 600` on it, and consider it known", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Who may do what.
        mode: u32,
    },
    /// No reader would take the manifest.
    #[error("{0}")]
    Manifest(#[from] ManifestError),
    /// It has a signature by this key, or as many as there can be.
    #[error("key {id} cannot sign {name}: it has done so, or {KEYS_MAX} others have")]
    Twice {
        /// The key.
        id: KeyId,
        /// What was to be signed.
        name: String,
    },
}

fn key_error(doing: &'static str) -> impl FnOnce(minisign::PError) -> SignError {
    move |error| SignError::Key { doing, reason: error.to_string() }
}

impl KeyPair {
    /// Makes a key, which is stored encrypted where there is a password: that takes a second and 32 MB.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn generate(password: Option<&str>) -> Result<Self, SignError> {
        let failed = || key_error("no key was made");
        let pair = match password {
            Some(password) => {
                minisign::KeyPair::generate_encrypted_keypair(Some(password.to_owned()))
            }
            None => minisign::KeyPair::generate_unencrypted_keypair(),
        };
        let secret = pair.map_err(failed())?.sk;
        let stored = secret.to_box(Some("hotswap secret key")).map_err(failed())?.into_string();
        Self::of(stored, password)
    }

    /// Whether a secret key is stored encrypted, so that a password has to be asked for. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may read it, or it is no secret key of minisign.
    pub fn has_password(path: impl AsRef<Path>) -> Result<bool, SignError> {
        // Two letters for the algorithm, and two for the encryption, or none.
        bytes(&read(path.as_ref())?).map(|key| key[2..4] != [0, 0]).ok_or_else(|| SignError::Key {
            doing: "the secret key cannot be used",
            reason: "it is none of minisign".to_owned(),
        })
    }

    /// Whether this is the text of a secret key, which nobody else is to be given.
    #[must_use]
    pub fn is_secret(text: &str) -> bool {
        bytes(text).is_some()
    }

    /// Reads a secret key that only its owner may read. Blocks while it reads; with a password for a second.
    ///
    /// # Errors
    ///
    /// When it cannot be read, others may read it, it is no secret key of minisign, or the password is missing, not needed, or wrong.
    pub fn read(path: impl AsRef<Path>, password: Option<&str>) -> Result<Self, SignError> {
        Self::of(read(path.as_ref())?, password)
    }

    fn of(stored: String, password: Option<&str>) -> Result<Self, SignError> {
        let failed = || key_error("the secret key cannot be used");
        let text = SecretKeyBox::from(stored.clone());
        let secret = match password {
            Some(password) => text.into_secret_key(Some(password.to_owned())),
            None => text.into_unencrypted_secret_key(),
        };
        let secret = secret.map_err(failed())?;
        let public = minisign::PublicKey::from_secret_key(&secret).map_err(failed())?;
        let bytes: Option<[u8; 42]> = base64(&public.to_base64());
        let id = bytes.and_then(|bytes| KeyId::of(&bytes));
        let id = id.expect("a public key of minisign has 42 bytes, its number among them");
        Ok(Self { secret, stored, public, id })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The public key, in one line, as hosts are given it.
    #[must_use]
    pub fn public(&self) -> String {
        self.public.to_base64()
    }

    /// The public key as all that is believed.
    #[must_use]
    pub fn public_keys(&self) -> PublicKeys {
        let keys = PublicKeys::parse("a key pair", &self.public());
        keys.expect("one good key, which minisign made")
    }

    /// Writes the secret key, which only its owner may read, and the public key. Neither replaces a file. Blocks until the
    /// secret key is on the disk.
    ///
    /// # Errors
    ///
    /// When one of the files is there, or cannot be written; then neither is left.
    pub fn write(&self, secret: &Path, public: &Path) -> Result<(), SignError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| SignError::Io { doing: "write the key", path, error }
        };
        let mut file = File::create_private(secret).map_err(failed(secret))?;
        let written = file
            .write_all(self.stored.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(failed(secret))
            .and_then(|()| self.write_public(public).map_err(failed(public)));
        if written.is_err() {
            let _left = fs::remove_file(secret);
        }
        written
    }

    fn write_public(&self, path: &Path) -> io::Result<()> {
        let text = format!("untrusted comment: hotswap key {}\n{}\n", self.id, self.public());
        let mut file = File::create_new(path)?;
        let written = file.write_all(text.as_bytes());
        if written.is_err() {
            let _left = fs::remove_file(path);
        }
        written
    }

    /// Signs a manifest: what is sent and stored.
    ///
    /// # Errors
    ///
    /// When no reader would take it.
    pub fn sign(&self, manifest: &Manifest) -> Result<Signed, SignError> {
        let bytes = manifest.to_bytes()?;
        let name = format!("release {} of {}", manifest.counter, manifest.module);
        self.signed(&name, 1, &self.signature(&bytes)?, &bytes)
    }

    /// Adds a signature to a manifest that others signed. Whoever signs has verified it before, and read it.
    ///
    /// # Errors
    ///
    /// When this key has signed it already, or there is room for no more.
    pub fn sign_also(&self, signed: &Signed) -> Result<Signed, SignError> {
        let count = signed.signatures.len();
        if count == KEYS_MAX || signed.keys().any(|key| key == self.id) {
            let (id, name) = (self.id, signed.name().to_owned());
            return Err(SignError::Twice { id, name });
        }
        let others: String = signed.signatures.iter().map(|block| block.text.as_str()).collect();
        let text = others + &self.signature(signed.manifest())?;
        self.signed(signed.name(), count + 1, &text, signed.manifest())
    }

    fn signed(
        &self,
        name: &str,
        count: usize,
        signatures: &str,
        manifest: &[u8],
    ) -> Result<Signed, SignError> {
        let bytes = Signed::join(count, signatures, manifest);
        let read = Signed::read(name, &bytes);
        read.map_err(|error| SignError::Key {
            doing: "it was not signed",
            reason: error.to_string(),
        })
    }

    /// Four lines.
    fn signature(&self, bytes: &[u8]) -> Result<String, SignError> {
        let says = statement(ContentHash::of(bytes));
        let comment = comment(self.id);
        let signature: SignatureBox =
            minisign::sign(Some(&self.public), &self.secret, bytes, Some(&says), Some(&comment))
                .map_err(key_error("it was not signed"))?;
        let text = signature.into_string();
        Ok(if text.ends_with('\n') { text } else { text + "\n" })
    }
}

impl Signed {
    /// A manifest that nobody signs, for who believes a place and whoever writes there.
    ///
    /// # Errors
    ///
    /// When no reader would take it.
    pub fn unsigned(name: impl Into<String>, manifest: &Manifest) -> Result<Self, SignError> {
        Ok(Self::of(name.into(), Vec::new(), manifest.to_bytes()?))
    }
}

/// The second line of a secret key.
fn bytes(stored: &str) -> Option<[u8; SECRET_KEY_BYTES]> {
    stored.lines().nth(1).and_then(base64)
}

/// The text of a secret key that only its owner may read.
fn read(path: &Path) -> Result<String, SignError> {
    let failed =
        |error| SignError::Io { doing: "read the secret key", path: path.to_owned(), error };
    let mut file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & OPEN_TO_OTHERS != 0 {
        return Err(SignError::Open { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.read_at_most(SECRET_BYTES_MAX, &mut bytes).map_err(failed)?;
    let no_text = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "it is no text"));
    String::from_utf8(bytes).map_err(no_text)
}
