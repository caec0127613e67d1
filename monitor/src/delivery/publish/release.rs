//! A release, from its files to its place.

use std::path::PathBuf;
use std::time::Duration;

use hotswap_artifact::{ContentHash, Host, ModuleName};
use hotswap_trust::{
    CodeKind, DEFAULT_CHANNEL, KeyId, KeyPair, Manifest, PublicKeys, SignatureError, Signed,
    Timestamp, Trust, Verified,
};

use super::memory::Memory;
use super::{Contents, Line, OpenLine, PublishError, PublishErrorKind, Shelf};

/// How long a release can be taken for the newest, unless it is said.
///
/// 30 days: so long can a mirror withhold a fix, or a publisher be away. Who can [renew](Release::renew) every day from a timer says 3 days.
pub const EXPIRY_DEFAULT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A release that is to be published.
#[derive(Debug)]
pub struct Release {
    module: String,
    channel: String,
    /// `None` for those of the release before.
    contents: Option<Contents>,
    expires_in: Duration,
    floor: u64,
    expected: Option<u64>,
    keys: Vec<KeyPair>,
    memory: Option<PathBuf>,
}

/// What was published.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Published {
    /// The number of the release.
    pub counter: u64,
    /// SHA-256 of its manifest: what a host that takes this release alone is given.
    pub hash: ContentHash,
    /// The lowest release that may run from now on.
    pub floor: u64,
    /// The last second in which it can be taken for the newest.
    pub expires: Timestamp,
    /// Who signed it; nobody, if there are none.
    pub signers: Vec<KeyId>,
    /// How many files it has.
    pub files: usize,
    /// How many bytes they have together.
    pub bytes: u64,
    /// Why it will not be remembered that it was published from here, if it will not: an older one that is put there would be followed.
    pub unremembered: Option<String>,
}

impl Release {
    /// A release of a module on the channel `stable`, which nobody signs and which expires after [`EXPIRY_DEFAULT`].
    #[must_use]
    pub fn new(module: impl Into<String>, contents: Contents) -> Self {
        Self::of(module.into(), Some(contents))
    }

    /// The release that lies there once more, with a later expiry. One that expired is not renewed.
    #[must_use]
    pub fn renew(module: impl Into<String>) -> Self {
        Self::of(module.into(), None)
    }

    fn of(module: String, contents: Option<Contents>) -> Self {
        let (channel, expires_in) = (DEFAULT_CHANNEL.to_owned(), EXPIRY_DEFAULT);
        let (floor, expected, keys, memory) = (0, None, Vec::new(), None);
        Self { module, channel, contents, expires_in, floor, expected, keys, memory }
    }

    /// Publishes on this channel. Libraries for several targets or compilers need a channel each.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = channel.into();
        self
    }

    /// How long it can be taken for the newest. It does not expire before the release that it follows.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = time;
        self
    }

    /// The lowest release that may run from now on, at most this one. It never falls: a lower one than that of the release before is that one.
    #[must_use]
    pub fn floor(mut self, release: u64) -> Self {
        self.floor = release;
        self
    }

    /// Publishes only if this is the release that lies there; 0: if there is none.
    #[must_use]
    pub fn expecting(mut self, release: u64) -> Self {
        self.expected = Some(release);
        self
    }

    /// Signs with this key, also.
    #[must_use]
    pub fn signed_by(mut self, key: KeyPair) -> Self {
        self.keys.push(key);
        self
    }

    /// Where it is remembered which release was published last, so that no older one is followed that somebody put there; if it is not
    /// said, `hotswap/published` where this user keeps such things (`$XDG_STATE_HOME`, else `~/.local/state`). Of what nobody signs
    /// nothing is remembered.
    #[must_use]
    pub fn remember_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.memory = Some(directory.into());
        self
    }

    /// Puts it there, after the release that lies there, which has to be of this module and channel, by one of the keys that sign, and not
    /// older than what was published last from this machine. Blocks until it is on the disk.
    ///
    /// # Errors
    ///
    /// [`PublishErrorKind`]; what lies there is the newest release still.
    pub fn publish(self, shelf: &mut dyn Shelf) -> Result<Published, PublishError> {
        let module = self.module.clone();
        self.put(shelf).map_err(|kind| PublishError::new(&module, kind))
    }

    fn put(self, shelf: &mut dyn Shelf) -> Result<Published, PublishErrorKind> {
        // Before they are parts of a path.
        for name in [&self.module, &self.channel] {
            if !ModuleName::is_part(name) {
                return Err(PublishErrorKind::Name { name: name.clone() });
            }
        }
        let mut manifest = self.draft();
        let place = shelf.name();
        let name = Line::new(&self.module, &self.channel);
        let mut line = shelf.open(name)?;
        let trust = self.trust()?;
        let previous = self.previous(&*line, &trust)?;
        let memory = match &self.keys[..] {
            [] => None,
            _ => Some(Memory::open(self.memory.as_deref(), &place, name)?),
        };
        if let Some(memory) = &memory {
            memory.check(previous.as_ref())?;
        }
        let found = previous.as_ref().map_or(0, |previous| previous.counter);
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(PublishErrorKind::Conflict { expected, found });
        }
        let contents = match (self.contents, &previous) {
            (Some(contents), _) => contents,
            (None, Some(previous)) => of_before(previous, &mut manifest)?,
            (None, None) => return Err(PublishErrorKind::Nothing { place }),
        };
        manifest.floor = self.floor;
        if let Some(previous) = &previous {
            manifest.follow(previous);
            manifest.expires = manifest.expires.max(previous.expires);
        }
        let signed = sign(&self.keys, &manifest)?;
        let accepted = match &memory {
            Some(memory) => Some(memory.accept(&trust.verify(signed.clone()).map_err(not_ours)?)?),
            None => None,
        };
        line.put(&contents, &signed)?;
        // It is published: what is not remembered only goes unnoticed when it is taken away.
        let unremembered = memory.zip(accepted).and_then(|(memory, done)| memory.remember(&done));
        Ok(Published {
            counter: manifest.counter,
            hash: signed.hash(),
            floor: manifest.floor,
            expires: manifest.expires,
            signers: signed.keys().collect(),
            files: manifest.files.len(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            unremembered,
        })
    }

    /// Everything but what depends on the release before.
    fn draft(&self) -> Manifest {
        let kind = self.contents.as_ref().map_or(CodeKind::File, Contents::kind);
        let expires = Timestamp::now().after(self.expires_in);
        let mut manifest = Manifest::new(&self.module, kind, expires);
        manifest.channel.clone_from(&self.channel);
        if let Some(contents) = &self.contents {
            describe(&mut manifest, contents);
        }
        manifest
    }

    /// One of the keys that sign, or anybody if nobody signs.
    fn trust(&self) -> Result<Trust, PublishErrorKind> {
        if self.keys.is_empty() {
            return Ok(Trust::anybody());
        }
        let believed: String = self.keys.iter().map(|key| key.public() + "\n").collect();
        Ok(Trust::keys(PublicKeys::parse("the keys that sign", &believed)?))
    }

    /// The release that lies there, if it is by whom is trusted, and is what it would be followed as: a key may sign more than one module.
    fn previous(
        &self,
        line: &dyn OpenLine,
        trust: &Trust,
    ) -> Result<Option<Verified>, PublishErrorKind> {
        let Some((name, bytes)) = line.current() else { return Ok(None) };
        let signed = Signed::read(name, bytes).map_err(not_ours)?;
        let keys: Vec<String> = signed.keys().map(|key| format!("key {key}")).collect();
        if self.keys.is_empty() && !keys.is_empty() {
            let (name, keys) = (name.to_owned(), keys.join(", "));
            return Err(PublishErrorKind::Unsigned { name, keys });
        }
        let previous = trust.verify(signed).map_err(not_ours)?;
        let found = format!("{} ({})", previous.module, previous.channel);
        let wanted = format!("{} ({})", self.module, self.channel);
        if found == wanted {
            return Ok(Some(previous));
        }
        Err(PublishErrorKind::Foreign { name: name.to_owned(), found, wanted })
    }
}

fn not_ours(error: SignatureError) -> PublishErrorKind {
    PublishErrorKind::Previous(Box::new(error))
}

/// Takes over what a release was, if it is good still.
fn of_before(previous: &Verified, manifest: &mut Manifest) -> Result<Contents, PublishErrorKind> {
    let (release, expires) = (previous.counter, previous.expires);
    if Timestamp::now() > expires {
        return Err(PublishErrorKind::Expired { release, expires });
    }
    let host = match (&previous.target, &previous.abi, &previous.toolchain) {
        (Some(target), Some(abi), Some(toolchain)) => Some(Host::new(target, abi, toolchain)),
        _ => None,
    };
    let contents = Contents::published(previous.kind, host, previous.files.clone());
    describe(manifest, &contents);
    Ok(contents)
}

fn describe(manifest: &mut Manifest, contents: &Contents) {
    manifest.kind = contents.kind();
    manifest.files = contents.files().to_vec();
    if let Some(Host { target, abi, toolchain, .. }) = &contents.host {
        manifest.target = Some(target.clone());
        manifest.abi = Some(abi.clone());
        manifest.toolchain = Some(toolchain.clone());
    }
}

fn sign(keys: &[KeyPair], manifest: &Manifest) -> Result<Signed, PublishErrorKind> {
    let Some((first, others)) = keys.split_first() else {
        return Ok(Signed::unsigned(&manifest.module, manifest)?);
    };
    let mut signed = first.sign(manifest)?;
    for key in others {
        signed = key.sign_also(&signed)?;
    }
    Ok(signed)
}
