//! How many processes a build has.

use std::ffi::OsStr;

use hotswap_system::fs;
use rustix::process::Pid;

/// Counts the processes of a group; zero where the system does not tell.
///
/// `RLIMIT_NPROC` is no such limit: it counts what else the same user runs, and not at all what root does.
pub(in crate::build) fn processes(group: Pid) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let is_number = |name: &OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    entries
        .flatten()
        .filter(|entry| is_number(&entry.file_name()))
        // One that ended meanwhile cannot be read.
        .filter_map(|entry| fs::read(entry.path().join("stat")).ok())
        .filter(|stat| group_of(stat) == Some(group.as_raw_nonzero().get()))
        .count()
}

/// The third field behind the name, which may have anything in it. *Source*: proc_pid_stat(5).
fn group_of(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_what_follows_it() {
        assert_eq!(group_of(b"12 (sh) S 1 34 34 0"), Some(34));
        assert_eq!(group_of(b"12 (a) S 1 2 (b\xff) S 1 56 34 0"), Some(56));
        assert_eq!(group_of(b"12 sh"), None);
    }

    #[test]
    fn the_own_group_has_at_least_this_process() {
        assert!(processes(rustix::process::getpgrp()) >= 1);
    }
}
