//! `hotswap` without a command.

mod harness;

use harness::{Place, Running};

#[test]
fn it_runs_the_sample_engine_of_the_working_directory() {
    let place = Place::new("demonstration");
    // Builds go beside the lock file of this crate, so that the repository's own are left alone.
    place.new_crate("sample-engine");
    let mut running = Running::start(&mut place.hotswap(&[]));
    running
        .line("err: a demonstration: this process calls f1 and f2 of sample-engine every second");
    running.line("err: edit sample-engine/src/lib.rs while this runs, and save");
    running.line("out: call to f1");
    running.line("out: call to f2");
    running.signal("INT");
    assert_eq!(running.end().0.code(), Some(0), "{}", running.all());
}
