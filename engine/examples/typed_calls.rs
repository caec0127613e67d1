//! Typed calls, handles and guards, and what a wrong type says:
//! `cargo run -p hotswap-engine --example typed_calls`, from the root of the repository.

use hotswap_engine::Engine;
use sample_interface::{Point, Shape, World};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::open("sample-engine")?;

    // By name: the signature is compared at every call.
    let sum: u64 = engine.call_with("add", (2u64, 3u64))?;
    let limit = engine.call_with::<u64>("LIMIT", ())?;
    let greeting: String = engine.call_with("greet", ("world",))?;
    println!("add: {sum}, LIMIT: {limit}, greet: {greeting}");

    // Borrowed arguments, `&mut` too; the host owns what survives a swap.
    let mut world = World { tick: 0, points: vec![Point { x: 0.0, y: 0.0 }] };
    engine.call_with::<()>("step", (&mut world,))?;
    let area: f64 = engine.call_with("area", (&Shape::Rectangle(2.0, 3.0),))?;
    println!("tick {}, area {area}", world.tick);

    // A `Result` of the module is the inner one; the outer one is the call's.
    let parsed: Result<u64, String> = engine.call_with("parse", ("12x",))?;
    println!("parse: {parsed:?}");

    // A handle is checked once per version and follows every swap.
    let add = engine.function::<fn(u64, u64) -> u64>("add")?;
    println!("handle: {}", add.call(20, 22)?);

    // A guard keeps one version for a unit of work.
    let guard = engine.pin();
    guard.call("f1")?;
    println!("guard: {}", guard.version());

    // What is wrong is an error that says what to write.
    match engine.call_with::<u64>("add", (2, 3u64)) {
        Ok(_) => return Err("an i32 is no u64".into()),
        Err(error) => println!("{error}"),
    }
    Ok(())
}
