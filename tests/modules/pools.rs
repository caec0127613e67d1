//! A module with thread pools of rayon's.

use hotswap_module::export;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

hotswap_module::module!();

#[export]
pub fn version() -> u64 {
    1
}

fn sum(count: u64) -> u64 {
    (0..count).into_par_iter().map(|number| number * number).sum()
}

fn pool() -> ThreadPool {
    let named = ThreadPoolBuilder::new().num_threads(2).thread_name(|index| format!("own-{index}"));
    named.build().expect("threads")
}

/// On a pool of its own, which ends with the call.
#[export]
pub fn sums_on_its_own(count: u64) -> u64 {
    pool().install(|| sum(count))
}

/// On rayon's global pool, which never ends.
#[export]
pub fn sums_on_the_global_one(count: u64) -> u64 {
    let named = ThreadPoolBuilder::new().num_threads(2);
    // It may be there already.
    let _ = named.thread_name(|index| format!("global-{index}")).build_global();
    sum(count)
}
