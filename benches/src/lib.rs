//! What calls and swaps cost, measured beside a floor in the same run: `cargo bench -p hotswap-benches`.
//!
//! Nothing is claimed here without its baseline: read every figure as a multiple of the first of its group.

pub mod callable;
pub mod latency;
pub mod ratios;

use std::error::Error;
use std::path::PathBuf;

use hotswap_engine::{Engine, Profile};

/// The library of sample-engine, built with optimisation: what benches load, offer and call.
///
/// # Errors
///
/// When it does not build.
pub fn sample_library() -> Result<PathBuf, Box<dyn Error>> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-engine");
    let store = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/hotswap/store");
    let built = Engine::builder(sample).profile(Profile::Release).without_log().open()?;
    let content = built.versions().last().and_then(|version| version.content);
    let content = content.ok_or("a built version has a content hash")?;
    Ok(PathBuf::from(format!("{store}/{content}.so")))
}
