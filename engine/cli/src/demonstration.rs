//! `hotswap` alone: the demonstration on sample-engine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::CommandFactory as _;

use crate::arguments::{Arguments, RunArguments};
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::run;
use crate::screen::Screen;

/// The exit code of a command line that makes no sense, as clap has it.
const USAGE: u8 = 2;

/// Runs sample-engine of the working directory or of this repository; prints the help where there is none.
pub(crate) fn demonstrate(screen: &Arc<Screen>) -> Result<ExitCode, Failure> {
    let Some(sample) = sample_engine() else {
        screen.print(&Arguments::command().render_help().to_string());
        return Ok(ExitCode::from(USAGE));
    };
    let file = sample.join("src/lib.rs");
    screen.print(&format!(
        "a demonstration: this process calls f1 and f2 of {} every second\nedit {} while this runs, and save",
        sample.display(),
        file.display(),
    ));
    run::run(&RunArguments::calling(sample, &["f1", "f2"]), screen, &Interrupts::install()?)
}

fn sample_engine() -> Option<PathBuf> {
    let here = Path::new("sample-engine").to_owned();
    let of_repository = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../sample-engine"));
    let is_crate = |path: &Path| path.join("Cargo.toml").is_file();
    if is_crate(&here) {
        return Some(here);
    }
    of_repository.canonicalize().ok().filter(|path| is_crate(path))
}
