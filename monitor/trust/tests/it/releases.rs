//! Which release a client takes, after which, and when.

use hotswap_trust::{
    CLOCK_BACK_MAX, COUNTER_JUMP_MAX, Check, CodeKind, Level, Manifest, News, Previous, Signed,
    TrustErrorKind, TrustState, Wanted,
};

use crate::harness::{
    Client, DAY, YEAR, after, key, noon, prebuilt, read, releases, verified, wanted,
};

#[test]
fn releases_are_taken_one_after_the_other() {
    let all = releases(&key(), 3);
    let mut client = Client::default();
    let mut news = |release| client.offer(release, noon()).unwrap().news();
    assert_eq!(news(&all[0]), News::First);
    assert_eq!(news(&all[0]), News::Unchanged);
    assert_eq!(news(&all[1]), News::Next);
    assert_eq!(news(&all[2]), News::Next);
    assert_eq!((client.state.counter(), client.state.manifest()), (3, Some(all[2].hash())));
}

#[test]
fn d2_an_older_release_is_refused() {
    let all = releases(&key(), 5);
    let mut client = Client::default();
    client.offer(&all[4], noon()).unwrap();
    for release in &all[..4] {
        let kind = client.refuses(release, noon());
        assert_eq!(kind, TrustErrorKind::Older { accepted: 5 });
    }
    // The same one again is no news and no error.
    assert_eq!(client.offer(&all[4], noon()).unwrap().news(), News::Unchanged);
}

#[test]
fn d2_two_releases_of_one_number_are_refused() {
    let key = key();
    let all = releases(&key, 2);
    let mut client = Client::default();
    client.offer(&all[1], noon()).unwrap();
    let mut other = Manifest::clone(&all[1]);
    other.expires = other.expires.after(DAY);
    let other = verified(&key, &other);
    let kind = client.refuses(&other, noon());
    let (accepted, found) = (all[1].hash(), other.hash());
    assert_eq!(kind, TrustErrorKind::Conflict { accepted, found });
}

/// It is a release on the same bytes: who signs counts for nothing.
#[test]
fn a_release_signed_by_another_key_as_well_is_the_same() {
    let (first, second) = (key(), key());
    let signed = first.sign(&prebuilt(b"library")).unwrap();
    let both = second.sign_also(&signed).unwrap().to_bytes();
    let mut client = Client::default();
    client.offer(&verified(&first, &prebuilt(b"library")), noon()).unwrap();
    let again = read("a", &both).verify(&second.public_keys()).unwrap();
    assert_eq!(client.offer(&again, noon()).unwrap().news(), News::Unchanged);
}

#[test]
fn d3_what_expired_is_refused_also_when_it_is_no_news() {
    let key = key();
    let all = releases(&key, 2);
    let mut client = Client::default();
    let expires = all[0].expires;
    client.offer(&all[0], expires).expect("the last second counts");
    let now = expires.after(std::time::Duration::from_secs(1));
    let kind = client.refuses(&all[0], now);
    assert_eq!(kind, TrustErrorKind::Expired { expires, now, is_remembered: false });
    Client::default().refuses(&all[0], now);
    assert_eq!(client.offer(&all[1], now).unwrap().news(), News::Next);
}

/// No signature by the right key makes a release of something else the one that was asked for.
#[test]
fn d8_a_release_of_something_else_is_refused() {
    let key = key();
    let release = verified(&key, &prebuilt(b"library"));
    type Change = fn(&mut Wanted);
    let others: [(&str, Change); 6] = [
        ("module", |wanted| wanted.module = "shout".to_owned()),
        ("channel", |wanted| wanted.channel = "beta".to_owned()),
        ("target", |wanted| wanted.target = "aarch64-unknown-linux-gnu".to_owned()),
        ("abi", |wanted| wanted.abi = "5".to_owned()),
        ("toolchain", |wanted| wanted.toolchain = "rustc 1.96.0".to_owned()),
        ("kind", |wanted| wanted.kind = Some(CodeKind::Crate)),
    ];
    for (expected, change) in others {
        let mut other = wanted();
        change(&mut other);
        let error = TrustState::default().check(&release, noon(), &other).unwrap_err();
        let TrustErrorKind::Other { what, .. } = &error.kind else { panic!("{error}") };
        assert_eq!(*what, expected);
        let text = error.to_string();
        assert!(text.contains(&key.id().to_string()) && text.contains("greet.manifest"), "{text}");
        // Nor one that the host named by its hash.
        let bytes = key.sign(&prebuilt(b"library")).unwrap().to_bytes();
        let pinned = read("a", &bytes).verify_pinned(release.hash()).unwrap();
        TrustState::default().check(&pinned, noon(), &other).unwrap_err();
    }
    // Source is for any target, boundary and compiler, unless it says otherwise.
    let mut source = prebuilt(b"");
    source.kind = CodeKind::File;
    (source.target, source.abi, source.toolchain) = (None, None, None);
    TrustState::default().check(&verified(&key, &source), noon(), &wanted()).unwrap();
    source.toolchain = Some("rustc 1.96.0".to_owned());
    TrustState::default().check(&verified(&key, &source), noon(), &wanted()).unwrap_err();
}

#[test]
fn a_gap_is_told_and_taken() {
    let all = releases(&key(), 4);
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    let news = client.offer(&all[3], noon()).unwrap().news();
    assert_eq!(news, News::Gap { accepted: 1, previous: 3 });
}

/// Two lines of releases that part somewhere: only the one that the client is on goes on.
#[test]
fn a_fork_is_refused() {
    let key = key();
    let all = releases(&key, 3);
    let mut client = Client::default();
    client.offer(&all[1], noon()).unwrap();
    let mut other_two = after(&all[0]);
    other_two.expires = other_two.expires.after(DAY);
    let other_two = verified(&key, &other_two);
    let mut forks = vec![after(&other_two)];
    // It leaves out what was accepted, or begins anew.
    for previous in [Some(Previous::new(1, all[0].hash())), None] {
        let mut fork = Manifest::clone(&all[2]);
        fork.previous = previous;
        forks.push(fork);
    }
    for fork in forks {
        let kind = client.refuses(&verified(&key, &fork), noon());
        let (accepted, hash, found) = (2, all[1].hash(), fork.previous);
        assert_eq!(kind, TrustErrorKind::Fork { accepted, hash, found });
    }
    client.offer(&all[2], noon()).expect("it goes on");
}

#[test]
fn d5_a_number_that_jumps_is_refused() {
    let key = key();
    let all = releases(&key, 2);
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    let with_counter = |counter| {
        let mut release = Manifest::clone(&all[1]);
        release.counter = counter;
        verified(&key, &release)
    };
    for counter in [2 + COUNTER_JUMP_MAX, u64::MAX] {
        let kind = client.refuses(&with_counter(counter), noon());
        assert_eq!(kind, TrustErrorKind::Jump { accepted: 1 });
    }
    client.offer(&all[1], noon()).expect("the good one is taken");
    let mut far = Client::default();
    far.offer(&all[0], noon()).unwrap();
    far.offer(&with_counter(1 + COUNTER_JUMP_MAX), noon()).expect("so far it may");
}

/// A year ahead: what is good now seems expired, and nothing is remembered of that.
#[test]
fn d18_a_clock_a_year_ahead_does_no_harm_once_it_is_right() {
    let all = releases(&key(), 2);
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    let kind = client.refuses(&all[1], noon().after(YEAR));
    assert!(matches!(kind, TrustErrorKind::Expired { is_remembered: false, .. }), "{kind}");
    client.offer(&all[1], noon()).expect("the clock is right");
}

/// Ahead, but not past the expiry: the wrong time is remembered. The next release is taken all the same, for it does not
/// expire before the one that vouched for that time.
#[test]
fn d18_a_wrong_time_that_was_remembered_holds_up_no_release() {
    let all = releases(&key(), 3);
    let mut client = Client::default();
    let wrong = all[0].expires;
    client.offer(&all[0], wrong).unwrap();
    assert_eq!(client.state.time(), wrong);
    let kind = client.refuses(&all[0], noon());
    assert_eq!(kind, TrustErrorKind::ClockBack { now: noon(), remembered: wrong });
    for release in &all[1..] {
        let accepted = client.offer(release, noon()).unwrap();
        assert_eq!(accepted.clock_back(), Some(wrong.since(noon())));
        assert_eq!(accepted.state().time(), wrong, "it does not fall");
    }
    assert_eq!(client.offer(&all[2], wrong).unwrap().clock_back(), None);
}

#[test]
fn d18_a_clock_a_year_back_makes_nothing_current_that_is_not() {
    let key = key();
    let all = releases(&key, 2);
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    // What is there is not known to be current.
    let back = "2025-01-31T12:00:00Z".parse().unwrap();
    let kind = client.refuses(&all[0], back);
    assert_eq!(kind, TrustErrorKind::ClockBack { now: back, remembered: noon() });
    // What was withheld until it expired stays expired.
    let mut withheld = Manifest::clone(&all[1]);
    withheld.expires = back.after(DAY);
    let kind = client.refuses(&verified(&key, &withheld), back);
    let expires = withheld.expires;
    assert_eq!(kind, TrustErrorKind::Expired { expires, now: noon(), is_remembered: true });
    // What is new and good is taken, and the clock told of.
    let accepted = client.offer(&all[1], back).unwrap();
    assert_eq!(accepted.clock_back(), Some(noon().since(back)));
    assert_eq!(client.offer(&all[1], noon()).unwrap().news(), News::Unchanged);
}

#[test]
fn a_clock_that_is_corrected_by_hours_is_not_told_of() {
    let all = releases(&key(), 1);
    let mut client = Client::default();
    client.offer(&all[0], noon().after(CLOCK_BACK_MAX)).unwrap();
    assert_eq!(client.offer(&all[0], noon()).unwrap().clock_back(), None);
}

/// A poll that finds nothing new has something to remember once an hour.
#[test]
fn time_is_remembered_by_the_hour() {
    let all = releases(&key(), 1);
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    let minute = std::time::Duration::from_secs(60);
    for minutes in 1..60 {
        client.offer(&all[0], noon().after(minutes * minute)).unwrap();
        assert_eq!(client.state.time(), noon());
    }
    let hour = noon().after(60 * minute);
    client.offer(&all[0], hour).unwrap();
    assert_eq!(client.state.time(), hour);
}

/// Going back is possible, being pushed back is not, and neither below the floor.
#[test]
fn d23_the_floor_never_falls_and_going_back_stops_at_it() {
    let key = key();
    let mut all = releases(&key, 4);
    let mut raised = after(&all[3]);
    raised.floor = 3;
    all.push(verified(&key, &raised));
    // A publisher who lowers it again achieves nothing.
    let mut lowered = after(&all[4]);
    lowered.floor = 0;
    all.push(verified(&key, &lowered));
    let mut client = Client::default();
    assert!(!client.state.may_run(1), "nothing was accepted");
    for release in &all[..4] {
        client.offer(release, noon()).unwrap();
    }
    let may_run = |client: &Client| {
        (0..=7).filter(|counter| client.state.may_run(*counter)).collect::<Vec<u64>>()
    };
    assert_eq!(may_run(&client), [0, 1, 2, 3, 4]);
    client.offer(&all[4], noon()).unwrap();
    assert_eq!(may_run(&client), [3, 4, 5]);
    client.offer(&all[5], noon()).unwrap();
    assert_eq!((client.state.floor(), may_run(&client)), (3, vec![3, 4, 5, 6]));
    // What may run again is not what a source may offer.
    client.refuses(&all[3], noon());
    // The host's own floor holds also where nothing is remembered.
    let mut strict = wanted();
    strict.floor = 6;
    let error = TrustState::default().check(&all[4], noon(), &strict).unwrap_err();
    assert_eq!(error.kind, TrustErrorKind::BelowFloor { floor: 6 });
    TrustState::default().check(&all[5], noon(), &strict).unwrap();
}

/// A cache serves while the source is down, however long, and the way back leads to what is kept: what was accepted, and nothing that
/// somebody put there.
#[test]
fn d14_what_is_kept_is_checked_against_what_was_accepted() {
    let key = key();
    let mut all = releases(&key, 5);
    let mut raised = after(&all[4]);
    raised.floor = 3;
    all.push(verified(&key, &raised));
    all.push(verified(&key, &after(&all[5])));
    let mut client = Client::default();
    let kept = |client: &Client, release| {
        let checked = client.state.check_kept(release, &wanted());
        checked.map_err(|error| error.kind)
    };
    let never = |accepted| Err(TrustErrorKind::NotAccepted { accepted });
    assert_eq!(kept(&client, &all[0]), never(0));
    for release in &all[..6] {
        client.offer(release, noon()).unwrap();
    }
    for below in &all[..2] {
        assert_eq!(kept(&client, below), Err(TrustErrorKind::BelowFloor { floor: 3 }));
    }
    for good in &all[2..6] {
        assert_eq!(kept(&client, good), Ok(()));
    }
    assert_eq!(kept(&client, &all[6]), never(6));
    let mut other = Manifest::clone(&all[5]);
    other.expires = other.expires.after(DAY);
    let kind = kept(&client, &verified(&key, &other)).unwrap_err();
    assert!(matches!(kind, TrustErrorKind::Conflict { .. }), "{kind}");
    let mut elsewhere = wanted();
    elsewhere.toolchain = "rustc 1.96.0".to_owned();
    client.state.check_kept(&all[5], &elsewhere).unwrap_err();
    let mut strict = wanted();
    strict.floor = 6;
    client.state.check_kept(&all[4], &strict).unwrap_err();
    client.state.check_kept(&all[5], &strict).unwrap();
}

/// After each refusal of this file and in any order: the next good release is taken.
#[test]
fn d24_no_refusal_keeps_the_next_good_release_out() {
    let key = key();
    let all = releases(&key, 6);
    let changed = |change: fn(&mut Manifest)| {
        let mut release = Manifest::clone(&all[5]);
        change(&mut release);
        verified(&key, &release)
    };
    let bad = [
        changed(|release| release.counter = u64::MAX),
        changed(|release| release.module = "shout".to_owned()),
        changed(|release| release.expires = "1999-12-31T23:59:59Z".parse().unwrap()),
        changed(|release| release.previous = None),
        changed(|release| (release.counter, release.previous) = (1, None)),
    ];
    let mut client = Client::default();
    client.offer(&all[0], noon()).unwrap();
    for good in &all[1..] {
        for release in &bad {
            client.refuses(release, noon());
            client.refuses(good, noon().after(4 * YEAR));
        }
        assert_eq!(client.offer(good, noon()).unwrap().news(), News::Next);
    }
}

#[test]
fn a_named_release_is_held_against_nothing_but_what_was_asked_for() {
    let key = key();
    let all = releases(&key, 2);
    let mut client = Client::default();
    client.offer(&all[1], noon()).unwrap();
    let bytes = key.sign(&all[0]).unwrap().to_bytes();
    let named = Signed::read("a", &bytes).unwrap().verify_pinned(all[0].hash()).unwrap();
    let before = client.state;
    let accepted = client.offer(&named, noon().after(YEAR)).unwrap();
    assert_eq!((accepted.news(), client.state), (News::Pinned, before));
}

#[test]
fn levels_say_what_they_check() {
    assert!(Level::L0 < Level::L1 && Level::L1 < Level::L2);
    assert_eq!(
        [Level::L0, Level::L1, Level::L2].map(|level| level.to_string()),
        ["L0", "L1", "L2"]
    );
    assert_eq!(Level::L0.checks(), [Check::Files, Check::Identity], "also of who believes anybody");
    let mut below: &[Check] = &[];
    for level in [Level::L0, Level::L1, Level::L2] {
        assert!(below.iter().all(|check| level.checks().contains(check)), "{level}");
        below = level.checks();
    }
    assert!(below.contains(&Check::Signature) && below.contains(&Check::Expiry));
}
