//! Which versions ran, and which of them are kept ready to run again.

use std::sync::{Arc, Weak};

use hotswap_artifact::Artifact;

use crate::version::Version;
use crate::version_id::VersionId;

/// How many versions can be gone back to: those that ran last. Beyond what is kept mapped, one costs what its number and
/// the path of its library take.
const KNOWN_MAX: usize = 64;

/// Under how many fingerprints the code of one version is known: whoever edits comments all day loses the oldest.
const SAME_MAX: usize = 64;

/// The versions that ran, and in which order they replaced each other.
#[derive(Debug)]
pub(super) struct Lineage {
    known: Vec<Known>,
    /// From the oldest to the current one, without those that were rolled back.
    path: Vec<VersionId>,
    /// Those on the path that are kept mapped though they were replaced.
    warm: Vec<Arc<Version>>,
    warm_max: usize,
}

/// A version that ran.
#[derive(Debug)]
struct Known {
    id: VersionId,
    /// What it was loaded from, and under which fingerprints its code was seen: a comment may be edited.
    artifacts: Vec<Artifact>,
    /// There for as long as anybody holds it.
    version: Weak<Version>,
}

impl Lineage {
    /// Keeps this many replaced versions mapped.
    pub(super) fn new(warm_max: usize) -> Self {
        Self { known: Vec::new(), path: Vec::new(), warm: Vec::new(), warm_max }
    }

    /// The versions before the current one, the latest first.
    pub(super) fn earlier(&self) -> Vec<VersionId> {
        self.path.iter().rev().skip(1).copied().collect()
    }

    /// What a version that ran was loaded from, and the version itself while it is mapped, for whatever reason.
    pub(super) fn get(&self, id: VersionId) -> Option<(Artifact, Option<Arc<Version>>)> {
        let known = self.known.iter().find(|known| known.id == id)?;
        Some((known.artifacts.first()?.clone(), known.version.upgrade()))
    }

    /// Everything that gave this version.
    pub(super) fn artifacts(&self, id: VersionId) -> &[Artifact] {
        let known = self.known.iter().find(|known| known.id == id);
        known.map_or(&[], |known| &known.artifacts)
    }

    /// The versions that ran and are mapped, for whatever reason.
    pub(super) fn living(&self) -> Vec<Weak<Version>> {
        let living = self.known.iter().map(|known| &known.version);
        living.filter(|version| version.strong_count() > 0).cloned().collect()
    }

    /// Notes that something else in the source gives the code of a version too.
    pub(super) fn is_same(&mut self, id: VersionId, artifact: Artifact) {
        let Some(known) = self.known.iter_mut().find(|known| known.id == id) else { return };
        if let Some(own) = known.artifacts.first_mut() {
            // It is the release that came last, whatever it was loaded from.
            own.release = own.release.max(artifact.release);
        }
        if known.artifacts.iter().any(|known| known.fingerprint == artifact.fingerprint) {
            return;
        }
        known.artifacts.push(artifact);
        if known.artifacts.len() > SAME_MAX {
            known.artifacts.remove(1);
        }
    }

    /// Notes where a version's library is kept.
    pub(super) fn is_kept(&mut self, id: VersionId, artifact: Artifact) {
        let known = self.known.iter_mut().find(|known| known.id == id);
        let own = known.and_then(|known| known.artifacts.first_mut());
        own.into_iter().for_each(|own| own.clone_from(&artifact));
    }

    /// What becomes current next came before everything that ran.
    pub(super) fn leave_path(&mut self) {
        self.path.clear();
    }

    /// Notes what became current. Going back to a version takes what came after it off the path.
    pub(super) fn became_current(&mut self, version: &Arc<Version>, artifact: Artifact) {
        let id = version.id;
        let at = self.known.iter().position(|known| known.id == id);
        let mut artifacts = at.map_or_else(Vec::new, |at| self.known.remove(at).artifacts);
        if artifacts.is_empty() {
            artifacts.push(artifact);
        }
        self.known.push(Known { id, artifacts, version: Arc::downgrade(version) });
        // What is current stands in the slot.
        self.warm.retain(|kept| kept.id != id);
        match self.path.iter().position(|ancestor| *ancestor == id) {
            Some(at) => self.path.truncate(at + 1),
            None => self.path.push(id),
        }
        if self.known.len() > KNOWN_MAX {
            let oldest = self.known.remove(0).id;
            self.path.retain(|ancestor| *ancestor != oldest);
        }
    }

    /// Keeps what was replaced, if it is to be kept, and gives what is not to be kept any more.
    pub(super) fn keep(&mut self, replaced: Arc<Version>) -> Vec<Arc<Version>> {
        self.warm.push(replaced);
        let before_current = self.path.iter().rev().skip(1);
        let kept: Vec<VersionId> = before_current.take(self.warm_max).copied().collect();
        let (warm, cold) = self.warm.drain(..).partition(|version| kept.contains(&version.id));
        self.warm = warm;
        cold
    }

    /// Whether a version is kept ready.
    pub(super) fn is_warm(&self, id: VersionId) -> bool {
        self.warm.iter().any(|version| version.id == id)
    }

    /// How many versions are kept ready.
    pub(super) fn warm_count(&self) -> usize {
        self.warm.len()
    }

    /// Keeps a version no longer; gives it if it was kept.
    pub(super) fn cool(&mut self, id: VersionId) -> Option<Arc<Version>> {
        let at = self.warm.iter().position(|version| version.id == id)?;
        Some(self.warm.swap_remove(at))
    }

    /// Keeps nothing any more.
    pub(super) fn end(&mut self) -> Vec<Arc<Version>> {
        std::mem::take(&mut self.warm)
    }
}
