//! How long a source must stand still, where events tell of it. The clock stands still, so that the wait can be read off.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::Receiver;
use hotswap_monitor::{Monitor, Notification, Outcome, Trigger};
use hotswap_system::clock::{Stepped, step_by_hand};
use hotswap_tests::deadline::{PATIENCE, receive, until};
use hotswap_tests::isolated;
use tempfile::TempDir;

const USUAL: Duration = Duration::from_millis(20);

/// A library that lies in a directory of its own, which is watched.
struct Place {
    directory: TempDir,
    monitor: Monitor,
    notifications: Receiver<Notification>,
}

impl Place {
    /// A monitor that has looked at everything, and to which nothing has happened for long.
    fn at_rest(settle: Option<Duration>) -> (Self, Stepped) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let library = directory.path().join("libgame.so");
        fs::write(&library, "one").expect("ours");
        let mut builder =
            Monitor::builder(library).wake_on_events().poll_every(Duration::from_secs(3_600));
        if let Some(settle) = settle {
            builder = builder.settle(settle);
        }
        let (monitor, notifications) = builder.start().expect("it starts");
        let place = Self { directory, monitor, notifications };
        place.next("the first version");
        let asked = place.monitor.scan(Trigger::Manual);
        while place.next("an answer").through < asked {}
        let clock = step_by_hand();
        clock.advance(Duration::from_secs(60));
        (place, clock)
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("libgame.so")
    }

    fn next(&self, what: &str) -> Notification {
        receive(&self.notifications, what)
    }

    /// Lets time pass until what lies there was handed over.
    fn is_found(&self, clock: &Stepped) {
        while self.notifications.is_empty() {
            assert!(clock.wait_for_timer(PATIENCE));
            clock.advance_to_next_within(USUAL);
        }
        assert!(matches!(self.next("it").outcome, Outcome::Ready(_)));
    }
}

/// How long the monitor is about to wait.
fn wait(clock: &Stepped) -> Duration {
    loop {
        assert!(clock.wait_for_timer_in("watch/settle.rs", PATIENCE));
        let timers = clock.timers();
        // It may have been woken since.
        if let Some(settling) = timers.iter().find(|timer| timer.file.ends_with("watch/settle.rs"))
        {
            return settling.left;
        }
    }
}

fn replace(library: &Path, text: &str) {
    // Elsewhere: of what is written there nobody is told.
    let elsewhere = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(elsewhere.path(), text).expect("ours");
    elsewhere.persist(library).expect("one file system");
}

#[test]
fn a_complete_save_is_waited_for_less_and_a_burst_is_not() {
    isolated("a_complete_save_is_waited_for_less_and_a_burst_is_not", || {
        let (place, clock) = Place::at_rest(None);
        fs::write(place.library(), "two").expect("ours");
        assert!(wait(&clock) < USUAL / 2, "closed after writing");
        // One write after the other, and no time passes.
        let mut number = 0;
        until("the usual wait", || {
            number += 1;
            fs::write(place.library(), format!("three {number}")).expect("ours");
            wait(&clock) == USUAL
        });
        place.is_found(&clock);
        clock.advance(Duration::from_secs(1));
        replace(&place.library(), "four");
        assert!(wait(&clock) < USUAL / 2, "renamed after writing");
        place.is_found(&clock);
    });
}

#[test]
fn a_file_that_is_written_and_open_is_waited_for_as_usual() {
    isolated("a_file_that_is_written_and_open_is_waited_for_as_usual", || {
        let (place, clock) = Place::at_rest(None);
        let mut file = File::create(place.library()).expect("ours");
        file.write_all(b"half").expect("ours");
        place.monitor.wake();
        assert_eq!(wait(&clock), USUAL);
        // The close is an event, a reason to look once more, and then all is complete.
        drop(file);
        until("a shorter wait", || wait(&clock) < USUAL / 2);
        place.is_found(&clock);
    });
}

#[test]
fn a_settle_time_that_somebody_wants_is_what_is_waited() {
    isolated("a_settle_time_that_somebody_wants_is_what_is_waited", || {
        let wanted = Duration::from_millis(35);
        let (place, clock) = Place::at_rest(Some(wanted));
        fs::write(place.library(), "two").expect("ours");
        assert_eq!(wait(&clock), wanted);
    });
}
