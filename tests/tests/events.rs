//! Row AU-7: subscribers hear of every swap once, in order, and nobody waits for them.

use crossbeam_channel::Receiver;
use hotswap_engine::{Event, ReloadErrorKind, SwapReason, VersionId};
use hotswap_tests::deadline::{PATIENCE, event, within};
use hotswap_tests::prebuilt;

/// From, to and why.
type Swap = (Option<u64>, u64, SwapReason);

fn swap_of(event: &Event) -> Option<Swap> {
    match event {
        Event::Swapped { from, to, reason, .. } => {
            Some((from.map(VersionId::number), to.number(), *reason))
        }
        _ => None,
    }
}

fn next_swap(events: &Receiver<Event>) -> Swap {
    event(events, "a swap", swap_of)
}

#[test]
fn au_7_every_swap_is_told_once_and_in_order() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let (builder, from_the_start) = prebuilt::engine(&libraries[0]).subscribe();
    let engine = builder.open().expect("opens");
    let later = engine.subscribe();
    for round in 1..=5 {
        engine.offer(&libraries[round % 2]).expect("swaps");
    }
    drop(engine);
    let swaps = |events: &Receiver<Event>| {
        events.iter().filter_map(|event| swap_of(&event)).collect::<Vec<_>>()
    };
    let offered: Vec<Swap> =
        (1..=5).map(|number| (Some(number), number + 1, SwapReason::Offered)).collect();
    assert_eq!(swaps(&later), offered);
    let mut all = vec![(None, 1, SwapReason::First)];
    all.extend(offered);
    assert_eq!(swaps(&from_the_start), all);
}

/// The number that an event tells is already current when the event arrives.
#[test]
fn au_7_an_event_is_never_early() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let events = engine.subscribe();
    let watcher = engine.clone();
    within(PATIENCE, "ten swaps, watched", move || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10 {
                    let (_, to, _) = next_swap(&events);
                    assert!(watcher.version().number() >= to);
                }
            });
            for round in 1..=10 {
                engine.offer(&libraries[round % 2]).expect("swaps");
            }
        });
    });
}

/// A subscriber that never reads delays no swap, and learns how much it missed.
#[test]
fn au_7_a_subscriber_that_never_reads_blocks_nothing() {
    let libraries = [prebuilt::numbered(1), prebuilt::numbered(2)];
    let engine = prebuilt::engine(&libraries[0]).open().expect("opens");
    let idle = engine.subscribe();
    let counter = engine.subscribe();
    let offering = engine.clone();
    let sent = within(PATIENCE, "swaps beside an idle subscriber", move || {
        let mut sent = 0;
        for round in 1..=200_usize {
            offering.offer(&libraries[round % 2]).expect("swaps");
            sent += counter.try_iter().count() as u64;
        }
        drop(offering);
        (sent, counter)
    });
    let (sent, counter) = sent;
    // Room is made, and the next events come with the number of those that are lost.
    let mut kept = idle.try_iter().count() as u64;
    engine.pause();
    drop(engine);
    let mut missed = 0;
    for event in idle.iter() {
        match event {
            Event::Missed(count) => missed += count,
            _ => kept += 1,
        }
    }
    let sent = sent + counter.iter().count() as u64;
    assert!(missed > 0, "200 swaps are more than a channel holds");
    assert_eq!(kept + missed, sent, "what was kept and what was missed is everything");
}

#[test]
fn refusals_and_pauses_are_told() {
    let engine = prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens");
    let events = engine.subscribe();
    engine.offer("/nowhere/at/all.so").expect_err("there is nothing");
    engine.pause();
    engine.resume();
    let error = event(&events, "a refusal", |event| match event {
        Event::Refused { error } => Some(error.clone()),
        _ => None,
    });
    assert!(matches!(error.kind, ReloadErrorKind::Load(_)), "{error}");
    assert!(error.to_string().ends_with("; v1 stays current"), "{error}");
    let kinds: Vec<String> = events.try_iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(kinds, ["Paused", "Resumed"]);
    drop(engine);
    let last = events.iter().last();
    assert!(matches!(last, Some(Event::Stopped)), "{last:?}");
}
