//! A cut of the soak: `cargo run --release -p hotswap-tests --bin soak` is the whole. Row UN-1.

use hotswap_tests::isolated;
use hotswap_tests::soak::soak;

/// What one version takes that is kept, or leaked: more than this.
const BYTES_OF_A_VERSION: f64 = 26.0 * 1024.0;

#[test]
fn un_1_hundreds_of_swaps_under_load_leave_nothing() {
    isolated("un_1_hundreds_of_swaps_under_load_leave_nothing", || {
        let soaked = soak(300);
        println!("{soaked}");
        assert!(soaked.panics > 0 && soaked.threads > 0 && soaked.values > 0, "{soaked}");
        assert!(
            soaked.mapped_max <= 10,
            "the current one, eight more, and one on its way: {soaked}"
        );
        assert!(soaked.bytes_per_swap() < BYTES_OF_A_VERSION / 2.0, "{soaked}");
    });
}
