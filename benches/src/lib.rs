//! What hot-swapping costs, measured beside a floor in the same run.
//!
//! ```console
//! $ cargo bench -p hotswap-benches                                 # all criterion groups
//! $ cargo bench -p hotswap-benches --bench load                    # one of them
//! $ cargo run --release -p hotswap-benches --bin report            # report.html, report.md and plots, in some ten minutes
//! $ cargo run --release -p hotswap-benches --bin report -- --quick # the same with few samples, in some two
//! ```
//!
//! Nothing is claimed here without its baseline: read every figure as a multiple of the floor beside it. One file measures one
//! subject and gives plain data; criterion and the report both ask it, so that nothing is measured in two ways.

use std::error::Error;
use std::path::PathBuf;

use hotswap_engine::{Engine, OpenError, Profile};

pub mod allocator;
pub mod build;
pub mod call;
mod command;
pub mod detect;
pub mod file_server;
pub mod http;
pub mod latency;
pub mod load;
pub mod machine;
pub mod memory;
pub mod module_crate;
pub mod modules;
#[cfg(not(feature = "peers"))]
#[path = "peers/absent.rs"]
pub mod peers;
#[cfg(feature = "peers")]
pub mod peers;
pub mod poll_frequency;
pub mod report;
mod samples;
pub mod shared_crate;
pub mod sources;
pub mod state;
pub mod timed;
pub mod tree;
pub mod unload;
mod workshop;

pub use samples::{Comparison, Named, Samples};
pub use workshop::Workshop;

/// What measuring gives; an error says what could not be measured.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// The library of sample-engine, built with optimisation: what benches load, offer and call.
///
/// # Errors
///
/// When it does not build.
///
/// # Panics
///
/// Never: what was built has a content hash.
pub fn sample_library() -> Result<PathBuf, OpenError> {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../sample-engine");
    let store = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/hotswap/store");
    let built = Engine::builder(sample).profile(Profile::Release).without_log().open()?;
    let content = built.versions().last().and_then(|version| version.content);
    let content = content.expect("a built version has a content hash");
    Ok(PathBuf::from(format!("{store}/{content}.so")))
}
