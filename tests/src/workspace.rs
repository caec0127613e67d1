//! Where the repository and its build output are.

use std::path::{Path, PathBuf};

/// The root of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests package lies one level below the root")
}

/// A directory for builds, inside the target directory that the running test was built into: so what is
/// built for tests stays warm, and `cargo clean` removes it.
///
/// # Panics
///
/// When the test binary does not lie in a target directory of cargo's.
#[must_use]
pub fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the running program has a path");
    let target = program
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").is_file())
        .unwrap_or_else(|| panic!("{} lies in no target directory", program.display()));
    let directory = target.join("hotswap-tests");
    std::fs::create_dir_all(&directory).expect("the target directory is writable");
    directory
}
