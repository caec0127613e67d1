//! Private copies of libraries that the process still executes when it ends.
//!
//! The engine removes each with its version. A version whose call never returns, or whose thread
//! goes on, is still there at the end of the process, and its file would stay behind.

use std::path::{Path, PathBuf};

/// Removes this process's staged libraries. The engine must have been dropped; what is mapped stays mapped.
pub(crate) fn remove() {
    // Elsewhere than on Linux there is no such file, and nothing is staged that way.
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let own = std::process::id().to_string();
    for file in maps.lines().filter_map(mapped_file).filter(|file| is_staged(file, &own)) {
        // The same file is mapped several times; only the first removal does something.
        let _ = std::fs::remove_file(&file);
        let _ = file.parent().map(std::fs::remove_dir);
    }
}

/// The path of a line of the map: what follows the five columns.
fn mapped_file(line: &str) -> Option<PathBuf> {
    let start = line.find('/')?;
    Some(PathBuf::from(&line[start..]))
}

/// Whether a file is named `<process id>/<number>-<name>.so`, as the engine stages.
fn is_staged(file: &Path, own: &str) -> bool {
    let directory = file.parent().and_then(Path::file_name);
    let number =
        file.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
    directory.is_some_and(|name| name == own)
        && file.extension().is_some_and(|extension| extension == "so")
        && number.is_some_and(|(number, _)| number.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_staged_libraries_of_this_process_are_ours() {
        let line = "7f00-7f01 r-xp 00001000 08:01 1234    /a b/stage/42/3-abc.so";
        let file = mapped_file(line).unwrap();
        assert_eq!(file, Path::new("/a b/stage/42/3-abc.so"));
        assert!(is_staged(&file, "42"));
        assert!(!is_staged(&file, "43"));
        assert!(!is_staged(Path::new("/usr/lib/42/libc.so"), "42"));
        assert!(mapped_file("7f00-7f01 rw-p 00000000 00:00 0 [heap]").is_none());
    }
}
