//! Four threads call while the code is replaced three times: no call is missed, none fails.
//! `cargo run -p hotswap-engine --example never_missed`

mod module_crate;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use hotswap_engine::Engine;
use module_crate::ModuleCrate;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let module = ModuleCrate::new("never-missed", &source(1))?;
    let engine = Engine::builder(module.path()).without_log().open()?;
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
            module.write(&source(version))?;
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

fn source(version: u64) -> String {
    format!(
        "hotswap_module::module!();\n\n\
         #[hotswap_module::export]\npub fn version() -> u64 {{\n    {version}\n}}\n"
    )
}
