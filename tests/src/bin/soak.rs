//! Ten thousand swaps under load, or as many as are asked for:
//!
//! ```console
//! $ cargo run --release -p hotswap-tests --bin soak -- 10000
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
