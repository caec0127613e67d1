//! What calls and swaps cost, measured beside a floor in the same run: `cargo bench -p hotswap-benches`.
//!
//! Nothing is claimed here without its baseline: read every figure as a multiple of the first of its group.
