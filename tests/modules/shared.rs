//! A cell that engines share. The test changes its form.

use hotswap_module::{Shared, export, state};

hotswap_module::module!();

#[state(version = 1)]
#[derive(Debug, Clone, Default)]
pub struct Score {
    pub points: u64,
}

#[export]
pub fn add(score: Shared<Score>, points: u64) -> u64 {
    let mut score = score.lock();
    score.points += points;
    score.points
}

/// The same in a cell of its own name.
#[export]
pub fn add_named(points: u64) -> u64 {
    let score = Shared::<Score>::named("second");
    let mut score = score.lock();
    score.points += points;
    score.points
}
