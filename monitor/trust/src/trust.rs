//! Whom a host believes, and how far.

use std::path::{Path, PathBuf};

use hotswap_artifact::ContentHash;

use crate::keys::{KeysError, PublicKeys};
use crate::level::Level;
use crate::manifest::{CodeKind, DEFAULT_CHANNEL};
use crate::signed::{SignatureError, Signed, Verified};

/// Whom a host believes, which releases it takes, and where it remembers them.
///
/// ```
/// use hotswap_trust::{CodeKind, Level, Trust};
///
/// let trust = Trust::key("RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3")?
///     .channel("beta")
///     .floor(12)
///     .only(CodeKind::Prebuilt);
/// assert_eq!(trust.level(), Level::L2);
/// # Ok::<(), hotswap_trust::KeysError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Trust {
    anchor: Anchor,
    channel: String,
    floor: u64,
    only: Option<CodeKind>,
    state: Option<PathBuf>,
    cache: Option<PathBuf>,
}

/// What everything else hangs on.
#[derive(Debug, Clone)]
enum Anchor {
    Anybody,
    Pinned(ContentHash),
    Keys(PublicKeys),
}

impl Trust {
    /// Believes who has these keys: [`Level::L2`].
    #[must_use]
    pub fn keys(keys: PublicKeys) -> Self {
        Self::new(Anchor::Keys(keys))
    }

    /// Believes who has this key, as `hotswap keys new` prints it: [`Level::L2`].
    ///
    /// # Errors
    ///
    /// When it is no public key of minisign.
    pub fn key(key: &str) -> Result<Self, KeysError> {
        PublicKeys::parse("the host", key).map(Self::keys)
    }

    /// Takes the one release whose manifest has this SHA-256, and no other: [`Level::L1`].
    #[must_use]
    pub fn pinned(manifest: ContentHash) -> Self {
        Self::new(Anchor::Pinned(manifest))
    }

    /// Believes whoever can write where the code comes from, and whoever is on the way to it: [`Level::L0`].
    #[must_use]
    pub fn anybody() -> Self {
        Self::new(Anchor::Anybody)
    }

    fn new(anchor: Anchor) -> Self {
        let channel = DEFAULT_CHANNEL.to_owned();
        Self { anchor, channel, floor: 0, only: None, state: None, cache: None }
    }

    /// Takes releases of this channel; `stable` by default.
    #[must_use]
    pub fn channel(mut self, channel: impl Into<String>) -> Self {
        self.channel = channel.into();
        self
    }

    /// Takes no release below this number, whatever manifests say.
    #[must_use]
    pub fn floor(mut self, release: u64) -> Self {
        self.floor = release;
        self
    }

    /// Takes code of this kind alone: prebuilt libraries, on a host without a compiler.
    #[must_use]
    pub fn only(mut self, kind: CodeKind) -> Self {
        self.only = Some(kind);
        self
    }

    /// Remembers in this directory what was accepted. By default `hotswap/trust` in the user's state directory
    /// (`$XDG_STATE_HOME`, else `~/.local/state`). Who removes it can be given older releases again: it is no cache.
    #[must_use]
    pub fn remember_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// Keeps what was fetched in this directory, to run it when the source is down. By default `hotswap` in the user's cache directory
    /// (`$XDG_CACHE_HOME`, else `~/.cache`). It is checked whenever it is used.
    #[must_use]
    pub fn cache_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// How much is checked.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.anchor {
            Anchor::Anybody => Level::L0,
            Anchor::Pinned(_) => Level::L1,
            Anchor::Keys(_) => Level::L2,
        }
    }

    /// The channel whose releases are taken.
    #[must_use]
    pub fn wanted_channel(&self) -> &str {
        &self.channel
    }

    /// The lowest release that the host takes.
    #[must_use]
    pub fn lowest(&self) -> u64 {
        self.floor
    }

    /// The kind of code that alone is taken, if there is one.
    #[must_use]
    pub fn only_kind(&self) -> Option<CodeKind> {
        self.only
    }

    /// Where to remember what was accepted, if the host said so.
    #[must_use]
    pub fn state_directory(&self) -> Option<&Path> {
        self.state.as_deref()
    }

    /// Where to keep what was fetched, if the host said so.
    #[must_use]
    pub fn cache_directory(&self) -> Option<&Path> {
        self.cache.as_deref()
    }

    /// What is believed, for people: `signed by key E7620F1842B4E81F`.
    #[must_use]
    pub fn described(&self) -> String {
        match &self.anchor {
            Anchor::Anybody => "believes anybody".to_owned(),
            Anchor::Pinned(hash) => format!("the manifest {hash} and no other"),
            Anchor::Keys(keys) => {
                let all: Vec<String> = keys.ids().map(|id| format!("key {id}")).collect();
                match keys.threshold() {
                    1 => format!("signed by {}", all.join(" or ")),
                    needed => format!("signed by {needed} of {}", all.join(", ")),
                }
            }
        }
    }

    /// Names what is taken and by whom it is believed, the same in each process: what ran because of one trust is no part of the history
    /// of another.
    #[must_use]
    pub fn lasting_name(&self) -> String {
        let anchor = match &self.anchor {
            Anchor::Anybody => String::new(),
            Anchor::Pinned(hash) => hash.to_string(),
            Anchor::Keys(keys) => {
                let mut ids: Vec<_> = keys.ids().collect();
                ids.sort_unstable();
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                format!("{} of {}", keys.threshold(), ids.join(" "))
            }
        };
        format!("{} {} {anchor}", self.level().name(), self.channel)
    }

    /// Reads a manifest if it is to be believed.
    ///
    /// # Errors
    ///
    /// As [`Signed::verify`] and [`Signed::verify_pinned`]; of who believes anybody, when it is no manifest.
    pub fn verify(&self, signed: Signed) -> Result<Verified, SignatureError> {
        match &self.anchor {
            Anchor::Anybody => signed.believe(),
            Anchor::Pinned(hash) => signed.verify_pinned(*hash),
            Anchor::Keys(keys) => signed.verify(keys),
        }
    }
}
