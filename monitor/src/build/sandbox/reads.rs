//! What a compiler reads, besides the code.

use std::path::{Path, PathBuf};

use hotswap_system::fs;

use super::super::recipe::home;

/// Of the system. Of `/etc` nothing but what says how to run programs: there are keys in it.
///
/// In `/proc` and `/sys` compilers look for memory and processors. What is secret there, the environment of other
/// processes for one, the kernel gives only to who may trace them.
const SYSTEM: [&str; 23] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/group",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/dev/random",
    "/dev/urandom",
];

/// Devices that are written as well.
pub(super) const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// What lies beside a directory of programs and belongs to them.
const BESIDE_PROGRAMS: [&str; 4] = ["lib", "lib64", "libexec", "include"];

/// What cargo's home has that builds read. Not what it knows of registries: that is credentials.
pub(super) const OF_CARGO: [&str; 4] = ["registry", "git", "config.toml", "config"];

/// Files that cargo and rustup look for beside the code and above it.
const ABOVE: [&str; 5] =
    [".cargo/config.toml", ".cargo/config", "Cargo.toml", "rust-toolchain.toml", "rust-toolchain"];

/// The system's part and the toolchain's. `programs` were chosen by path.
pub(super) fn of_the_toolchain(programs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found.extend(std::env::split_paths(&path).flat_map(|directory| with_libraries(&directory)));
    for program in programs {
        found.push(program.clone());
        let directory = program.parent().filter(|directory| directory.ends_with("bin"));
        found.extend(directory.into_iter().flat_map(with_libraries));
    }
    if let Some(rustup) = home("RUSTUP_HOME", ".rustup") {
        // Toolchains that lie elsewhere are links.
        let toolchains = fs::read_dir(rustup.join("toolchains")).into_iter().flatten().flatten();
        found.extend(toolchains.map(|toolchain| toolchain.path()));
        found.extend(["settings.toml", "toolchains"].map(|name| rustup.join(name)));
    }
    if let Some(cargo) = home("CARGO_HOME", ".cargo") {
        found.extend(OF_CARGO.iter().map(|name| cargo.join(name)));
    }
    found
}

/// A directory of programs with their libraries; nothing of a directory that has the user's home in it.
fn with_libraries(directory: &Path) -> Vec<PathBuf> {
    let user = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (directory, user) = (real(directory), real(&user));
    let is_everything = directory.parent().is_none() || user.starts_with(&directory);
    if !directory.is_absolute() || is_everything {
        return Vec::new();
    }
    let is_of_programs = directory.ends_with("bin") && directory.parent() != Some(user.as_path());
    let beside = directory
        .parent()
        .filter(|_| is_of_programs)
        .map(|root| BESIDE_PROGRAMS.iter().map(|name| root.join(name)).collect::<Vec<_>>());
    std::iter::once(directory.clone()).chain(beside.into_iter().flatten()).collect()
}

/// What steers cargo and rustup above a directory.
pub(super) fn above(directory: &Path) -> Vec<PathBuf> {
    let directories = directory.ancestors().skip(1);
    directories.flat_map(|directory| ABOVE.map(|name| directory.join(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_programs_brings_its_libraries_and_never_a_home() {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().canonicalize().unwrap().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let found = with_libraries(&bin);
        assert!(found.contains(&bin) && found.contains(&bin.with_file_name("lib")), "{found:?}");
        assert!(!found.contains(&bin.with_file_name("share")), "there are keyrings in it");
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        for whole in [Path::new("/"), &home, home.parent().unwrap(), Path::new("")] {
            assert!(with_libraries(whole).is_empty(), "{}", whole.display());
        }
    }

    #[test]
    fn of_etc_no_key_is_read() {
        let found = of_the_toolchain(&[PathBuf::from("/opt/tools/cargo")]);
        let is_read = |path: &str| found.iter().any(|read| Path::new(path).starts_with(read));
        for secret in
            ["/etc/shadow", "/etc/ssl/private/key.pem", "/etc/hotswap/token", "/root", "/home"]
        {
            assert!(!is_read(secret), "{secret}");
        }
        assert!(is_read("/opt/tools/cargo") && !is_read("/opt/tools/config"));
    }
}
