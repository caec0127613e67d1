//! A host of plugins: two threads serve requests while plugins are listed, loaded, edited, unloaded and removed by name.
//! `cargo run -p hotswap-engine --example plugin_host`

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use hotswap_engine::{ModuleErrorKind, Modules};

/// A plugin: a file with one function, which answers a request.
fn write(directory: &Path, name: &str, answer: &str) -> std::io::Result<()> {
    let text = format!(
        "hotswap_module::module!();\n\n\
         #[hotswap_module::export]\npub fn answer(request: &str) -> String {{\n    {answer}\n}}\n"
    );
    fs::write(directory.join(format!("{name}.rs")), text)
}

/// A request is answered by the plugin of this name, which is loaded when it is asked for first.
fn serve(modules: &Modules, plugin: &str, request: &str) -> Result<String, Box<dyn Error>> {
    Ok(modules.get(plugin)?.call_with("answer", (request,))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let plugins = directory.path();
    write(plugins, "quote", "format!(\"<{request}>\")")?;
    // This one asks another, by its name.
    let quote = "hotswap_module::engine_named(\"quote\").and_then(|quote| quote.call_with(\"answer\", (request,)))";
    write(
        plugins,
        "greet",
        &format!(
            "let quoted: String = {quote}.expect(\"it is there\");\n    \"hello \".to_owned() + &quoted"
        ),
    )?;

    let modules = Modules::builder(plugins)
        .without_log()
        .each(|_, engine| engine.target_dir("target/hotswap"))
        .open()?;
    println!("there are {:?}; loaded: {:?}", modules.names()?, modules.loaded());
    println!("{}; loaded: {:?}", serve(&modules, "greet", "Ada")?, modules.loaded());

    let is_over = AtomicBool::new(false);
    let answered = AtomicU64::new(0);
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let answer = serve(&modules, "greet", "Ada").expect("it is never gone");
                    assert!(["hello <Ada>", "hello [Ada]"].contains(&answer.as_str()), "{answer}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let changed = change(&modules, plugins);
        is_over.store(true, Ordering::Relaxed);
        changed
    })?;
    assert_eq!(serve(&modules, "greet", "Ada")?, "hello [Ada]");
    for calls in modules.calls() {
        println!("{} called {} {} times", calls.caller, calls.callee, calls.count);
    }
    assert!(answered.into_inner() > 0);
    Ok(())
}

/// What an administrator does meanwhile.
fn change(modules: &Modules, plugins: &Path) -> Result<(), Box<dyn Error>> {
    // A new one.
    write(plugins, "bye", "format!(\"bye {request}\")")?;
    println!("there are {:?}", modules.names()?);
    println!("{}", serve(modules, "bye", "Ada")?);

    // An edit, while it is being called; and one that does not compile, which changes nothing.
    write(plugins, "quote", "format!(\"[{request}]\")")?;
    write(plugins, "bye", "no Rust")?;
    for (name, verdict) in modules.reload_all() {
        match verdict {
            Ok(verdict) => println!("{name}: {verdict}"),
            Err(error) => println!("{}", error.to_string().lines().next().unwrap_or("")),
        }
    }
    assert_eq!(serve(modules, "bye", "Ada")?, "bye Ada");

    // It goes, unless somebody uses it.
    let held = modules.get("bye")?;
    let error = modules.unload("bye").expect_err("there is a handle to it");
    assert!(matches!(error.kind, ModuleErrorKind::InUse { .. }));
    println!("{error}");
    drop(held);
    modules.unload_when_free("bye", Duration::from_secs(5))?;
    fs::remove_file(plugins.join("bye.rs"))?;
    let error = modules.get("bye").expect_err("it is gone");
    assert!(matches!(error.kind, ModuleErrorKind::Missing));
    println!("{error}");
    Ok(())
}
