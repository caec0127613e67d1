/// Allocates and frees a block of 64 bytes as often as it is told.
pub(super) fn churn(rounds: u64) -> u64 {
    (0..rounds).map(|round| std::hint::black_box(Box::new([round; 8]))[0]).fold(0, u64::wrapping_add)
}
