//! Clocks that are wrong, and answers that stay the same.

use hotswap_artifact::{Fetch as _, FetchErrorKind};
use hotswap_trust::Timestamp;

use crate::world::{DAY, Mood, Shelf, World};

#[test]
fn d3_d17_the_same_answer_for_ever_is_stale_when_it_expires() {
    for mood in [Mood::Fair, Mood::Same] {
        let (world, shelf) = (World::new(), Shelf::new("a"));
        let one = world.release("one", None, |_| {});
        shelf.put(&one);
        let client = world.client(&[&shelf]);
        assert_eq!(client.text(), "one");
        shelf.set(mood);
        world.calendar.ahead(29 * DAY);
        assert_eq!(client.releases.fingerprint().unwrap(), Some(one.fingerprint()));
        world.calendar.ahead(2 * DAY);
        for _ in 0..2 {
            assert_eq!(client.refuses(&["release 1", "expired at"]).kind, FetchErrorKind::Stale);
        }
        // Who begins goes on with what it has, and says why.
        let restarted = world.client(&[&shelf]);
        let shelf_is_mute = mood == Mood::Same;
        let note = restarted.look().unwrap().note;
        let why = if shelf_is_mute { "gave nothing yet" } else { "expired at" };
        assert!(note.contains("from the cache") && note.contains(why), "{note}");
        shelf.set(Mood::Fair);
        shelf.put(&world.release("two", Some(&one), |_| {}));
        assert_eq!(client.text(), "two");
    }
}

#[test]
fn d18_a_clock_that_is_a_year_off() {
    let (world, shelf) = (World::new(), Shelf::new("a"));
    let one = world.release("one", None, |_| {});
    shelf.put(&one);
    let client = world.client(&[&shelf]);
    assert_eq!(client.text(), "one");
    world.calendar.ahead(365 * DAY);
    assert_eq!(client.refuses(&["expired"]).kind, FetchErrorKind::Stale);
    world.calendar.back(365 * DAY);
    assert_eq!(client.text(), "one");
    let expires = Timestamp::now().after(90 * DAY);
    world.calendar.back(365 * DAY);
    assert_eq!(client.refuses(&["the clock says", "set it"]).kind, FetchErrorKind::Stale);
    // Of what is new it is known that it is later than what was accepted.
    let two = world.release("two", Some(&one), |manifest| manifest.expires = expires);
    shelf.put(&two);
    let fetched = client.look().unwrap();
    assert!(fetched.release == Some(2) && fetched.note.contains("days behind"), "{}", fetched.note);
    world.calendar.ahead(365 * DAY);
    shelf.put(&world.release("three", Some(&two), |manifest| manifest.expires = expires));
    assert_eq!(client.text(), "three");
}
