//! How much is measured.

use std::time::Duration;

/// How much a report measures; [`Plan::full`] or [`Plan::quick`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Plan {
    /// Whether there are too few samples to rely on.
    pub is_quick: bool,
    pub(super) call_samples: usize,
    /// How long calls meet swaps.
    pub(super) latency: Duration,
    pub(super) poll_samples: usize,
    pub(super) load_samples: usize,
    /// Sources of the trees.
    pub(super) files: &'static [usize],
    /// Periods that are measured one after the other, and those that are measured at the same time.
    pub(super) short_periods: &'static [Duration],
    pub(super) long_periods: &'static [Duration],
    /// How long the processor time of a short period is watched, and of the long ones.
    pub(super) short_window: Duration,
    pub(super) long_window: Duration,
    pub(super) detections: u32,
    pub(super) sizes: usize,
    pub(super) edits: u32,
    /// How often is looked where edits are polled for.
    pub(super) edit_period: Duration,
    pub(super) large_bytes: usize,
    pub(super) unloaded_swaps: u64,
    pub(super) kept_swaps: u64,
    /// The largest state that is handed on, and how many entities are migrated.
    pub(super) state_bytes: usize,
    pub(super) entities: u64,
    /// How many modules a registry has that has few, and one that has many.
    pub(super) modules: [usize; 2],
    /// How long a registry is left alone.
    pub(super) modules_window: Duration,
    /// How many modules share a crate, and how often that is edited.
    pub(super) sharing: usize,
    pub(super) shared_edits: usize,
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

impl Plan {
    /// What the figures are taken from: some ten minutes.
    #[must_use]
    pub const fn full() -> Self {
        Self {
            is_quick: false,
            call_samples: 41,
            latency: ms(10_000),
            poll_samples: 31,
            load_samples: 41,
            files: &[1, 10, 100, 1_000, 10_000],
            short_periods: const { &[ms(1), ms(10), ms(100)] },
            long_periods: const { &[ms(1_000), ms(10_000)] },
            short_window: ms(2_000),
            long_window: ms(30_000),
            detections: 20,
            sizes: 3,
            edits: 15,
            edit_period: ms(1_000),
            large_bytes: crate::load::LARGE_BYTES,
            unloaded_swaps: 10_000,
            kept_swaps: 900,
            state_bytes: 1 << 30,
            entities: 1_000_000,
            modules: [100, 1_000],
            modules_window: ms(30_000),
            sharing: 24,
            shared_edits: 7,
        }
    }

    /// Everything once, so that it is known to work: some two minutes.
    #[must_use]
    pub const fn quick() -> Self {
        Self {
            is_quick: true,
            call_samples: 3,
            latency: ms(300),
            poll_samples: 3,
            load_samples: 3,
            files: &[1, 100, 1_000],
            short_periods: const { &[ms(10), ms(100)] },
            long_periods: const { &[ms(1_000)] },
            short_window: ms(200),
            long_window: ms(2_000),
            detections: 2,
            sizes: 1,
            edits: 2,
            edit_period: ms(250),
            large_bytes: 1024 * 1024,
            unloaded_swaps: 60,
            kept_swaps: 60,
            state_bytes: 1 << 24,
            entities: 10_000,
            modules: [10, 40],
            modules_window: ms(2_000),
            sharing: 2,
            shared_edits: 1,
        }
    }

    pub(super) const fn command(&self) -> &'static str {
        if self.is_quick {
            "cargo run --release -p hotswap-benches --bin report -- --quick"
        } else {
            "cargo run --release -p hotswap-benches --bin report"
        }
    }
}
