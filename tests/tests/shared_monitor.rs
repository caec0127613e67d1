//! What many sources on one monitor cost in threads.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use hotswap_monitor::{Monitor, Outcome, SharedMonitor, Source};
use hotswap_tests::isolated;

/// How many sources there are.
const SOURCES: usize = 200;

const PATIENCE: Duration = Duration::from_secs(120);

/// How many threads this process has of each name that is ours.
fn threads() -> BTreeMap<String, usize> {
    let mut threads = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("this is Linux") {
        // One that ends meanwhile has no name any more.
        let name =
            fs::read_to_string(task.expect("it is listed").path().join("comm")).unwrap_or_default();
        if name.starts_with("hotswap") {
            *threads.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    threads
}

/// Waits until there are these threads and no others.
fn has_threads(expected: &[(&str, usize)]) {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let begin = std::time::Instant::now();
    while threads() != expected {
        assert!(begin.elapsed() < PATIENCE, "{:?}", threads());
        std::thread::yield_now();
    }
}

#[test]
fn two_hundred_sources_at_rest_take_one_thread_and_a_few_while_they_change() {
    let name = "two_hundred_sources_at_rest_take_one_thread_and_a_few_while_they_change";
    isolated(name, || {
        let directory = tempfile::tempdir().unwrap();
        let library = |number| directory.path().join(format!("lib{number}.so"));
        let shared = SharedMonitor::start(Duration::from_millis(5)).unwrap();
        let start = |number: usize| {
            fs::write(library(number), format!("{number}")).unwrap();
            let source = Source::Prebuilt(library(number));
            Monitor::builder(source).start_on(&shared).unwrap()
        };
        let monitors: Vec<_> = (0..SOURCES).map(start).collect();
        for round in 0..3 {
            for (_, notifications) in &monitors {
                let told = notifications.recv_timeout(PATIENCE).unwrap();
                assert!(matches!(told.outcome, Outcome::Ready(_)));
                let looking = threads().get("hotswap-look").copied().unwrap_or_default();
                // Four at a time, and those that are just ending.
                assert!(looking < SOURCES / 10, "{looking} rounds at a time");
            }
            has_threads(&[("hotswap-monitor", 1)]);
            for number in (0..SOURCES).filter(|_| round < 2) {
                let unfinished = tempfile::NamedTempFile::new_in(&directory).unwrap();
                fs::write(unfinished.path(), format!("{number} {round}")).unwrap();
                unfinished.persist(library(number)).unwrap();
            }
        }
        drop(shared);
        has_threads(&[("hotswap-monitor", 1)]);
        drop(monitors);
        has_threads(&[]);
    });
}
