//! Barriers that cost the swapper and not the callers. *Source*: membarrier(2).

use std::sync::LazyLock;
use std::sync::atomic::{Ordering, compiler_fence, fence};

/// Whether this process can have all its threads pass a barrier.
static HAS_MEMBARRIER: LazyLock<bool> = LazyLock::new(register);

/// Asked once; the answer decides whether callers get slots that rely on it.
pub(crate) fn has_membarrier() -> bool {
    *HAS_MEMBARRIER
}

/// The callers' barrier: orders nothing but the compiler. The other half is `heavy_barrier`.
#[inline(always)]
pub(crate) fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
}

/// The swapper's barrier: every thread of this process that runs passes a full one before this returns, the others
/// passed one when they were put aside.
pub(crate) fn heavy_barrier() {
    fence(Ordering::SeqCst);
    if has_membarrier() {
        everywhere();
    }
}

#[cfg(target_os = "linux")]
fn register() -> bool {
    use rustix::thread::{MembarrierCommand, membarrier};

    membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
}

#[cfg(target_os = "linux")]
fn everywhere() {
    use rustix::thread::{MembarrierCommand, membarrier};

    // It cannot fail once it was registered; and going on without it would free what is in use.
    membarrier(MembarrierCommand::PrivateExpedited)
        .expect("the kernel registered this process for it");
}

#[cfg(not(target_os = "linux"))]
fn register() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn everywhere() {}
