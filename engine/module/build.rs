//! Records which compiler builds this crate, and so the module or host that links it.
//!
//! Rust has no stable layout: a module and its host must come from the very same
//! compiler commit, and there is no stable constant that names it.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC");
    let rustc = env::var_os("RUSTC").expect("cargo sets RUSTC for build scripts");
    let output = Command::new(rustc).arg("-vV").output().expect("cargo has just run this compiler");
    let text = String::from_utf8_lossy(&output.stdout);
    let release = text.lines().next().unwrap_or("rustc of unknown version");
    println!("cargo::rustc-env=HOTSWAP_RUSTC={release}");
    let target = env::var("TARGET").expect("cargo sets TARGET for build scripts");
    println!("cargo::rustc-env=HOTSWAP_TARGET={target}");
}
