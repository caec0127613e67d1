//! Releases and the clock: one that stands for ever, and a clock that is wrong. Rows D3, D17 and D18. Each test has the calendar of the process
//! to itself.

use std::time::Duration;

use hotswap_engine::Verdict;
use hotswap_system::clock::move_calendar;
use hotswap_tests::hostile::Reply;
use hotswap_tests::release_world::{Carrier, MANIFEST, ReleaseWorld, at};
use hotswap_tests::siege::{Siege, chain, version};

const HOUR: Duration = Duration::from_secs(60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The same good answer until it has expired, and after that.
#[test]
fn d3_the_same_answer_is_not_good_for_ever() {
    for carrier in Carrier::ALL {
        let calendar = move_calendar();
        let mut siege = Siege::begin(carrier);
        let what = format!("{carrier:?}");
        assert!(matches!(siege.engine.sync(), Ok(Verdict::Unchanged { .. })), "{what}");
        // All releases of these tests are good for an hour.
        calendar.ahead(2 * HOUR);
        siege.withstands(&what, &["KEY", "expired at"]);
        let stale = siege.world.lines_of("detect.stale");
        assert!(!stale.is_empty(), "{what}: {:#?}", siege.world.lines());
        siege.recovers(&what);
    }
}

/// Somebody who holds back what is new cannot hold it back longer than that, whatever the server says of the bytes.
#[test]
fn d17_an_answer_without_bytes_for_ever_ends_with_the_release() {
    let calendar = move_calendar();
    let mut siege = Siege::begin(Carrier::Http);
    siege.world.publish(2);
    siege.world.server.script(&at(MANIFEST), Reply::not_modified());
    for _ in 0..3 {
        assert!(matches!(siege.engine.sync(), Ok(Verdict::Unchanged { .. })));
    }
    calendar.ahead(2 * HOUR);
    siege.withstands("304 for ever", &["KEY", "expired at"]);
    siege.recovers("304 for ever");
}

/// A clock that is a year ahead finds everything expired, and nothing stays wrong when it is right again.
#[test]
fn d18_a_clock_a_year_ahead_takes_nothing_and_costs_nothing() {
    for carrier in Carrier::ALL {
        let calendar = move_calendar();
        let mut siege = Siege::begin(carrier);
        let what = format!("{carrier:?}");
        calendar.ahead(YEAR);
        siege.world.put(&siege.world.next_with(2, |made| made.expires = now_without(YEAR)));
        siege.withstands(&what, &["KEY", "expired at"]);
        calendar.back(YEAR);
        siege.recovers(&what);
    }
}

/// When a release made now expires, as a calendar has it that is ahead by this much.
fn now_without(ahead: Duration) -> hotswap_trust::Timestamp {
    let now = hotswap_system::clock::wall() - ahead;
    hotswap_trust::Timestamp::from(now).after(HOUR)
}

/// A clock that was set back is told of, and what is expired does not come back by it.
#[test]
fn d18_a_clock_a_year_back_brings_nothing_back() {
    for carrier in Carrier::ALL {
        let calendar = move_calendar();
        let mut siege = Siege::begin(carrier);
        let what = format!("{carrier:?}");
        calendar.back(YEAR);
        siege.withstands(&what, &["KEY", "the clock says"]);
        // What is new is known to be newer than what was accepted.
        let next = siege.world.next_with(2, |made| made.expires = made.expires.after(2 * YEAR));
        siege.world.publish_release(&next);
        siege.engine.sync().unwrap_or_else(|error| panic!("{what}: {}", chain(&error)));
        assert_eq!(siege.version(), 2, "{what}");
        calendar.ahead(YEAR);
        siege.recovers(&what);
    }
}

/// Also where the program starts: what is kept runs while the clock is wrong, and what was published meanwhile when it is right.
#[test]
fn d18_a_process_starts_with_what_is_kept_while_the_clock_is_wrong() {
    for carrier in Carrier::ALL {
        for is_ahead in [true, false] {
            let calendar = move_calendar();
            let mut world = Siege::begin(carrier).end();
            world.forget("target");
            if is_ahead {
                calendar.ahead(YEAR)
            } else {
                calendar.back(YEAR)
            };
            let engine = world.engine().open();
            let engine = engine.unwrap_or_else(|error| panic!("{carrier:?}: {}", chain(&error)));
            assert_eq!(version(&engine), 1, "{carrier:?}");
            if is_ahead {
                calendar.back(YEAR)
            } else {
                calendar.ahead(YEAR)
            };
            world.publish(2);
            engine.sync().unwrap_or_else(|error| panic!("{carrier:?}: {}", chain(&error)));
            assert_eq!(version(&engine), 2, "{carrier:?}");
        }
    }
}

/// The first time of all: nothing that expired is taken by who knows nothing, and the text says why.
#[test]
fn d3_what_expired_is_no_beginning() {
    for carrier in Carrier::ALL {
        let calendar = move_calendar();
        let mut world = ReleaseWorld::new(carrier);
        world.publish(1);
        calendar.ahead(2 * HOUR);
        let error = world.engine().open().expect_err("it expired");
        assert!(chain(&error).contains("expired at"), "{}", chain(&error));
        world.publish(2);
        assert_eq!(version(&world.engine().open().expect("it is good")), 2);
    }
}
