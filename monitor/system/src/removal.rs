//! Directories are removed with all that is in them, however deep that is.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, chmodat, fchmod, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes a directory and all that is in it, also directories that nobody may enter; of a link the link.
///
/// What lies deeper than one level is moved up to the top first, so that neither the stack nor the descriptors grow with the
/// depth, and no path is too long.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(top) = remove_or_open(CWD, path)? else { return Ok(()) };
    let mut moved: u64 = 0;
    loop {
        let mut is_empty = true;
        // It may list what is moved here meanwhile, or not; until nothing is left it is listed once more.
        for name in names(&top)? {
            let name = name?;
            is_empty = false;
            let Some(directory) = remove_or_open(&top, &*name)? else { continue };
            for inner in names(&directory)? {
                let inner = inner?;
                if remove_or_open(&directory, &*inner)?.is_some() {
                    moved = move_up(&directory, &inner, &top, moved)?;
                }
            }
            unlinkat(&top, &*name, AtFlags::REMOVEDIR)?;
        }
        if is_empty {
            return Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?);
        }
    }
}

/// What is in a directory.
fn names(
    directory: &OwnedFd,
) -> rustix::io::Result<impl Iterator<Item = rustix::io::Result<CString>>> {
    let names = Dir::read_from(directory)?.map(|entry| Ok(entry?.file_name().to_owned()));
    Ok(names
        .filter(|name| !matches!(name.as_deref().map(|name| name.to_bytes()), Ok(b"." | b".."))))
}

/// Removes what is no directory. What is one is opened, and its owner let in.
fn remove_or_open(
    parent: impl AsFd + Copy,
    name: impl Arg + Copy,
) -> rustix::io::Result<Option<OwnedFd>> {
    match unlinkat(parent, name, AtFlags::empty()) {
        // It is a directory, as Linux and as POSIX say it.
        Err(Errno::ISDIR | Errno::PERM) => {}
        removed => return removed.map(|()| None),
    }
    let directory = match openat(parent, name, DIRECTORY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            openat(parent, name, DIRECTORY, Mode::empty())?
        }
        opened => opened?,
    };
    match fchmod(&directory, Mode::RWXU) {
        // Not every file system has modes. Where it matters what is done next fails.
        Ok(()) | Err(_) => Ok(Some(directory)),
    }
}

/// Moves a directory to the top, by the first number from this one on that is free; the number after that.
fn move_up(from: &OwnedFd, name: &CString, top: &OwnedFd, first: u64) -> rustix::io::Result<u64> {
    let mut number = first;
    loop {
        let renamed = renameat(from, &**name, top, number.to_string());
        number += 1;
        match renamed {
            // What lies there has this name by itself.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
            renamed => return renamed.map(|()| number),
        }
    }
}
