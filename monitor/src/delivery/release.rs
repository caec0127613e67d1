//! One release, as it was found.

use std::sync::Arc;

use super::mirrors::told;
use hotswap_artifact::{ContentHash, FetchError, Fingerprint};
use hotswap_trust::{Accepted, CodeKind, FileEntry, News, Signed, Trust, Verified};

/// A release whose manifest is believed, and the bytes that said so.
#[derive(Debug)]
pub(super) struct Release {
    /// The signatures and the manifest.
    pub(super) bytes: Vec<u8>,
    pub(super) verified: Verified,
}

impl Release {
    /// Reads a manifest if it is to be believed.
    pub(super) fn read(name: &str, bytes: Vec<u8>, trust: &Trust) -> Result<Self, FetchError> {
        let verified = Signed::read(name, &bytes).and_then(|signed| trust.verify(signed));
        match verified {
            Ok(verified) => Ok(Self { bytes, verified }),
            Err(error) => Err(FetchError::refused(error.to_string())),
        }
    }

    /// What stands for it at a look.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.verified.hash().to_string().as_bytes())
    }

    /// Whether its code is built here, by what its writer says.
    pub(super) fn is_built(&self) -> bool {
        self.verified.kind != CodeKind::Prebuilt
    }

    /// SHA-256 of the library, if it is one.
    pub(super) fn content(&self) -> Result<Option<ContentHash>, FetchError> {
        match self.is_built() {
            true => Ok(None),
            false => self.library().map(|library| Some(library.hash)),
        }
    }

    /// The files that are handed over: of a library it alone.
    pub(super) fn handed_over(&self) -> Result<&[FileEntry], FetchError> {
        match self.is_built() {
            true => Ok(&self.verified.files),
            false => self.library().map(std::slice::from_ref),
        }
    }

    /// The library that it is, among its files.
    pub(super) fn library(&self) -> Result<&FileEntry, FetchError> {
        let files = &self.verified.files;
        let has_extension = |file: &&FileEntry| {
            file.path.as_path().extension().is_some_and(|extension| extension == "so")
        };
        let mut libraries = files.iter().filter(has_extension);
        match (&files[..], libraries.next(), libraries.next()) {
            ([only], ..) => Ok(only),
            (_, Some(library), None) => Ok(library),
            _ => Err(FetchError::refused(format!(
                "{} is of {} files, and it cannot be told which of them is the library: publish one `.so`",
                self.verified.described(),
                files.len()
            ))),
        }
    }
}

/// A release that may be handed out, and why.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) release: Arc<Release>,
    pub(super) ground: Ground,
}

/// Why a release may be handed out.
#[derive(Debug, Clone)]
pub(super) enum Ground {
    /// This place has it, and it is the newest that is known.
    Placed {
        /// Its index.
        place: usize,
        accepted: Accepted,
    },
    /// It was accepted before, and nothing newer can be had, because of this.
    Kept(FetchError),
}

impl Offer {
    /// Why it is one that was kept, if it is.
    pub(super) fn why_kept(&self) -> Option<&FetchError> {
        match &self.ground {
            Ground::Kept(why) => Some(why),
            Ground::Placed { .. } => None,
        }
    }

    /// Who made it, which it is, and what is odd about it: for the log.
    pub(super) fn note(&self) -> String {
        let verified = &self.release.verified;
        let mut note = verified.described();
        match &self.ground {
            Ground::Kept(why) => note.push_str(&format!("; from the cache: {}", told(why))),
            Ground::Placed { accepted, .. } => {
                if let News::Gap { accepted, previous } = accepted.news() {
                    let gap = format!(
                        "; releases after {accepted}, up to {previous}, were never seen here"
                    );
                    note.push_str(&gap);
                }
                if let Some(back) = accepted.clock_back() {
                    let days = back.as_secs() / (24 * 60 * 60);
                    let text = format!(
                        "; the clock is {days} days behind the time that was remembered: set it"
                    );
                    note.push_str(&text);
                }
            }
        }
        note
    }
}
