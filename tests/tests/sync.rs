//! CD-2 with the real compiler and a running engine: what was written before `sync` is what runs after it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crossbeam_channel::bounded;
use hotswap_tests::deadline::receive;
use hotswap_tests::{CrateFixture, versioned};

/// Rounds of edits; each is one build or two.
const ROUNDS: u64 = 5;
/// Edits of each writer in a round.
const EDITS: u64 = 12;
const FILES: [&str; 2] = ["left", "right"];

/// A text with this number; all have the same length.
fn text(number: u64) -> String {
    format!("pub const NUMBER: u64 = {number};\n")
}

/// Saves in place, by renaming, by deleting first, or with a backup, in turn.
fn save(path: &Path, text: &str, way: u64) {
    let beside = |extension: &str| path.with_extension(extension);
    match way % 4 {
        0 => fs::write(path, text).expect("ours"),
        1 => {
            fs::write(beside("tmp"), text).expect("ours");
            fs::rename(beside("tmp"), path).expect("ours");
        }
        2 => {
            fs::remove_file(path).expect("ours");
            fs::write(path, text).expect("ours");
        }
        _ => {
            fs::rename(path, beside("rs~")).expect("ours");
            fs::write(path, text).expect("ours");
        }
    }
}

#[test]
fn cd_2_what_was_written_before_a_sync_runs_after_it() {
    let source = versioned(0)
        .replace("#[export]", "mod left;\nmod right;\n#[export]\npub fn numbers() -> (u64, u64) {\n    (left::NUMBER, right::NUMBER)\n}\n#[export]");
    let module = CrateFixture::new("cd_2", &source);
    let path = |name: &str| module.path().join(format!("src/{name}.rs"));
    for name in FILES {
        fs::write(path(name), text(100)).expect("ours");
    }
    let engine = module.engine().open().expect("opens");
    let numbers = || engine.call_with::<(u64, u64)>("numbers", ()).expect("exported");
    assert_eq!(numbers(), (100, 100));
    let completed = FILES.map(|_| AtomicU64::new(100));
    thread::scope(|scope| {
        // Dropped when a look fails, which ends the writers.
        let mut steps = Vec::new();
        let (done, is_done) = bounded(FILES.len());
        for (name, completed) in FILES.into_iter().zip(&completed) {
            let (path, done) = (path(name), done.clone());
            let (step, wanted) = bounded::<u64>(1);
            steps.push(step);
            scope.spawn(move || {
                let mut number = 100;
                while let Ok(edits) = wanted.recv() {
                    for _ in 0..edits {
                        number += 1;
                        save(&path, &text(number), number);
                        // Release pairs with the Acquire of who asks.
                        completed.store(number, Ordering::Release);
                    }
                    done.send(()).expect("who asks waits");
                }
            });
        }
        let write = |edits: u64| steps.iter().for_each(|step| step.send(edits).expect("it waits"));
        let written = || (0..FILES.len()).for_each(|_| receive(&is_done, "the end of the edits"));
        for _ in 0..ROUNDS {
            write(EDITS / 2);
            written();
            // These fall into the look, or into the build.
            write(EDITS / 2);
            let before = completed.each_ref().map(|number| number.load(Ordering::Acquire));
            engine.sync().expect("every text compiles");
            let (left, right) = numbers();
            assert!(left >= before[0] && right >= before[1], "{left}, {right}: before {before:?}");
            written();
            // Nobody writes any more.
            let last = completed.each_ref().map(|number| number.load(Ordering::Acquire));
            engine.sync().expect("every text compiles");
            assert_eq!(numbers(), (last[0], last[1]));
        }
    });
    assert_eq!(numbers(), (100 + ROUNDS * EDITS, 100 + ROUNDS * EDITS));
}
