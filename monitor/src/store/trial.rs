//! Releases that are being loaded: noted beside the libraries for as long as that takes, so that the next process knows what the one
//! before died of.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_artifact::{Artifact, Fingerprint};
use hotswap_system::fs::{self, File};

use super::records::{Quarantined, Records};
use super::whole;

/// A release that is being loaded, until this is dropped. Whoever ends before is known to have: the file is there, and nobody has
/// it locked.
#[derive(Debug)]
pub struct Trial {
    path: PathBuf,
    _lock: File,
}

impl Drop for Trial {
    fn drop(&mut self) {
        // What cannot be removed is taken for the end of this process by the next, which tries something else first.
        let _ = fs::remove_file(&self.path);
    }
}

const TRIALS: &str = "trials";

/// The reason for a quarantine, as the log has it.
const CRASHED: &str = "crashed";

impl Records {
    /// Notes that a release is about to be loaded; `None` where there is no store to note it in, or another process is loading it
    /// as well.
    ///
    /// # Errors
    ///
    /// When it cannot be written; it is not noted then.
    pub fn begin_trial(&mut self, artifact: &Artifact) -> io::Result<Option<Trial>> {
        let Some(store) = &self.store else { return Ok(None) };
        let directory = store.join(TRIALS);
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}-{}", self.key, artifact.fingerprint));
        let mut file = File::append(&path)?;
        if file.try_lock().is_err() {
            return Ok(None);
        }
        if fingerprint(&path).is_none() {
            file.write_all(whole::seal(&artifact.fingerprint.to_string()).as_bytes())?;
        }
        Ok(Some(Trial { path, _lock: file }))
    }

    /// Puts what earlier processes died of into quarantine, and gives it: what they were loading when they ended.
    ///
    /// # Errors
    ///
    /// When it cannot be written; then it is asked again by the next process.
    pub fn end_trials(&mut self) -> io::Result<Vec<Quarantined>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let mut ended = Vec::new();
        for entry in fs::read_dir(store.join(TRIALS)).into_iter().flatten().flatten() {
            let is_own = entry.file_name().to_string_lossy().starts_with(&self.key);
            let Some(path) = Some(entry.path()).filter(|_| is_own) else { continue };
            let Ok(file) = File::open(&path) else { continue };
            if file.try_lock().is_err() {
                // Whoever loads it lives.
                continue;
            }
            if let Some(fingerprint) = fingerprint(&path) {
                let message = "the program ended while it was being loaded";
                let why = Quarantined::new(fingerprint, CRASHED, message);
                self.quarantine_found(&why)?;
                ended.push(why);
            }
            fs::remove_file(&path)?;
        }
        Ok(ended)
    }
}

/// What was being loaded; `None` of what was never whole, when nothing was loaded yet.
fn fingerprint(path: &Path) -> Option<Fingerprint> {
    whole::unseal(&fs::read(path).ok()?)?.parse().ok()
}
