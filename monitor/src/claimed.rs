//! A directory that one user at a time has to itself.

use std::io;
use std::path::{Path, PathBuf};

use hotswap_system::fs::{self, File};

/// How many may be in use below one directory at a time.
///
/// 256: more engines of one module in one place are a loop that forgot to drop them.
const CLAIMED_MAX: u32 = 256;

/// A directory that only this user may look into, locked as long as this lives. The next to claim it, in another process too, takes it over with what lies in it.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) directory: PathBuf,
    _lock: File,
}

impl Claimed {
    /// Takes the first below this directory that nobody has.
    pub(crate) fn first(all: &Path) -> Result<Self, ClaimError> {
        let failed = |path: &Path, error| ClaimError { path: path.to_owned(), error };
        fs::create_dir_all(all).map_err(|error| failed(all, error))?;
        for number in 0..CLAIMED_MAX {
            let directory = all.join(number.to_string());
            fs::create_private_dir_all(&directory).map_err(|error| failed(&directory, error))?;
            let path = directory.join("lock");
            let lock = File::create(&path).map_err(|error| failed(&path, error))?;
            if lock.try_lock().is_ok() {
                return Ok(Self { directory, _lock: lock });
            }
        }
        let error = io::Error::other(format!("all {CLAIMED_MAX} directories there are in use"));
        Err(ClaimError { path: all.to_owned(), error })
    }
}

/// None of the directories can be had.
#[derive(Debug)]
pub(crate) struct ClaimError {
    /// What cannot be created.
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}
