//! Whichever step of a group fails, all of it is what it was or all of it is new. Rows SW-6 and LO-3.

use hotswap_system::fault::{self, Fault, Manner, Operation, Site, Times};
use hotswap_tests::deadline::until;
use hotswap_tests::isolated;
use hotswap_tests::members::Members;

/// What runs in each, at one moment.
fn at_once(members: &Members) -> Vec<u64> {
    let pinning = members.crew.pinning();
    let guards: Vec<_> = members.all.iter().map(|member| member.engine.pin()).collect();
    drop(pinning);
    guards.iter().map(|guard| guard.call_with("version", ()).expect("exported")).collect()
}

/// Makes a step fail while two change together, and nothing after that.
fn run(site: Site, times: Times, manner: Manner) {
    let what = || format!("{manner:?} of {site}, {times:?}");
    let mut members = Members::open(2);
    let watching = fault::watch();
    watching.inject(Fault { site, times, manner });
    members.change_all(2);
    let versions = at_once(&members);
    assert!(versions == [1, 1] || versions == [2, 2], "{versions:?} after {}", what());
    watching.heal();
    members.change_all(3);
    until(&format!("all goes on after {}", what()), || at_once(&members) == [3, 3]);
}

/// The steps that the swappers take for a group of two, and how often.
fn steps() -> Vec<(Site, u64)> {
    let mut members = Members::open(2);
    let watching = fault::watch();
    assert!(members.change_all(2).iter().all(Result::is_ok));
    let passed = watching.passed().into_iter();
    // How the log and the state of other processes fail has tests of its own.
    let is_ours =
        |site: &Site| site.file.starts_with("engine/src/") && !site.file.contains("/audit/");
    passed.filter(|(site, _)| is_ours(site)).collect()
}

#[test]
fn sw_6_every_step_of_a_group_may_fail_once() {
    const NAME: &str = "sw_6_every_step_of_a_group_may_fail_once";
    isolated(NAME, || {
        let steps = steps();
        assert!(steps.len() > 5, "{steps:?}");
        for (site, count) in steps {
            // The last of them is another member's than the first.
            run(site, Times::Once(count - 1), Manner::Error);
        }
    });
}

#[test]
fn sw_6_every_step_of_a_group_may_panic() {
    const NAME: &str = "sw_6_every_step_of_a_group_may_panic";
    isolated(NAME, || {
        for (site, count) in steps() {
            match site.operation {
                // Between any two steps.
                Operation::Pass => {
                    (0..count).for_each(|at| run(site, Times::Once(at), Manner::Panic));
                }
                _ => run(site, Times::Once(count - 1), Manner::Panic),
            }
        }
    });
}
