//! The files of a new module crate.

use std::path::Path;

/// One file: its path inside the crate, and its text.
pub(crate) type File = (&'static str, String);

/// Everything that a module crate of this name needs.
pub(crate) fn files(name: &str) -> [File; 3] {
    [
        ("Cargo.toml", manifest(name, &module_dependency())),
        ("src/lib.rs", LIBRARY.to_owned()),
        (".gitignore", "/target\nhotswap*.log*\n".to_owned()),
    ]
}

/// By path while this program's repository is there, by version otherwise.
fn module_dependency() -> String {
    let beside = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../module"));
    match beside.canonicalize() {
        // A TOML basic string escapes quotes and backslashes as Rust does.
        Ok(path) if path.join("Cargo.toml").is_file() => by_path(&path),
        _ => concat!("\"=", env!("CARGO_PKG_VERSION"), "\"").to_owned(),
    }
}

fn by_path(path: &Path) -> String {
    format!("{{ path = {:?} }}", path.display().to_string())
}

fn manifest(name: &str, dependency: &str) -> String {
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"
publish = false

# An ordinary library. The engine itself builds it as a module when it loads it.

[dependencies]
hotswap-module = {dependency} # module! and #[export]

# It stands alone, wherever it lies.
[workspace]
"#
    )
}

const LIBRARY: &str = r#"//! A module: edit a line and save while `hotswap run` runs it.

use hotswap_module::export;

hotswap_module::module!();

/// `engine.call("f1")?`
#[export]
pub fn f1() {
    println!("call to f1");
}

/// `engine.call("f2")?`
#[export]
pub fn f2() {
    println!("call to f2");
}

/// `let sum: u64 = engine.call_with("add", (2u64, 3u64))?`
#[export]
pub fn add(a: u64, b: u64) -> u64 {
    a + b
}

// A module is an ordinary library: `cargo test` runs this.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_plain_rust() {
        f1();
        f2();
        assert_eq!(add(2, 3), 5);
    }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn here_the_dependency_is_a_path() {
        let [(_, manifest), ..] = files("game");
        assert!(manifest.contains("name = \"game\""));
        assert!(manifest.contains("hotswap-module = { path = \"/"), "{manifest}");
        assert!(manifest.contains("\n[workspace]\n"));
    }
}
