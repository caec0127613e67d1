//! Ten thousand swaps under load, or as many as are asked for:
//!
//! ```console
//! $ cargo run --release -p hotswap-tests --bin soak -- 10000
//! ```
//!
//! Last done with glibc 2.36 and rustc 1.95.0 (59807616e 2026-04-14), x86-64, two cores that were busy with other things:
//!
//! ```text
//! 10000 swaps and 1037738810 calls in 348.0 s
//! 7206519 panics, 3603259 threads and 3636017 values of modules
//! 9 versions mapped at most, one at the end
//! anonymous memory in KiB: 1568 2096 2220 2224 2272 2300 2380 2368 2432 2464 2460
//! 33 bytes for each swap of the second half
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(swaps) = std::env::args().nth(1).map_or(Some(10_000), |swaps| swaps.parse().ok())
    else {
        eprintln!("how many swaps? soak -- 10000");
        return ExitCode::FAILURE;
    };
    println!("{}", hotswap_tests::soak::soak(swaps));
    ExitCode::SUCCESS
}
