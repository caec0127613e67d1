//! What allocating costs inside a module, where it is forwarded to the host and counted, beside the host's own allocator.

use std::fs;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use hotswap_engine::{Engine, Profile};

use crate::module_crate::{ModuleCrate, Size};
use crate::timed::{Timed, processor_time};
use crate::{Outcome, Workshop};

mod churn {
    include!("churn.rs");
}

/// How many threads allocate at once: a counter that they shared would show on two.
pub const THREADS: [usize; 2] = [1, 2];

/// An engine on a module that allocates what the host does, compiled from the same text. Blocks for the compiler.
///
/// # Errors
///
/// When it does not build.
pub fn engine(workshop: &Workshop) -> Outcome<Engine> {
    let module = ModuleCrate::new(workshop, "allocates", Size::Small)?;
    let text = format!(
        "//! Written by a bench.\n\nhotswap_module::module!();\n\nmod churn {{\n{}}}\n\n\
         #[hotswap_module::export]\npub fn churns(rounds: u64) -> u64 {{\n    churn::churn(rounds)\n}}\n",
        include_str!("churn.rs")
    );
    fs::write(module.directory().join("src/lib.rs"), text)?;
    let builder = Engine::builder(module.directory()).profile(Profile::Release);
    Ok(builder.target_dir(workshop.target("allocates")).without_log().open()?)
}

/// A block allocated and freed: by the host, which is the floor, and by the module.
#[must_use]
pub fn paths(engine: &Engine, threads: usize) -> [Timed<'_>; 2] {
    let host = format!("host's allocator/{threads} (floor)");
    let module = format!("module's allocator/{threads}");
    [
        Timed::new(host, move |rounds| Ok(on(threads, || churn::churn(rounds)))),
        Timed::new(module, move |rounds| {
            let churns = || engine.call_with::<u64>("churns", (rounds,)).expect("exported");
            Ok(on(threads, churns))
        }),
    ]
}

/// The processor time of one of so many threads that do the same at once.
fn on(threads: usize, work: impl Fn() -> u64 + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    let each = || {
        barrier.wait();
        let start = processor_time();
        std::hint::black_box(work());
        processor_time().saturating_sub(start)
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
        let times = running.into_iter().map(|thread| thread.join().expect("it only allocates"));
        times.max().unwrap_or_default()
    })
}
