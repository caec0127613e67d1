//! What a build must not inherit from the program that asks for it.

use std::ffi::{OsStr, OsString};

use hotswap_system::process::Command;

/// Removes the variables that would make a build depend on how the host was
/// started: under `cargo run` a host inherits dozens of `CARGO_*`, a shell may
/// carry RUSTFLAGS, and both would give other code than the same build by hand.
pub(crate) fn scrub(command: &mut Command) {
    scrub_of(command, std::env::vars_os().map(|(name, _)| name));
}

fn scrub_of(command: &mut Command, inherited: impl Iterator<Item = OsString>) {
    for name in inherited.filter(|name| is_removed(name)) {
        command.env_remove(name);
    }
}

/// Where cargo's home, registries and network are stays; what to build and how
/// goes; rustup's choice of toolchain stays, it is the host's.
fn is_removed(name: &OsStr) -> bool {
    const KEPT: [&str; 4] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_"];
    let Some(name) = name.to_str() else { return false };
    let is_kept = name == "CARGO_HOME" || KEPT.iter().any(|prefix| name.starts_with(prefix));
    let is_removed = name == "CARGO"
        || name.starts_with("CARGO_")
        || name.starts_with("__CARGO_")
        || name.starts_with("RUSTC")
        || name == "RUSTDOC"
        || name == "RUSTFLAGS"
        || name == "RUSTDOCFLAGS";
    is_removed && !is_kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_cargo_variables_go_and_homes_stay() {
        let removed = [
            "CARGO",
            "CARGO_PKG_NAME",
            "CARGO_TARGET_DIR",
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "CARGO_TERM_COLOR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTDOCFLAGS",
            "CARGO_MANIFEST_DIR",
            "RUSTC_BOOTSTRAP",
        ];
        let kept = [
            "CARGO_HOME",
            "CARGO_HTTP_TIMEOUT",
            "CARGO_NET_OFFLINE",
            "CARGO_REGISTRIES_X_INDEX",
            "CARGO_REGISTRY_TOKEN",
            "RUSTUP_TOOLCHAIN",
            "PATH",
            "HOME",
            "LD_LIBRARY_PATH",
        ];
        let mut command = Command::new("cargo");
        scrub_of(&mut command, removed.iter().chain(&kept).map(OsString::from));
        let mut scrubbed: Vec<&str> = command
            .get_envs()
            .map(|(name, value)| {
                assert_eq!(value, None, "removed, not set");
                name.to_str().unwrap()
            })
            .collect();
        let mut removed = removed.to_vec();
        scrubbed.sort_unstable();
        removed.sort_unstable();
        assert_eq!(scrubbed, removed);
    }
}
