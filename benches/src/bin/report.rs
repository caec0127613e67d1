//! Measures everything and writes one report of it: `report.html`, which needs nothing else, and `report.md` with its plots as
//! SVG files.
//!
//! ```console
//! $ cargo run --release -p hotswap-benches --bin report [-- [--quick] [--out DIRECTORY]]
//! ```

use std::path::PathBuf;

use hotswap_benches::Outcome;
use hotswap_benches::report::{Plan, write};

fn main() -> Outcome<()> {
    let mut plan = Plan::full();
    let mut directory = PathBuf::from("target/report");
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => plan = Plan::quick(),
            "--out" => directory = arguments.next().ok_or("--out needs a directory")?.into(),
            _ => {
                return Err(
                    format!("no argument is called {argument}: --quick, --out DIRECTORY").into()
                );
            }
        }
    }
    write(&plan, &directory)?;
    println!("{}", directory.join("report.html").display());
    Ok(())
}
