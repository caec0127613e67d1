//! How the properties of this crate are tried.

use proptest::test_runner::{Config, FileFailurePersistence, RngSeed};

/// So many cases, the same in every run. One that failed is written beside the manifest, where it is tried first from
/// then on, by everybody once it is committed.
pub(crate) fn config(cases: u32) -> Config {
    const FAILURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/properties.regressions");
    Config {
        cases,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILURES))),
        ..Config::default()
    }
}
