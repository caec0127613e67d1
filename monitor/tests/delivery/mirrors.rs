//! Several places, of which some are gone or lie.

use hotswap_artifact::{Fetch as _, FetchErrorKind};

use crate::world::{Mood, Shelf, World};

#[test]
fn d21_one_good_place_among_others_is_enough() {
    let world = World::new();
    let _clock = hotswap_system::clock::step_by_hand();
    let [dead, liar, old, good] = ["dead", "liar", "old", "good"].map(Shelf::new);
    let one = world.release("one", None, |_| {});
    for shelf in [&dead, &liar, &old, &good] {
        shelf.put(&one);
    }
    let client = world.client(&[&dead, &liar, &old, &good]);
    assert_eq!(client.text(), "one");
    let two = world.release("two", Some(&one), |_| {});
    for shelf in [&dead, &liar, &old] {
        shelf.content.lock().asked = 0;
    }
    dead.set(Mood::Down);
    liar.put(&two);
    liar.content.lock().manifest.as_mut().unwrap()[300] ^= 1;
    good.put(&two);
    // Each look begins elsewhere: the one that lags behind holds up some of them, and none for good.
    let (mut looks, mut newest) = (0, None);
    let asked = || [&dead, &liar, &old].iter().all(|shelf| shelf.content.lock().asked > 0);
    while newest != Some(two.fingerprint()) || !asked() {
        newest = client.releases.fingerprint().unwrap();
        looks += 1;
        assert!(looks < 1000, "each look asks in another order");
    }
    let fetched = client.fetch().unwrap();
    assert_eq!(fetched.release, Some(2));
    client.releases.fingerprint().unwrap();
    // From now on nobody is asked but who is good, for a while.
    let before = [&dead, &liar].map(|shelf| shelf.content.lock().asked);
    for _ in 0..20 {
        assert_eq!(client.releases.fingerprint().unwrap(), Some(two.fingerprint()));
    }
    assert_eq!(before, [&dead, &liar].map(|shelf| shelf.content.lock().asked));
}

#[test]
fn d21_places_that_failed_are_asked_again_later_and_when_no_other_answers() {
    let (world, [one, other]) = (World::new(), ["one", "other"].map(Shelf::new));
    // After the calendar, as all that take both.
    let clock = hotswap_system::clock::step_by_hand();
    let release = world.release("text", None, |_| {});
    other.put(&release);
    one.set(Mood::Down);
    let client = world.client(&[&one, &other]);
    while one.content.lock().asked == 0 {
        client.releases.fingerprint().unwrap();
    }
    clock.advance(std::time::Duration::from_secs(5));
    let asked = one.content.lock().asked;
    let mut looks = 0;
    while one.content.lock().asked == asked {
        client.releases.fingerprint().unwrap();
        looks += 1;
        assert!(looks < 1000, "its time is over");
    }
    // It was passed over just now, and answers when it is needed.
    one.put(&release);
    one.set(Mood::Fair);
    other.set(Mood::Down);
    assert_eq!(client.text(), "text");
}

#[test]
fn a_file_is_had_from_another_place_than_the_manifest() {
    let (world, [one, other]) = (World::new(), ["one", "other"].map(Shelf::new));
    let release = world.release("text", None, |_| {});
    one.put(&release);
    one.content.lock().files.values_mut().for_each(|file| file.push(b'!'));
    other.content.lock().files = release.files.clone();
    // The other has files and no manifest.
    assert_eq!(world.client(&[&one, &other]).text(), "text");
}

#[test]
fn when_all_fail_each_says_why_and_the_worst_counts() {
    let (world, [one, other]) = (World::new(), ["one", "other"].map(Shelf::new));
    one.set(Mood::Down);
    other.content.lock().manifest = Some(b"no manifest".to_vec());
    let client = world.client(&[&one, &other]);
    let error = client.refuses(&["cannot reach memory/one#greet", "memory/other#greet: it is no"]);
    assert_eq!(error.kind, FetchErrorKind::Refused);
    // A module that one of them never had is no module that is gone.
    other.content.lock().manifest = None;
    assert_eq!(client.refuses(&["cannot reach"]).kind, FetchErrorKind::Unavailable);
    one.set(Mood::Fair);
    assert_eq!(client.releases.fingerprint().unwrap(), None);
    let release = world.release("text", None, |_| {});
    other.put(&release);
    assert_eq!(client.text(), "text");
}
