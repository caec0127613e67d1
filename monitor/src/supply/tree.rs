//! What lies below a directory, to find that somebody edited it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use hotswap_artifact::{Fingerprint, FingerprintHasher};
use hotswap_system::directory::{Directory, EntryKind};

/// How many names may lie in one directory: as many as a release may have files, and what may lie beside them.
const ENTRIES_MAX: usize = 100_000;

/// How much of a file is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Stands for all names below a directory, and for what their files contain. No link is followed.
pub(super) fn tree(directory: &Path) -> io::Result<Fingerprint> {
    let mut hasher = FingerprintHasher::new();
    add_directory(&Directory::open(directory)?, &mut hasher)?;
    Ok(hasher.finish())
}

fn add_directory(directory: &Directory, hasher: &mut FingerprintHasher) -> io::Result<()> {
    for (name, kind) in directory.list(ENTRIES_MAX)? {
        hasher.piece(name.as_bytes());
        hasher.piece(format!("{kind:?}").as_bytes());
        match kind {
            EntryKind::Directory => add_directory(&directory.directory(&name)?, hasher)?,
            EntryKind::File => add_file(directory, &name, hasher)?,
            // Nothing that was fetched: that it is there is enough.
            _ => {}
        }
        hasher.piece(b"");
    }
    Ok(())
}

fn add_file(directory: &Directory, name: &OsStr, hasher: &mut FingerprintHasher) -> io::Result<()> {
    let mut file = directory.file(name)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.fill(&mut chunk)? {
            0 => return Ok(()),
            count => hasher.piece(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn whatever_is_edited_below_a_directory_is_seen() {
        let edits: [fn(&Path); 6] = [
            |place| fs::write(place.join("src/lib.rs"), "twO").unwrap(),
            |place| fs::write(place.join("src/lib.rs"), "two!").unwrap(),
            |place| fs::write(place.join("build.rs"), "").unwrap(),
            |place| fs::create_dir(place.join(".cargo")).unwrap(),
            |place| fs::remove_file(place.join("src/lib.rs")).unwrap(),
            |place| {
                fs::rename(place.join("src"), place.join("x")).unwrap();
                symlink("x", place.join("src")).unwrap();
            },
        ];
        for edit in edits {
            let place = tempfile::tempdir().unwrap();
            fs::create_dir(place.path().join("src")).unwrap();
            fs::write(place.path().join("src/lib.rs"), "two").unwrap();
            let before = tree(place.path()).unwrap();
            assert_eq!(tree(place.path()).unwrap(), before);
            edit(place.path());
            assert_ne!(tree(place.path()).unwrap(), before);
        }
    }
}
