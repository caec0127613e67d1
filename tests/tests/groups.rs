//! Engines that change together: all of them, or none. Rows SW-1 and SW-6.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, unbounded};
use hotswap_engine::audit::{Change, Finding, FindingKind, Outcome, trail, verify};
use hotswap_engine::{CapPolicy, Engine, Event, LoadErrorKind, ReloadErrorKind};
use hotswap_tests::deadline::{PATIENCE, event, receive, until};
use hotswap_tests::members::{Member, Members, kept_out, odd};
use hotswap_tests::{isolated, maps};

/// Every load hook that is refused, and how.
fn load_error(error: &ReloadErrorKind) -> &LoadErrorKind {
    match error {
        ReloadErrorKind::Load(error) => &error.kind,
        other => panic!("{other:?}"),
    }
}

fn refused(events: &Receiver<Event>) -> String {
    event(events, "a refusal", |event| match event {
        Event::Refused { error } => Some(error.to_string()),
        _ => None,
    })
}

fn swapped(member: &Member) {
    event(&member.events, "a swap", |event| matches!(event, Event::Swapped { .. }).then_some(()));
}

/// The first version of each is no swap to wait for.
fn opened(members: &Members) {
    members.all.iter().for_each(swapped);
}

#[test]
fn sw_6_what_changed_together_becomes_current_together() {
    let mut members = Members::open(3);
    assert!(members.change_all(2).iter().all(Result::is_ok));
    assert_eq!(members.versions(), [2, 2, 2]);
    let intents = members.lines("group.intent");
    let of = |line: &hotswap_tests::LogLine, key| line.field(key).to_owned();
    let named: Vec<_> = intents.iter().map(|line| of(line, "members")).collect();
    assert_eq!(named, ["a,b,c"; 3]);
    let commits = members.lines("swap.commit");
    let latest = &commits[3..];
    let engines: Vec<_> = latest.iter().map(|line| of(line, "engine")).collect();
    assert_eq!(engines, ["a", "b", "c"], "dependents come after dependencies");
    let joined: Vec<_> = intents.iter().map(|line| of(line, "tx")).collect();
    assert_eq!(latest.iter().map(|line| of(line, "tx")).collect::<Vec<_>>(), joined);
    let announced = members.lines("swap.intent").last().expect("three").seq;
    assert!(announced < latest[0].seq, "all is announced before the first of it is current");
}

#[test]
fn sw_1_no_reader_sees_a_mixed_pair() {
    const READERS: usize = 2;
    let mut members = Members::open(8);
    let is_over = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    let (crew, engines) = (members.crew.clone(), members.all.iter());
    let engines: Vec<_> = engines.map(|member| member.engine.clone()).collect();
    thread::scope(|scope| {
        let read = || {
            let (first, last) = (&engines[0], &engines[7]);
            while !is_over.load(Ordering::Acquire) {
                let pinning = crew.pinning();
                let pair = (last.pin(), first.pin());
                drop(pinning);
                let version = |guard: &hotswap_engine::Guard| guard.call_with::<u64>("version", ());
                assert_eq!(version(&pair.0), version(&pair.1));
                looks.fetch_add(1, Ordering::Release);
            }
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        for number in 2..22 {
            let before = looks.load(Ordering::Acquire);
            assert!(members.change_all(1 + number % 2).iter().all(Result::is_ok));
            until("readers look", || {
                looks.load(Ordering::Acquire) > before || readers.iter().any(|it| it.is_finished())
            });
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn sw_6_a_veto_undoes_the_others_and_tells_them() {
    for (culprit, bad) in
        [(2, odd::VETO), (1, odd::PANIC), (0, odd::VETO), (2, odd::SHORT), (1, odd::SHORT)]
    {
        let mut members = Members::open(3);
        opened(&members);
        let other = || members.all[culprit].engine.function::<fn() -> u64>("other");
        let _handle = (bad == odd::SHORT).then(|| other().expect("exported"));
        let name = ["a", "b", "c"][culprit];
        let edits: Vec<_> = (0..3).map(|at| (at, if at == culprit { bad } else { 2 })).collect();
        let verdicts = members.change(&edits);
        assert_eq!(members.versions(), [1, 1, 1]);
        for (at, verdict) in verdicts.iter().enumerate() {
            let events = &members.all[at].events;
            if at == culprit {
                let error = verdict.as_ref().expect_err("refused");
                match (bad, load_error(&error.kind)) {
                    (odd::SHORT, LoadErrorKind::Missing { .. }) => {}
                    (odd::VETO | odd::PANIC, LoadErrorKind::Hook { .. }) => {}
                    (_, other) => panic!("{other:?}"),
                }
                assert_eq!(refused(events), error.to_string());
            } else {
                let (member, error) = kept_out(verdict);
                assert_eq!(member, name);
                load_error(&error.kind);
                assert!(refused(events).contains(&format!("together with {name}")));
            }
        }
        // Those before it were loaded; of those behind it nothing was.
        let undone: Vec<_> = members.lines("swap.abort");
        let undone: Vec<_> = undone.iter().map(|line| line.field("engine")).collect();
        assert_eq!(undone, &["a", "b", "c"][..culprit], "{bad}");
        let loaded = culprit + usize::from(bad != odd::SHORT);
        assert_eq!(members.lines("load.undone").len(), loaded, "all are gone when it is told");
        // The culprit's alone; and a handle may be dropped, so that it can run after all.
        let quarantined = usize::from(bad != odd::SHORT);
        assert_eq!(members.lines("quarantine.add").len(), quarantined);
        // Whatever was announced has an outcome.
        let findings = verify(members.log()).expect("readable").findings;
        let is_open = |finding: &&Finding| matches!(finding.kind, FindingKind::Unfinished { .. });
        assert_eq!(findings.iter().filter(is_open).count(), 0, "{findings:?}");

        // Asked again, none of them goes without it.
        let others: Vec<_> = (0..3).filter(|at| *at != culprit).collect();
        for verdict in members.ask(&others) {
            assert_eq!(kept_out(&verdict).0, name);
        }
        assert_eq!(members.versions(), [1, 1, 1]);

        // Mended, it takes the others with it.
        members.all[culprit].edit(3);
        members.ask(&[culprit]).remove(0).expect("it can run");
        let expected: Vec<_> = (0..3).map(|at| if at == culprit { 3 } else { 2 }).collect();
        assert_eq!(members.versions(), expected);
        assert!(members.change_all(4).iter().all(Result::is_ok));
        assert_eq!(members.versions(), [4, 4, 4]);
    }
}

#[test]
fn sw_6_state_is_what_it_was_when_another_members_migration_fails() {
    let mut members = Members::open_on(2, odd::STATE, |_, builder| builder.provide("wait", || {}));
    let increment = |members: &Members| -> Vec<u64> {
        let increment = |member: &Member| member.engine.call_with("increment", ());
        members.all.iter().map(|member| increment(member).expect("exported")).collect()
    };
    assert_eq!(increment(&members), [1, 1]);
    let states = |members: &Members| -> Vec<_> {
        members.all.iter().map(|member| member.engine.states()).collect()
    };
    let before = states(&members);
    let verdicts = members.change(&[(0, odd::MIGRATED), (1, odd::BAD_STEP)]);
    let (member, _) = kept_out(&verdicts[0]);
    assert_eq!(member, "b");
    assert!(matches!(
        load_error(&verdicts[1].as_ref().expect_err("its step fails").kind),
        LoadErrorKind::State { .. }
    ));
    assert_eq!(states(&members), before);
    assert_eq!(increment(&members), [2, 2], "nothing is locked");
    members.all[1].edit(odd::MIGRATED);
    members.ask(&[1]).remove(0).expect("it can run");
    assert_eq!(increment(&members), [3, 3]);
    let forms = states(&members).iter().map(|states| states[0].version).collect::<Vec<_>>();
    assert_eq!(forms, [2, 2]);
}

#[test]
fn sw_6_a_member_that_does_not_compile_is_waited_for() {
    let mut members = Members::open(3);
    opened(&members);
    members.begin_change(&[(0, 2), (1, 2), (2, 2)]);
    members.all[1].break_source();
    let verdicts = members.ask(&[0, 1, 2]);
    assert!(matches!(
        verdicts[1].as_ref().expect_err("it does not compile").kind,
        ReloadErrorKind::Build(_)
    ));
    assert_eq!(kept_out(&verdicts[0]).0, "b");
    assert_eq!(kept_out(&verdicts[2]).0, "b");
    assert_eq!(members.lines("load.intent").len(), 3, "nothing is loaded but what was opened");
    let told = trail(members.log()).expect("readable");
    let is_held = |change: &&Change| matches!(&change.outcome, Outcome::Refused { code, .. } if code == "group");
    assert_eq!(told.changes.iter().filter(is_held).count(), 2, "{told:#?}");
    // Asked again, they say the same, and nothing is built or written.
    let told = members.lines("swap.refused").len();
    assert_eq!(kept_out(&members.ask(&[0]).remove(0)).0, "b");
    assert_eq!(members.lines("swap.refused").len(), told);
    // Something newer takes the place of what waits.
    members.all[0].edit(5);
    assert_eq!(kept_out(&members.ask(&[0]).remove(0)).0, "b");
    assert_eq!(members.versions(), [1, 1, 1]);
    members.all[1].edit(3);
    members.ask(&[1]).remove(0).expect("it compiles");
    assert_eq!(members.versions(), [5, 3, 2]);
    for member in &members.all {
        swapped(member);
    }
    // From here on each is its own again.
    members.all[2].edit(6);
    members.ask(&[2]).remove(0).expect("it is alone");
    assert_eq!(members.versions(), [5, 3, 6]);
}

#[test]
fn sw_6_two_culprits_are_waited_for_both() {
    let mut members = Members::open(3);
    members.begin_change(&[(0, 2), (1, 2), (2, 2)]);
    members.all[0].break_source();
    members.all[1].break_source();
    members.ask(&[0, 1, 2]);
    members.all[0].edit(3);
    assert_eq!(kept_out(&members.ask(&[0]).remove(0)).0, "b");
    // An edit that is taken back.
    members.all[1].edit(1);
    members.ask(&[1]).remove(0).expect("it is what runs");
    until("the others become current with it", || members.versions() == [3, 1, 2]);
}

#[test]
fn a_pause_of_one_member_holds_up_all_and_its_end_lets_all_in() {
    let mut members = Members::open(2);
    members.all[1].engine.pause();
    let verdicts = members.change_all(2);
    assert_eq!(kept_out(&verdicts[0]).0, "b");
    assert!(matches!(
        verdicts[1].as_ref().expect_err("it is paused").kind,
        ReloadErrorKind::Paused
    ));
    assert_eq!(members.versions(), [1, 1]);
    members.all[1].engine.resume();
    assert_eq!(members.versions(), [2, 2], "who resumes finds it done");
}

#[test]
fn a_frozen_member_keeps_all_what_they_are() {
    let mut members = Members::open(2);
    members.all[0].engine.freeze();
    let verdicts = members.change_all(2);
    assert!(matches!(
        verdicts[0].as_ref().expect_err("it is frozen").kind,
        ReloadErrorKind::Frozen
    ));
    assert_eq!(kept_out(&verdicts[1]).0, "a");
    assert_eq!(members.versions(), [1, 1]);
}

#[test]
fn who_aborts_one_member_aborts_all() {
    let mut members = Members::open(2);
    members.begin_change(&[(0, 2), (1, odd::GATED)]);
    members.all.iter().for_each(|member| member.engine.wake());
    receive(&members.at_gate, "the load hook of the second");
    members.all[1].engine.abort().expect("it is under way");
    members.gate.send(()).expect("the hook waits");
    event(&members.all[0].events, "the end of the other", |event| match event {
        Event::Refused { error } => {
            matches!(error.kind, ReloadErrorKind::Group { .. }).then_some(())
        }
        _ => None,
    });
    assert_eq!(members.versions(), [1, 1]);
    members.all[1].edit(3);
    members.ask(&[1]).remove(0).expect("it can run");
    assert_eq!(members.versions(), [2, 3]);
}

#[test]
fn what_waits_for_others_may_be_aborted() {
    let mut members = Members::open(2);
    members.change(&[(0, 2), (1, odd::VETO)]);
    members.all[0].engine.abort().expect("it waits");
    members.all[1].edit(3);
    assert_eq!(kept_out(&members.ask(&[1]).remove(0)).0, "a");
    assert_eq!(members.versions(), [1, 1]);
    members.all[0].edit(4);
    members.ask(&[0]).remove(0).expect("it can run");
    assert_eq!(members.versions(), [4, 3]);
}

#[test]
fn what_has_come_of_a_group_may_be_aborted_before_the_rest_comes() {
    let mut members = Members::open(2);
    members.begin_change(&[(0, 2), (1, 2)]);
    members.all[0].engine.wake();
    event(&members.all[0].events, "a build", |event| {
        matches!(event, Event::BuildStarted { .. }).then_some(())
    });
    // The first was stored when it was opened.
    let of_a = |line: &&hotswap_tests::LogLine| line.field("engine") == "a";
    until("it is stored", || members.lines("store.ok").iter().filter(of_a).count() == 2);
    members.all[0].engine.abort().expect("it waits for the other");
    assert_eq!(kept_out(&members.ask(&[1]).remove(0)).0, "a");
    assert_eq!(members.versions(), [1, 1]);
}

#[test]
fn a_crowd_of_one_member_holds_up_all_until_there_is_room() {
    let set = |at, builder: hotswap_engine::EngineBuilder| match at {
        1 => builder.max_extra_versions(1, CapPolicy::Queue),
        _ => builder,
    };
    let mut members = Members::open_on(2, 1, set);
    let guard = members.all[1].engine.pin();
    assert!(members.change_all(2).iter().all(Result::is_ok));
    let verdicts = members.change_all(3);
    assert_eq!(kept_out(&verdicts[0]).0, "b");
    assert!(matches!(
        verdicts[1].as_ref().expect_err("there is no room").kind,
        ReloadErrorKind::Crowded(_)
    ));
    assert_eq!(members.versions(), [2, 2]);
    drop(guard);
    until("both are let in", || members.versions() == [3, 3]);
}

#[test]
fn who_is_closed_is_waited_for_no_longer() {
    let mut members = Members::open(3);
    members.change(&[(0, 2), (1, 2), (2, odd::VETO)]);
    drop(members.all.pop());
    until("the others go without it", || members.versions() == [2, 2]);
    // And before its message has come.
    members.begin_change(&[(0, 3), (1, 3)]);
    members.all[0].engine.wake();
    until("it is handed over", || members.lines("store.ok").len() >= 6);
    drop(members.all.pop());
    until("it goes alone", || members.versions() == [3]);
}

#[test]
fn nothing_becomes_current_in_an_engine_that_is_closed_meanwhile() {
    const NAME: &str = "nothing_becomes_current_in_an_engine_that_is_closed_meanwhile";
    isolated(NAME, || {
        // Nobody needs to ask: requests wait for the thread as well.
        let period = Duration::from_millis(20);
        let (enter, entered) = unbounded();
        let (close, closed) = unbounded::<Engine>();
        let mut members = Members::open_on(3, 1, |_, builder| {
            let (enter, closed) = (enter.clone(), closed.clone());
            // A hook that drops an engine does not wait for its end.
            builder.poll_every(period).provide("gate", move || {
                enter.send(()).expect("the test listens");
                drop(closed.recv_timeout(PATIENCE));
            })
        });
        // The thread of all waits for this hook: what happens meanwhile comes at once.
        members.all[2].edit(odd::GATED);
        receive(&entered, "the load hook of the third");
        members.begin_change(&[(0, 2), (1, 2)]);
        until("both are built", || members.lines("store.ok").len() == 6);
        let second = members.all.remove(1);
        // What was built of it stays where it is.
        close.send(second.engine).expect("the hook waits");
        event(&second.events, "its end", |event| matches!(event, Event::Stopped).then_some(()));
        until("the other goes alone", || members.versions() == [2, 2]);
        assert_eq!(maps::executable_mappings("/stage/").len(), 2, "of the closed one none");
        assert_eq!(members.lines("swap.commit").len(), 5, "three were opened, two changed");
    });
}

#[test]
fn a_call_that_blocks_holds_up_no_group() {
    let mut members = Members::open(2);
    let engine = members.all[0].engine.clone();
    let blocked = thread::spawn(move || engine.call_with::<u64>("after", ("gate",)));
    receive(&members.at_gate, "the call");
    assert!(members.change_all(2).iter().all(Result::is_ok));
    assert_eq!(members.versions(), [2, 2]);
    members.gate.send(()).expect("the call waits");
    assert_eq!(blocked.join().expect("no panic"), Ok(1), "it stays in its version");
}

#[test]
fn a_rollback_is_of_one_member() {
    let mut members = Members::open_on(2, 1, |_, builder| {
        builder.keep_versions(1).settle(Duration::from_millis(10))
    });
    assert!(members.change_all(2).iter().all(Result::is_ok));
    members.change(&[(0, 3), (1, odd::VETO)]);
    members.all[0].engine.rollback().expect("there is one");
    assert_eq!(members.versions(), [1, 2]);
    // What waits goes on waiting, and goes on with the other.
    members.all[1].edit(4);
    members.ask(&[1]).remove(0).expect("it can run");
    assert_eq!(members.versions(), [3, 4]);
}

#[test]
fn nothing_is_left_of_groups_that_were_undone() {
    const NAME: &str = "nothing_is_left_of_groups_that_were_undone";
    isolated(NAME, || {
        let mut members = Members::open(2);
        members.change(&[(0, 2), (1, odd::VETO)]);
        assert_eq!(maps::executable_mappings("/stage/").len(), 2);
        drop(members);
        assert_eq!(maps::executable_mappings("/stage/"), Vec::<String>::new());
    });
}
