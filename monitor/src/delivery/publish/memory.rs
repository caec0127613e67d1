//! What was published last from this machine: who can write where releases lie can put an older one there, which is signed as it is.

use std::path::Path;

use hotswap_trust::{Accepted, Subject, Trust, TrustState, TrustStore, Verified, Wanted};

use super::{Line, PublishErrorKind};
use crate::delivery::homes::Homes;

/// The directory, beside that of what this user's programs accepted.
const DIRECTORY: &str = "published";

/// What is remembered of a line of releases on a shelf.
pub(super) struct Memory {
    store: TrustStore,
    subject: Subject,
    state: TrustState,
}

impl Memory {
    /// Reads it, from this directory or where the user keeps such things. Nothing is remembered of what was never published from here.
    pub(super) fn open(
        directory: Option<&Path>,
        shelf: &str,
        line: Line<'_>,
    ) -> Result<Self, PublishErrorKind> {
        let usual = || Some(Homes::of(&Trust::anybody())?.state.with_file_name(DIRECTORY));
        let directory = directory.map(Path::to_owned).or_else(usual);
        let store = TrustStore::open(directory.ok_or(PublishErrorKind::NoHome)?)?;
        let subject = Subject::new(shelf, line.module, line.channel);
        let state = store.load(&subject)?;
        Ok(Self { store, subject, state })
    }

    /// Refuses what is older than what was published last, or another one of its number. What is newer was published elsewhere.
    pub(super) fn check(&self, found: Option<&Verified>) -> Result<(), PublishErrorKind> {
        let published = self.state.counter();
        let counter = found.map_or(0, |found| found.counter);
        if counter > published || found.map(Verified::hash) == self.state.manifest() {
            return Ok(());
        }
        let found = match counter {
            0 => "none".to_owned(),
            counter if counter == published => format!("another release {counter}"),
            counter => format!("release {counter}"),
        };
        Err(PublishErrorKind::Behind { published, found, memory: self.store.path(&self.subject) })
    }

    /// What is to be remembered once this release is published. Time plays no part: what expired may be followed.
    pub(super) fn accept(&self, release: &Verified) -> Result<Accepted, PublishErrorKind> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (target, abi) = (text(&release.target), text(&release.abi));
        let mut wanted = Wanted::new(&release.module, target, abi, text(&release.toolchain));
        wanted.channel.clone_from(&release.channel);
        let accepted = self.state.check(release, self.state.time(), &wanted);
        accepted.map_err(|error| PublishErrorKind::Far(Box::new(error)))
    }

    /// Remembers it; gives why it could not, if it could not.
    pub(super) fn remember(&self, accepted: &Accepted) -> Option<String> {
        self.store.remember(&self.subject, accepted).err().map(|error| error.to_string())
    }
}
