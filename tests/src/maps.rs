//! What this process has mapped and which threads it runs, as the kernel tells.

use std::fs;

/// The lines of `/proc/self/maps` that map a file whose path contains `name` executable.
///
/// # Panics
///
/// When the kernel does not tell.
#[must_use]
pub fn executable_mappings(name: &str) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux tells a process its mappings");
    maps.lines()
        .filter(|line| {
            let permissions = line.split_ascii_whitespace().nth(1).unwrap_or("");
            permissions.contains('x') && line.contains(name)
        })
        .map(str::to_owned)
        .collect()
}

/// The names of this process's threads; Linux keeps their first 15 bytes.
///
/// # Panics
///
/// When the kernel does not tell.
#[must_use]
pub fn thread_names() -> Vec<String> {
    fs::read_dir("/proc/self/task")
        .expect("Linux tells a process its threads")
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}
