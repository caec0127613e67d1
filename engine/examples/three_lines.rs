//! The smallest host: `cargo run -p hotswap-engine --example three_lines`, from the root of the repository.

use hotswap_engine::Engine;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open("sample-engine")?;
    engine.call("f1")?;
    Ok(())
}
