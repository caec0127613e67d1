//! Four threads call while the code is replaced three times: no call is missed, none fails.
//! `cargo run -p hotswap-engine --example never_missed`

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hotswap_engine::Engine;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let crate_path = std::env::temp_dir().join(format!("never-missed-{}", std::process::id()));
    write_module(&crate_path, 1)?;
    let result = run(&crate_path);
    fs::remove_dir_all(&crate_path)?;
    result
}

fn run(crate_path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder(crate_path).without_log().open()?;
    let is_over = AtomicBool::new(false);
    // How many answers each version gave, and how many calls failed.
    let answers: [AtomicU64; 5] = Default::default();
    let failures = AtomicU64::new(0);

    thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    match engine.call_with::<u64>("version", ()) {
                        Ok(version) => answers[version as usize].fetch_add(1, Ordering::Relaxed),
                        Err(_) => failures.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        let edits = (2..=4).try_for_each(|version| -> Result<(), Box<dyn std::error::Error>> {
            write_module(crate_path, version)?;
            println!("{}", engine.reload()?);
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        edits
    })?;

    for (version, count) in answers.iter().enumerate().skip(1) {
        println!("v{version} answered {} calls", count.load(Ordering::Relaxed));
    }
    match failures.into_inner() {
        0 => Ok(()),
        count => Err(format!("{count} calls failed").into()),
    }
}

fn write_module(crate_path: &Path, version: u64) -> std::io::Result<()> {
    fs::create_dir_all(crate_path.join("src"))?;
    let hotswap_module = concat!(env!("CARGO_MANIFEST_DIR"), "/module");
    let manifest = format!(
        "[package]\nname = \"never-missed\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
         [workspace]\n\n[dependencies]\nhotswap-module = {{ path = {hotswap_module:?} }}\n"
    );
    let manifest_path = crate_path.join("Cargo.toml");
    if !manifest_path.exists() {
        fs::write(manifest_path, manifest)?;
    }
    let source = format!(
        "hotswap_module::module!();\n\n\
         #[hotswap_module::export]\npub fn version() -> u64 {{\n    {version}\n}}\n"
    );
    fs::write(crate_path.join("src/lib.rs"), source)
}
