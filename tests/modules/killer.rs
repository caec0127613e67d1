//! A module that kills its process, without a last word, while it is loaded.

hotswap_module::module!();

#[hotswap_module::on_load]
fn kill() -> Result<(), String> {
    let process = std::process::id().to_string();
    let killed = std::process::Command::new("kill").args(["-9", &process]).status();
    Err(format!("it goes on: {killed:?}"))
}
