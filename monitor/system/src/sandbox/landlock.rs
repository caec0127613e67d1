//! Three system calls, of which the first says which version of Landlock there is.
//!
//! The crate `landlock` does the same with four others below it, a second `syn` among them, which every host would compile.
//! *Source*: the kernel's `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h`.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use super::Rules;

/// What may be done with files, by bits.
const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// What can be said of a file that is no directory.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
const READ: u64 = EXECUTE | READ_FILE | READ_DIR;

/// To bind and to connect by TCP; to reach abstract Unix sockets and to send signals.
const TCP: u64 = 0b11;
const OUTSIDE: u64 = 0b11;

const CREATE_RULESET_VERSION: u32 = 1;
const RULE_PATH_BENEATH: u32 = 1;

/// `struct landlock_ruleset_attr`, as of version 6.
#[repr(C)]
struct Ruleset {
    handled_files: u64,
    handled_network: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// The version of Landlock; `None` where there is none, or it is switched off.
pub(super) fn version() -> io::Result<Option<u32>> {
    // SAFETY: 1. Asked for the version the call takes a null pointer and the size zero, and touches no memory.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<Ruleset>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    };
    match answered(answer) {
        Ok(version) => Ok(u32::try_from(version).ok()),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Restricts the calling thread, and gives up all privileges that a program could bring it, for good.
pub(super) fn restrict(rules: &Rules, version: u32) -> io::Result<()> {
    let files = files_of(version);
    let ruleset = Ruleset {
        handled_files: files,
        handled_network: if version >= 4 { TCP } else { 0 },
        scoped: if version >= 6 { OUTSIDE } else { 0 },
    };
    // SAFETY:
    // 1. The pointer leads to a whole `Ruleset`, which lives longer than the call, and the size is its own.
    // 2. An older kernel takes a longer structure whose rest is zero, which it is.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const ruleset,
            size_of::<Ruleset>(),
            0_u32,
        )
    };
    let number = i32::try_from(answered(answer)?).map_err(io::Error::other)?;
    // SAFETY: 1. The call succeeded: the number is an open descriptor, and nobody else has it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(number) };
    allow(&ruleset, &rules.readable, READ & files)?;
    allow(&ruleset, &rules.writable, files & !(MAKE_CHAR | MAKE_BLOCK))?;
    rustix::thread::set_no_new_privs(true)?;
    // SAFETY: 1. The call takes two numbers and touches no memory.
    let answer =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0_u32) };
    answered(answer).map(drop)
}

/// All that this version can refuse; newer ones have no more of files, as far as this one knows.
fn files_of(version: u32) -> u64 {
    let count = match version {
        0 | 1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << count) - 1
}

/// Allows this below these paths. One that is not there, or may not be opened, is not allowed anything.
fn allow(ruleset: &OwnedFd, paths: &[PathBuf], access: u64) -> io::Result<()> {
    let opened = |path: &PathBuf| {
        let path: &Path = path;
        open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
    };
    for file in paths.iter().filter_map(opened) {
        let is_directory = FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Directory;
        let allowed = if is_directory { access } else { access & OF_FILES };
        let rule = PathBeneath { allowed, parent: file.as_raw_fd() };
        // SAFETY:
        // 1. The pointer leads to a whole rule of the kind that is named, and lives longer than the call.
        // 2. Both descriptors are open until after the call.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0_u32,
            )
        };
        answered(answer)?;
    }
    Ok(())
}

/// The C library's way to tell of errors.
fn answered(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
