//! An interface that host and module share, and functions that the host provides:
//! `cargo run -p hotswap-engine --example shared_interface`, from the root of the repository.

use hotswap_engine::Engine;
use sample_interface::{Sample, SampleCalls as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A version that lacks part of `Sample` is refused, and the one before goes on.
    let engine = Engine::builder("sample-engine")
        .require::<dyn Sample>()
        .provide("draw", |x: f32, y: f32| println!("the host draws at {x}, {y}"))
        .open()?;
    engine.f1()?;
    println!("2 + 3 = {}", engine.add(2, 3)?);

    // Guards are callers too.
    println!("{}", engine.pin().greet("guard")?);

    // The same calls on linked functions: what a release may ship.
    let linked = Engine::linked(sample_engine::exports());
    println!("linked: {}", linked.add(2, 3)?);
    Ok(())
}
