//! Every step of a change fails, each time that it is taken: what runs goes on, the reason is told, nothing is left
//! behind, and what was saved runs as soon as the step can be taken again.
//!
//! A clean run tells which steps there are. Each test has a process of its own: the steps of a process are counted
//! together.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hotswap_engine::{Engine, Event, ReloadError, Verdict, VersionState};
use hotswap_system::fault::{self, Fault, Manner, Operation, Site, Times, Watching};
use hotswap_tests::deadline::{until, within};
use hotswap_tests::fault_case::{Case, WORKS, Work};
use hotswap_tests::fault_world::{
    FaultWorld, children, engine_threads, says_why, text_of_panic, until_all_threads_ended,
};
use hotswap_tests::{LogLine, isolated, log_lines, prebuilt};

/// How long one run may take before it counts as hanging; most take a tenth of a second.
const RUN_MAX: Duration = Duration::from_secs(60);

/// How often a step that is taken again and again is made to fail: the first times and the last.
const FIRST_TIMES: u64 = 4;
const LAST_TIMES: u64 = 2;

/// The same for a panic: where it lands does not depend on the number.
const FIRST_PANICS: u64 = 1;
const LAST_PANICS: u64 = 1;

/// One source, an engine on it, and what was seen of them.
struct Run {
    case: Case,
    watching: &'static Watching,
    world: FaultWorld,
    passed: BTreeMap<Site, u64>,
    /// How many lines the log had before.
    lines_before: usize,
}

/// Does the work while the step fails, then without a fault; the steps that were taken meanwhile.
fn run(case: Case, watching: &'static Watching) -> BTreeMap<Site, u64> {
    let world = FaultWorld::new();
    watching.clear();
    let mut run = Run { case, watching, world, passed: BTreeMap::new(), lines_before: 0 };
    match case.work {
        Work::Open => run.open(),
        Work::Look => run.look(),
        Work::Close => run.close(),
        _ => run.change(),
    }
    run.passed
}

impl Run {
    fn inject(&mut self) {
        self.lines_before = self.log().len();
        let mut faults: Vec<_> = self.case.fault.into_iter().collect();
        if self.case.work == Work::EditCopied {
            faults.extend(links(self.watching));
        }
        self.watching.inject_all(faults);
    }

    fn heal(&mut self) {
        self.watching.heal();
        self.passed = self.watching.passed();
    }

    fn log(&self) -> Vec<LogLine> {
        let path = self.world.log();
        if path.exists() { log_lines(&path) } else { Vec::new() }
    }

    fn open(&mut self) {
        self.inject();
        // Its own steps panic in the caller's thread: then only what is left of it counts.
        let opened = catch_unwind(AssertUnwindSafe(|| self.world.engine().open()));
        let engine = match opened {
            Ok(Ok(engine)) => {
                // What comes after the answer is done when the next one is there.
                let _either = engine.sync();
                self.heal();
                engine
            }
            refused => {
                self.heal();
                assert!(self.case.fault.is_some(), "{refused:?}");
                match refused {
                    Ok(Err(error)) if !self.case.is_panic() => says_why(&error),
                    Ok(_) => {}
                    Err(payload) => assert!(self.case.is_panic(), "{}", text_of_panic(&*payload)),
                }
                until_all_threads_ended();
                self.leaves_nothing(self.case.may_leave_files());
                self.world.engine().open().expect("nothing is wrong any more")
            }
        };
        assert_eq!(version(&engine), 1);
        if self.case.is_panic() {
            self.recovers(&engine);
        }
        self.goes_on(engine, 1);
    }

    /// Waits for a thread that starts over. It is asked again and again; each time it answers.
    fn recovers(&self, engine: &Engine) {
        until("the engine recovered", || engine.sync().is_ok());
    }

    fn change(&mut self) {
        let engine = self.world.engine().open().expect("nothing is wrong yet");
        settled(&engine);
        let mut before = 1;
        let mut wanted = 2;
        let first = std::fs::read_to_string(self.world.path("source.rs")).expect("ours");
        if self.case.work.is_second() {
            self.world.edit(2);
            assert!(engine.sync().expect("nothing is wrong yet").is_swapped());
            settled(&engine);
            (before, wanted) = (2, 1);
        }
        let guard = (self.case.work == Work::EditHeld).then(|| engine.pin());
        let events = engine.subscribe();
        self.inject();
        match self.case.work {
            Work::Break => self.world.edit_text("broken\n"),
            Work::TakeBack => self.world.edit_text(&first),
            _ => drop(self.world.edit(wanted)),
        }
        let verdict = engine.sync();
        let now = self.is_as_told(&engine, &verdict, before, wanted);
        if verdict.is_ok() || self.case.work == Work::Break {
            // What comes after the answer is done when the next one is there.
            let _either = engine.sync();
        }
        if let Some(guard) = guard {
            assert_eq!(guard.call_with("version", ()), Ok(before), "a guard stays in its version");
            let held = guard.version();
            drop(guard);
            let is_over = |info: &hotswap_engine::VersionInfo| {
                info.id != held || info.state != VersionState::Draining
            };
            until("the version drained", || engine.versions().iter().all(is_over));
        }
        if self.case.is_panic() {
            // A monitor that starts over asks cargo again, in its own time.
            until("no process is left", || children().is_empty());
        } else {
            let children = children();
            assert!(children.is_empty(), "processes are left: {children:?}");
        }
        // What fails for good cannot come true by itself; what failed once is tried again after a second.
        let is_swapped = |event: Event| matches!(event, Event::Swapped { .. });
        if verdict.is_ok() || !events.try_iter().any(is_swapped) {
            assert_eq!(version(&engine), now);
            self.holds_only_what_runs(&engine, self.case.may_leave_files());
        }
        self.heal();
        self.is_told(&verdict);

        if self.case.is_panic() && self.case.work != Work::Break {
            self.recovers(&engine);
        }
        let again = engine.sync();
        if self.case.work == Work::Break {
            let error = again.expect_err("it still does not compile");
            assert!(error.diagnostics().is_some() || self.case.is_panic(), "not over: {error}");
            let _as_before = engine.sync();
        } else {
            let again = again.expect("the fault is over, and the edit is still there");
            assert_eq!(version(&engine), wanted, "{again}");
            assert!(!engine.reload().expect("as before").is_swapped());
        }
        if !self.case.may_leave_files() {
            self.finished_all();
        }
        self.goes_on(engine, version_after(self.case.work, wanted));
    }

    fn look(&mut self) {
        let engine = self.world.engine().open().expect("nothing is wrong yet");
        settled(&engine);
        self.inject();
        match engine.sync() {
            Ok(verdict) => assert!(!verdict.is_swapped(), "{verdict}"),
            Err(error) => {
                assert!(self.case.fault.is_some(), "{error:?}");
                if !self.case.is_panic() {
                    says_why(&error);
                }
            }
        }
        self.heal();
        if self.case.is_panic() {
            self.recovers(&engine);
        }
        settled(&engine);
        let lines = self.log().split_off(self.lines_before);
        let is_of_a_change =
            |line: &&LogLine| !line.event.starts_with("detect.") && !line.event.ends_with(".panic");
        let unwanted = lines.iter().find(is_of_a_change);
        assert!(unwanted.is_none(), "nothing was edited: {unwanted:#?}");
        self.goes_on(engine, 1);
    }

    fn close(&mut self) {
        let engine = self.world.engine().open().expect("nothing is wrong yet");
        self.world.edit(2);
        assert!(engine.sync().expect("nothing is wrong yet").is_swapped());
        settled(&engine);
        self.inject();
        drop(engine);
        until_all_threads_ended();
        self.heal();
        self.leaves_nothing(self.case.may_leave_files());
        let engine = self.world.engine().open().expect("nothing is wrong any more");
        assert_eq!(version(&engine), 2);
        self.goes_on(engine, 2);
    }

    /// The verdict is what runs, wholly.
    fn is_as_told(
        &self,
        engine: &Engine,
        verdict: &Result<Verdict, ReloadError>,
        before: u64,
        wanted: u64,
    ) -> u64 {
        let now = match verdict {
            Ok(Verdict::Swapped { .. }) => wanted,
            Ok(other) => panic!("an edit is a change: {other}"),
            Err(error) => {
                assert!(
                    self.case.fault.is_some() || self.case.work == Work::Break,
                    "without a fault: {error:?}"
                );
                assert!(error.to_string().contains("stays current"), "{error}");
                // Nobody knows how far a thread came that panicked.
                if self.case.is_panic() && version(engine) == wanted { wanted } else { before }
            }
        };
        assert!(verdict.is_err() || self.case.work != Work::Break, "it does not compile");
        if verdict.is_ok() {
            assert_eq!(version(engine), now);
        }
        now
    }

    /// What failed stands in the log, with what the system answered.
    fn is_told(&self, verdict: &Result<Verdict, ReloadError>) {
        let lines = self.log().split_off(self.lines_before);
        match verdict {
            Ok(_) if !self.case.is_of_the_log() && !self.case.is_panic() => {
                assert!(lines.iter().any(|line| line.event == "swap.commit"), "{lines:#?}");
            }
            Ok(_) => {}
            Err(error) => {
                if !self.case.is_panic() {
                    says_why(error);
                }
                let is_reason =
                    |line: &&LogLine| line.level != "INFO" && !line.field("err").is_empty();
                let told: Vec<_> = lines.iter().filter(is_reason).collect();
                assert!(!told.is_empty() || self.case.is_of_the_log(), "not told: {lines:#?}");
            }
        }
    }

    /// Nothing is mapped and staged but the current version, and what the loader kept.
    fn holds_only_what_runs(&self, engine: &Engine, may_leave_files: bool) {
        let versions = engine.versions();
        let count = |state| versions.iter().filter(|info| info.state == state).count();
        let pinned = count(VersionState::Pinned);
        assert!(pinned == 0 || self.case.may_keep_library(), "{versions:#?}");
        assert_eq!(count(VersionState::Draining), 0, "{versions:#?}");
        let mapped = self.world.mapped();
        assert!(mapped.len() <= 1 + pinned, "{mapped:#?}");
        assert!(!mapped.is_empty());
        if !may_leave_files {
            let staged = self.world.staged();
            assert_eq!(staged.len(), 1, "{staged:#?}");
        }
    }

    /// Nothing that was begun is left. Only for when the monitor is known to wait.
    fn finished_all(&self) {
        let unfinished = self.world.unfinished();
        assert!(unfinished.is_empty(), "{unfinished:#?}");
    }

    /// Without a fault all is as if there had been none; then the engine ends and leaves nothing.
    fn goes_on(&self, engine: Engine, before: u64) {
        assert_eq!(version(&engine), before);
        self.world.edit(3);
        let verdict = engine.sync().expect("nothing is wrong any more");
        assert!(verdict.is_swapped(), "{verdict}");
        assert_eq!(version(&engine), 3);
        settled(&engine);
        self.holds_only_what_runs(&engine, false);
        self.finished_all();
        drop(engine);
        until_all_threads_ended();
        self.leaves_nothing(false);
        // Of a writer that ended in a failure nobody counts the lines: of an engine that was closed, or never opened,
        // since what cannot be announced is refused.
        let ended_in_it = self.case.work == Work::Close
            || (self.case.work == Work::Open && self.case.is_for_good());
        if self.case.is_of_the_log() && !ended_in_it {
            let lost = |line: &LogLine| line.field("lost_lines").parse::<u64>().unwrap_or(0);
            let lost: u64 = self.log().iter().map(lost).sum();
            // A log whose first line cannot be written is not opened at all.
            let first = u64::from(self.case.work == Work::Open && self.case.is_first_line());
            assert_eq!(
                lost + first,
                self.watching.fired(),
                "every line that is missing is counted"
            );
        }
    }

    fn leaves_nothing(&self, may_leave_files: bool) {
        let children = children();
        assert!(children.is_empty(), "processes are left: {children:?}");
        let mapped = self.world.mapped();
        assert!(mapped.is_empty() || self.case.may_keep_library(), "{mapped:#?}");
        if !may_leave_files {
            let rooms = self.world.rooms();
            assert!(rooms.is_empty(), "{rooms:#?}");
            self.finished_all();
        }
    }
}

fn version_after(work: Work, wanted: u64) -> u64 {
    if work == Work::Break { 1 } else { wanted }
}

/// The version that calls run in, of which both halves are there.
fn version(engine: &Engine) -> u64 {
    let guard = engine.pin();
    let version: u64 = guard.call_with("version", ()).expect("one is current");
    assert_eq!(guard.call_with("other", ()), Ok(version));
    version
}

/// Waits for what the monitor does after it has told: it takes up the next request afterwards.
fn settled(engine: &Engine) {
    let verdict = engine.sync().expect("nothing is wrong");
    assert!(!verdict.is_swapped(), "{verdict}");
}

/// Every link fails, wherever one was made until now.
fn links(watching: &Watching) -> impl Iterator<Item = Fault> {
    let passed = watching.passed().into_keys();
    passed.filter(|site| site.operation == Operation::Link).map(|site| Fault {
        site,
        times: Times::From(0),
        manner: Manner::Error,
    })
}

/// Which passings of a step that is taken this often are made to fail.
fn numbers(count: u64, manner: Manner) -> Vec<u64> {
    let (first, last) = match manner {
        Manner::Error => (FIRST_TIMES, LAST_TIMES),
        Manner::Panic => (FIRST_PANICS, LAST_PANICS),
    };
    if count <= first + last {
        (0..count).collect()
    } else {
        (0..first).chain(count - last..count).collect()
    }
}

/// Runs all cases and tells all that fail.
fn run_all(cases: &[Case], watching: &'static Watching) {
    let mut failures = Vec::new();
    for case in cases {
        let case = *case;
        let result = catch_unwind(AssertUnwindSafe(|| {
            within(RUN_MAX, &case.to_string(), move || drop(run(case, watching)));
        }));
        watching.heal();
        if let Err(payload) = result {
            failures.push(format!("{case}\n    {}", text_of_panic(&*payload)));
            if !engine_threads().is_empty() {
                failures.push("threads are left; the cases after it were not run".to_owned());
                break;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

/// Begins to count, for the rest of the process, with all libraries built.
fn watch() -> &'static Watching {
    for number in 1..=3 {
        let _built = prebuilt::numbered_with_hook(number);
    }
    Box::leak(Box::new(fault::watch()))
}

/// Every passing of every step of a clean run, made to fail like this.
fn cases_of(
    work: Work,
    watching: &'static Watching,
    manner: Manner,
    times: fn(u64) -> Times,
) -> Vec<Case> {
    let steps = run(Case { work, fault: None }, watching);
    let fails = |site: &Site| {
        manner == Manner::Panic || !matches!(site.operation, Operation::Send | Operation::Pass)
    };
    let steps = steps.into_iter().filter(|(site, _)| fails(site) && work.is_told_apart_by(site));
    let fault = |site, number| Fault { site, times: times(number), manner };
    // Who panics whenever it tells answers nobody as long as that lasts: there is nothing to wait for. And who panics
    // every time does so from the first.
    let is_left_out = |fault: &Fault| match (fault.manner, fault.times) {
        (Manner::Panic, Times::From(number)) => {
            number > 0 || fault.site.operation == Operation::Send
        }
        (Manner::Panic, Times::Once(_)) | (Manner::Error, _) => false,
    };
    steps
        .flat_map(|(site, count)| {
            numbers(count, manner).into_iter().map(move |number| (site, number))
        })
        .map(|(site, number)| fault(site, number))
        .filter(|fault| !is_left_out(fault))
        .map(|fault| Case { work, fault: Some(fault) })
        .collect()
}

fn every_step(manner: Manner, times: &[fn(u64) -> Times]) {
    let watching = watch();
    let works = WORKS.iter().flat_map(|work| times.iter().map(move |times| (*work, *times)));
    let cases: Vec<_> =
        works.flat_map(|(work, times)| cases_of(work, watching, manner, times)).collect();
    println!("{} cases", cases.len());
    run_all(&cases, watching);
}

#[test]
fn lo_3_every_step_may_fail_once() {
    isolated("lo_3_every_step_may_fail_once", || every_step(Manner::Error, &[Times::Once]));
}

#[test]
fn lo_3_every_step_may_fail_for_good() {
    isolated("lo_3_every_step_may_fail_for_good", || every_step(Manner::Error, &[Times::From]));
}

/// Not only what the system refuses: a defect of the library itself reaches no caller but the one who opens.
#[test]
fn every_step_may_panic() {
    isolated("every_step_may_panic", || {
        every_step(Manner::Panic, &[Times::Once, Times::From]);
    });
}

/// What the clean runs pass is what can be made to fail: no kind of step goes past the seam.
#[test]
fn the_whole_path_goes_through_the_seam() {
    isolated("the_whole_path_goes_through_the_seam", || {
        let watching = watch();
        let mut passed = BTreeMap::new();
        for work in WORKS {
            for (site, count) in run(Case { work, fault: None }, watching) {
                println!("{work:?} {count} {site}");
                *passed.entry(site).or_insert(0) += count;
            }
        }
        let operations: BTreeSet<Operation> = passed.keys().map(|site| site.operation).collect();
        use Operation as O;
        let wanted = [
            O::Open,
            O::Read,
            O::Stat,
            O::List,
            O::Create,
            O::Write,
            O::Rename,
            O::Link,
            O::Remove,
            O::Lock,
            O::Spawn,
            O::Wait,
            O::Thread,
            O::Load,
            O::Symbol,
            O::Unload,
        ];
        for operation in wanted {
            assert!(operations.contains(&operation), "no step is a {operation:?}: {passed:#?}");
        }
    });
}
