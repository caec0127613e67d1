//! A program that takes `greet` from a database, is republished under load, and swaps; then from a string, then from a directory.
//! `cargo run -p hotswap-engine --features sqlite --example republished`. It ends by itself, or with what went wrong.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hotswap_engine::sqlite::{Code, ModuleDatabase, Publication, SqliteSource};
use hotswap_engine::{Engine, Source};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    // Everything lies below, and what was compiled stays for the next time.
    fs::create_dir_all("target/republished")?;
    std::env::set_current_dir("target/republished")?;
    // As `hotswap publish greet --to modules.db` does it, from any process.
    let publish = |word: &str| -> Outcome {
        let greet = Publication::new("greet", Code::Text(greet(word)));
        ModuleDatabase::create("modules.db")?.publish(&greet)?;
        Ok(())
    };
    publish("hello")?;
    let engine = Engine::open(SqliteSource::new("modules.db", "greet")?)?;
    serve(&engine, || publish("good evening"))?;

    let text = Source::string(greet("hello"));
    let engine = Engine::open(&text)?;
    serve(&engine, || {
        text.set(greet("good evening"));
        Ok(())
    })?;

    let save = |word: &str| fs::write("greet/src/lib.rs", greet(word));
    fs::create_dir_all("greet/src")?;
    fs::write("greet/Cargo.toml", MANIFEST)?;
    fs::write("Cargo.toml", "[workspace]\nmembers = [\"greet\"]\nresolver = \"3\"\n")?;
    save("hello")?;
    let engine = Engine::open("greet")?;
    serve(&engine, || Ok(save("good evening")?))?;
    Ok(())
}

/// Greets guests on four threads, whatever becomes of `greet` meanwhile.
fn serve(engine: &Engine, republish: impl FnOnce() -> Outcome) -> Outcome {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        let guest = || {
            while !is_over.load(Ordering::Acquire) {
                let greeting: String = engine.call_with("greet", ("guest",)).expect("always one");
                assert!(["hello, guest", "good evening, guest"].contains(&&*greeting));
            }
        };
        let _guests = [(); 4].map(|()| scope.spawn(guest));
        // It swaps by itself; sync() waits for the verdict.
        let verdict = republish().and_then(|()| Ok(engine.sync()?));
        is_over.store(true, Ordering::Release);
        let greeting: String = engine.call_with("greet", ("guest",))?;
        println!("{}: {greeting}", verdict?);
        assert_eq!(greeting, "good evening, guest");
        Ok(())
    })
}

/// The module.
fn greet(word: &str) -> String {
    format!(
        r#"
hotswap_module::module!();

#[hotswap_module::export]
pub fn greet(name: &str) -> String {{
    format!("{word}, {{name}}")
}}
"#
    )
}

const MANIFEST: &str = concat!(
    "[package]\nname = \"greet\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n",
    "[dependencies]\nhotswap-module = { path = \"",
    env!("CARGO_MANIFEST_DIR"),
    "/module\" }\n",
);
