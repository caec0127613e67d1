//! What belongs with a version that was replaced together with others: calls and guards in it meet nothing newer.

use std::thread;

use hotswap_engine::testing::{Belongs, Inside};
use hotswap_engine::{Event, PinKind, VersionState};
use hotswap_tests::deadline::{event, receive, until};
use hotswap_tests::members::{Member, Members};
use hotswap_tests::{isolated, maps};

/// What belongs with a version of the first member, of the second.
fn second_of(inside: &Inside, members: &Members) -> Option<u64> {
    match inside.sibling(&members.all[1].seat) {
        Belongs::Version(version) => Some(version.number()),
        Belongs::Current => None,
        Belongs::Gone => panic!("it is gone"),
    }
}

fn unloaded(member: &Member, number: u64) {
    event(&member.events, "an unloaded version", |event| match event {
        Event::Unloaded { version } => (version.number() == number).then_some(()),
        Event::Pinned { version } => panic!("{version} is pinned"),
        _ => None,
    });
}

fn change_all(members: &mut Members, number: u64) {
    let verdicts = members.change_all(number);
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
}

#[test]
fn a_call_in_a_replaced_version_meets_what_belongs_to_it() {
    const NAME: &str = "a_call_in_a_replaced_version_meets_what_belongs_to_it";
    isolated(NAME, || {
        let mut members = Members::open(3);
        let engine = members.all[0].engine.clone();
        let call = thread::spawn(move || engine.call_with::<u64>("after", ("gate",)));
        receive(&members.at_gate, "the call");
        let inside = Inside::of(&members.all[0].engine);
        assert_eq!(second_of(&inside, &members), None, "nothing was replaced");
        for number in [2, 3] {
            change_all(&mut members, number);
            assert_eq!(second_of(&inside, &members), Some(1), "it stays with the first");
        }
        // Nobody is in the second version of any; all first ones are kept, and it is said for whom.
        let versions = members.all[1].engine.versions();
        let states: Vec<_> = versions.iter().map(|info| info.state).collect();
        use VersionState::{Current, Draining, Unloaded};
        assert_eq!(states, [Draining, Unloaded, Current]);
        let pins = &versions[0].pins;
        assert!(
            pins.iter().any(|pin| pin.kind == PinKind::Sibling && pin.origin == "v1 of a"),
            "{pins:?}"
        );
        members.gate.send(()).expect("the call waits");
        assert_eq!(call.join().expect("no panic"), Ok(1));
        members.all.iter().for_each(|member| unloaded(member, 1));
        assert_eq!(maps::executable_mappings("/stage/").len(), 3, "the current ones");
        assert_eq!(inside.sibling(&members.all[1].seat), Belongs::Gone);
    });
}

#[test]
fn a_guard_keeps_what_belongs_to_its_version() {
    let mut members = Members::open(2);
    let guard = members.all[0].engine.pin();
    let inside = Inside::of(&members.all[0].engine);
    change_all(&mut members, 2);
    assert_eq!(second_of(&inside, &members), Some(1));
    let again = members.all[0].engine.pin();
    drop(guard);
    members.all.iter().for_each(|member| unloaded(member, 1));
    assert_eq!(again.version().number(), 2);
}

#[test]
fn what_was_replaced_alone_belongs_with_what_was_current_until_the_group_came() {
    let mut members = Members::open(2);
    let guard = members.all[0].engine.pin();
    let inside = Inside::of(&members.all[0].engine);
    for at in [0, 1] {
        members.all[at].edit(2);
        members.ask(&[at]).remove(0).expect("it is alone");
    }
    assert_eq!(second_of(&inside, &members), None, "the two are no group");
    change_all(&mut members, 3);
    assert_eq!(second_of(&inside, &members), Some(2));
    drop(guard);
    members.all.iter().for_each(|member| unloaded(member, 2));
}

#[test]
fn what_is_current_again_belongs_with_what_is_current() {
    let mut members = Members::open_on(2, 1, |_, builder| builder.keep_versions(1));
    let guard = members.all[0].engine.pin();
    let inside = Inside::of(&members.all[0].engine);
    change_all(&mut members, 2);
    assert_eq!(second_of(&inside, &members), Some(1));
    members.all[0].engine.rollback().expect("it is kept");
    assert_eq!(second_of(&inside, &members), None);
    until("nobody keeps the other any more", || {
        members.all[1].engine.versions()[0].pins.is_empty()
    });
    drop(guard);
}

#[test]
fn an_engine_ends_while_its_version_is_kept_for_another() {
    const NAME: &str = "an_engine_ends_while_its_version_is_kept_for_another";
    isolated(NAME, || {
        let mut members = Members::open(2);
        let guard = members.all[0].engine.pin();
        change_all(&mut members, 2);
        let second = members.all.pop().expect("two");
        let events = second.events.clone();
        drop(second);
        event(&events, "its end", |event| matches!(event, Event::Stopped).then_some(()));
        assert_eq!(maps::executable_mappings("/stage/").len(), 3);
        drop(guard);
        until("both first versions go", || maps::executable_mappings("/stage/").len() == 1);
    });
}
