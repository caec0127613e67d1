//! Code that is no directory: strings, chains, sources of one's own. Databases are in `database.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, unbounded};
use hotswap_engine::{
    Attachment, Bell, Engine, EngineBuilder, Event, Fetch, FetchError, FetchErrorKind, Fetched,
    Fingerprint, OpenErrorKind, ReloadErrorKind, Source, StringSource, Verdict, WhenDown,
};
use hotswap_tests::deadline::event;
use hotswap_tests::{LogLine, build_directory, log_lines, prebuilt, versioned};
use parking_lot::Mutex;
use tempfile::TempDir;

/// Longer than any test runs: only what a test asks for, or what rings, is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An engine that compiles, and shares what it compiled with other tests.
fn compiling(source: impl Into<hotswap_engine::Code>) -> EngineBuilder {
    let target = build_directory().join("target");
    Engine::builder(source).target_dir(target).offline().without_log().poll_every(RARELY)
}

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

/// Where an engine goes with prebuilt libraries: beside them, so that they can be linked.
fn place() -> TempDir {
    tempfile::tempdir_in(build_directory()).expect("the target directory is writable")
}

/// A source of prebuilt libraries, which a test breaks and repairs.
#[derive(Debug, Clone)]
struct Shelf(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    name: String,
    what: Mutex<What>,
    bells: Mutex<Vec<Bell>>,
    fetches: Mutex<u64>,
}

#[derive(Debug, Clone)]
enum What {
    Library(u64),
    Nothing,
    Down(&'static str),
    Bad(&'static str),
    /// It is there, and cannot be had.
    OutOfReach(&'static str),
}

impl Shelf {
    fn new(name: &str, what: What) -> Self {
        Self(Arc::new(Inside {
            name: name.to_owned(),
            what: Mutex::new(what),
            bells: Mutex::default(),
            fetches: Mutex::default(),
        }))
    }

    fn put(&self, what: What) {
        *self.0.what.lock() = what;
    }

    fn ring(&self) {
        assert!(self.0.bells.lock().iter().any(Bell::ring), "nobody listens");
    }

    fn fetches(&self) -> u64 {
        *self.0.fetches.lock()
    }
}

impl Fetch for Shelf {
    fn kind(&self) -> &'static str {
        "shelf"
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        match &*self.0.what.lock() {
            What::Nothing => Ok(None),
            What::Down(why) => Err(FetchError::unavailable(*why)),
            what => Ok(Some(Fingerprint::of(format!("{what:?}").as_bytes()))),
        }
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        *self.0.fetches.lock() += 1;
        let what = self.0.what.lock().clone();
        let number = match &what {
            What::Library(number) => *number,
            What::Bad(why) => return Err(FetchError::refused(*why)),
            What::Down(why) | What::OutOfReach(why) => return Err(FetchError::unavailable(*why)),
            What::Nothing => return Err(FetchError::unavailable("gone")),
        };
        let file = directory.join("numbered.so");
        fs::copy(prebuilt::numbered(number), &file).expect("ours");
        let mut fetched = Fetched::new(Fingerprint::of(format!("{what:?}").as_bytes()), file);
        fetched.note = format!("number {number}");
        Ok(fetched)
    }

    fn attach(&self, monitor: &Attachment) {
        self.0.bells.lock().push(monitor.bell.clone());
    }
}

impl From<&Shelf> for Source {
    fn from(shelf: &Shelf) -> Self {
        Self::fetched(shelf.clone())
    }
}

fn engine(place: &TempDir, source: impl Into<Source>) -> EngineBuilder {
    Engine::builder(source.into())
        .target_dir(place.path().join("target"))
        .log_file(place.path().join("hotswap.log"))
        .poll_every(RARELY)
}

/// The lines of this event.
fn lines(place: &TempDir, wanted: &str) -> Vec<LogLine> {
    let mut lines = log_lines(&place.path().join("hotswap.log"));
    lines.retain(|line| line.event == wanted);
    lines
}

/// A shelf that says what it said before, until somebody asks.
#[derive(Debug)]
struct Keeping {
    shelf: Shelf,
    said: Mutex<Option<Fingerprint>>,
    looks: Sender<()>,
}

impl Fetch for Keeping {
    fn kind(&self) -> &'static str {
        self.shelf.kind()
    }

    fn name(&self) -> &str {
        self.shelf.name()
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        // Who counts no more is no failure.
        let _counted = self.looks.send(());
        let mut said = self.said.lock();
        if said.is_none() {
            *said = self.shelf.fingerprint()?;
        }
        Ok(*said)
    }

    fn refresh(&self) {
        *self.said.lock() = None;
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        self.shelf.fetch(directory)
    }
}

#[test]
fn cd_2_a_source_that_keeps_its_answer_is_told_when_somebody_asks() {
    let place = place();
    let shelf = Shelf::new("kept", What::Library(1));
    let (looks, looked) = unbounded();
    let keeping = Keeping { shelf: shelf.clone(), said: Mutex::default(), looks };
    let source = Source::fetched(keeping);
    let poll = Duration::from_millis(1);
    let engine = engine(&place, source).poll_every(poll).open().expect("it is there");
    assert_eq!(version(&engine), 1);
    shelf.put(What::Library(2));
    // A look of the monitor's own goes by what was said.
    let _before = looked.try_iter().count();
    (0..5).for_each(|_| looked.recv_timeout(PATIENCE).expect("it looks"));
    assert_eq!(version(&engine), 1);
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 2);
}

#[test]
fn a_string_runs_and_replacing_it_swaps_without_being_asked() {
    let source = Source::string(versioned(1));
    let (builder, events) = compiling(&source).subscribe();
    let engine = builder.open().expect("it compiles");
    assert_eq!(version(&engine), 1);
    source.set(versioned(2));
    event(&events, "a swap", |event| {
        matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
    });
    assert_eq!(version(&engine), 2);
    // What it was is taken from the store.
    source.set(versioned(1));
    engine.sync().expect("it is as it was");
    assert_eq!(version(&engine), 1);
}

#[test]
fn bu_1_a_string_that_does_not_compile_changes_nothing() {
    let source = Source::string(versioned(1) + "// of this test\n");
    let engine = compiling(source.clone()).open().expect("it compiles");
    source.set("this is no Rust");
    let error = engine.sync().expect_err("it does not compile");
    assert!(error.to_string().contains("string-") || !error.to_string().is_empty());
    assert!(matches!(error.kind, ReloadErrorKind::Build(_)), "{error:?}");
    assert_eq!(version(&engine), 1);
    source.set(versioned(3));
    engine.sync().expect("it is repaired");
    assert_eq!(version(&engine), 3);
}

#[test]
fn two_strings_have_each_a_name_space_of_their_own() {
    let source = |number| Source::string(versioned(number) + "// two\n");
    let (one, other) = (source(1), source(2));
    let (first, second) = (compiling(&one).open().unwrap(), compiling(&other).open().unwrap());
    assert_eq!((version(&first), version(&second)), (1, 2));
    one.set(versioned(3));
    first.sync().unwrap();
    second.sync().unwrap();
    assert_eq!((version(&first), version(&second)), (3, 2));
}

#[test]
fn a_string_names_what_it_depends_on() {
    let interface = hotswap_tests::workspace_root().join("sample-engine/interface");
    let source: StringSource = Source::string(
        "use hotswap_module::export;\nhotswap_module::module!();\nuse sample_interface as _;\n\
         #[export]\npub fn version() -> u64 { 5 }\n",
    );
    let source = source.dependency(format!("sample-interface = {{ path = {interface:?} }}"));
    assert_eq!(version(&compiling(source).open().expect("it finds the crate")), 5);
}

#[test]
fn a_string_of_a_hundred_thousand_lines_runs() {
    let source = Source::string(versioned(6) + &"// a line\n".repeat(100_000));
    assert_eq!(version(&compiling(source).open().expect("it compiles")), 6);
}

#[test]
fn cd_2_what_was_set_before_sync_is_considered() {
    let place = place();
    let shelf = Shelf::new("cd_2", What::Library(1));
    let engine = engine(&place, &shelf).open().expect("it is there");
    for number in [2, 3, 1, 2, 3] {
        shelf.put(What::Library(number));
        engine.sync().expect("it is good");
        assert_eq!(version(&engine), number);
    }
}

#[test]
fn cd_3_a_ring_that_is_lost_costs_a_period_and_no_change() {
    let place = place();
    let shelf = Shelf::new("cd_3", What::Library(1));
    let builder = engine(&place, &shelf).poll_every(Duration::from_millis(5));
    let (builder, events) = builder.subscribe();
    let engine = builder.open().expect("it is there");
    shelf.put(What::Library(2)); // and nobody rings
    event(&events, "a swap", |event| {
        matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
    });
    assert_eq!(version(&engine), 2);
}

#[test]
fn a_ring_is_a_look() {
    let place = place();
    let shelf = Shelf::new("ring", What::Library(1));
    let (builder, events) = engine(&place, &shelf).subscribe();
    let engine = builder.open().expect("it is there");
    shelf.put(What::Library(2));
    shelf.ring();
    event(&events, "a swap", |event| {
        matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
    });
    assert_eq!(version(&engine), 2);
    let changes = lines(&place, "detect.change");
    assert_eq!(changes.last().expect("two changes").field("trig"), "push");
}

#[test]
fn an_idle_look_fetches_nothing() {
    let place = place();
    let shelf = Shelf::new("idle", What::Library(1));
    let engine = engine(&place, &shelf).open().expect("it is there");
    for _ in 0..5 {
        assert!(matches!(engine.sync(), Ok(Verdict::Unchanged { .. })));
    }
    assert_eq!(shelf.fetches(), 1);
}

#[test]
fn lo_3_what_is_no_module_is_told_once_and_the_next_good_one_installs() {
    let place = place();
    let shelf = Shelf::new("lo_3", What::Library(1));
    let engine = engine(&place, &shelf).open().expect("it is there");
    shelf.put(What::Bad("it has two heads"));
    for _ in 0..3 {
        let error = engine.sync().expect_err("it is refused");
        let text = format!("{error:?}");
        assert!(text.contains("it has two heads"), "{text}");
        assert_eq!(version(&engine), 1);
    }
    assert_eq!(shelf.fetches(), 2, "what was refused is not fetched again");
    assert_eq!(lines(&place, "fetch.refused").len(), 1);
    // Back to what runs, and on to something new.
    shelf.put(What::Library(1));
    engine.sync().expect("it is what runs");
    shelf.put(What::Library(2));
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 2);
}

#[test]
fn lo_3_what_is_down_is_waited_for() {
    let place = place();
    let shelf = Shelf::new("down", What::Library(1));
    let engine = engine(&place, &shelf).open().expect("it is there");
    for what in [What::Down("no answer"), What::OutOfReach("no room")] {
        let reason = match &what {
            What::Down(reason) | What::OutOfReach(reason) => *reason,
            _ => unreachable!("listed above"),
        };
        shelf.put(what);
        for _ in 0..3 {
            let error = engine.sync().expect_err("it cannot be had");
            assert!(format!("{error:?}").contains(reason), "{error:?}");
            assert_eq!(version(&engine), 1);
        }
    }
    assert_eq!(lines(&place, "detect.unreadable").len(), 2, "one for each reason");
    shelf.put(What::Library(2));
    engine.sync().expect("it is back");
    assert_eq!(version(&engine), 2);
    assert_eq!(lines(&place, "detect.readable").len(), 1);
}

#[test]
fn what_cannot_be_had_is_tried_again_without_being_asked() {
    let place = place();
    let shelf = Shelf::new("retry", What::Library(1));
    let (builder, events) = engine(&place, &shelf).subscribe();
    let engine = builder.open().expect("it is there");
    shelf.put(What::OutOfReach("no room"));
    engine.sync().expect_err("it cannot be had");
    shelf.put(What::Library(2)); // and nobody says so: a second later it is tried again
    event(&events, "a swap", |event| {
        matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
    });
    assert_eq!(version(&engine), 2);
}

#[test]
fn a_module_that_is_taken_away_goes_on() {
    let place = place();
    let shelf = Shelf::new("away", What::Library(1));
    let engine = engine(&place, &shelf).open().expect("it is there");
    shelf.put(What::Nothing);
    let error = engine.sync().expect_err("it is gone");
    assert!(format!("{error:?}").contains("no such module"), "{error:?}");
    assert_eq!(version(&engine), 1);
}

#[test]
fn what_is_not_there_is_said_at_open() {
    let place = place();
    for (what, said) in [
        (What::Nothing, "no such module"),
        (What::Down("no answer"), "no answer"),
        (What::Bad("it has two heads"), "it has two heads"),
        (What::OutOfReach("no room"), "no room"),
    ] {
        let error = engine(&place, &Shelf::new("open", what)).open().expect_err(said);
        assert!(matches!(error.kind, OpenErrorKind::First(_)), "{error:?}");
        assert!(format!("{error:?}").contains(said), "{error:?}");
    }
}

#[test]
fn rb_7_an_earlier_version_of_what_was_fetched_needs_no_source() {
    let place = place();
    let shelf = Shelf::new("rb_7", What::Library(1));
    let engine = engine(&place, &shelf).keep_versions(0).open().expect("it is there");
    let first = engine.version();
    for number in [2, 3] {
        shelf.put(What::Library(number));
        engine.sync().expect("it is good");
    }
    shelf.put(What::Down("gone for ever"));
    let fetches = shelf.fetches();
    engine.rollback_to(first).expect("it is in the store");
    assert_eq!(version(&engine), 1);
    assert_eq!(shelf.fetches(), fetches);
}

#[test]
fn the_first_of_a_chain_that_has_the_module_wins_and_the_log_says_which() {
    let place = place();
    let (first, second) =
        (Shelf::new("first", What::Nothing), Shelf::new("second", What::Library(1)));
    let chain = Source::chain([&first, &second]);
    let engine = engine(&place, chain).open().expect("the second has it");
    assert_eq!(version(&engine), 1);
    first.put(What::Library(2));
    engine.sync().expect("the first has it now");
    assert_eq!(version(&engine), 2);
    // Of the second nobody wants to know.
    second.put(What::Library(3));
    assert!(matches!(engine.sync(), Ok(Verdict::Unchanged { .. })));
    first.put(What::Nothing);
    engine.sync().expect("back to the second");
    assert_eq!(version(&engine), 3);
    let chosen = lines(&place, "source.chosen");
    let names: Vec<_> = chosen.iter().map(|line| line.field("path")).collect();
    assert_eq!(names, ["second", "first", "second"]);
    assert!(lines(&place, "detect.change").iter().all(|line| line.field("src") == "shelf"));
}

#[test]
fn a_chain_ends_in_a_file_and_the_database_displaces_it() {
    let place = place();
    let library = place.path().join("on_disk.so");
    fs::copy(prebuilt::numbered(1), &library).expect("ours");
    let shelf = Shelf::new("database", What::Nothing);
    let chain = Source::chain([Source::from(&shelf), Source::from(&library)]);
    let engine = engine(&place, chain).open().expect("the file is there");
    assert_eq!(version(&engine), 1);
    replace(&library, 2);
    engine.sync().expect("the file is watched");
    assert_eq!(version(&engine), 2);
    shelf.put(What::Library(3));
    engine.sync().expect("it is published");
    assert_eq!(version(&engine), 3);
    replace(&library, 1);
    assert!(matches!(engine.sync(), Ok(Verdict::Unchanged { .. })));
    shelf.put(What::Nothing);
    engine.sync().expect("the file is there still");
    assert_eq!(version(&engine), 1);
    fs::remove_file(&library).expect("ours");
    engine.sync().expect_err("nobody has it");
    assert_eq!(version(&engine), 1);
}

fn replace(library: &Path, number: u64) {
    let new: PathBuf = library.with_extension("new");
    fs::copy(prebuilt::numbered(number), &new).expect("ours");
    fs::rename(new, library).expect("ours");
}

#[test]
fn a_chain_whose_first_source_is_down_keeps_what_runs_or_falls_through() {
    for (when_down, expected) in [(WhenDown::KeepCurrent, 1), (WhenDown::FallThrough, 2)] {
        let place = place();
        let first = Shelf::new("first", What::Library(1));
        let second = Shelf::new("second", What::Library(2));
        let chain = Source::chain([&first, &second]).when_down(when_down);
        let engine = engine(&place, chain).open().expect("the first has it");
        first.put(What::Down("no answer"));
        assert_eq!(engine.sync().is_ok(), when_down == WhenDown::FallThrough);
        assert_eq!(version(&engine), expected, "{when_down:?}");
        first.put(What::Library(3));
        engine.sync().expect("it is back");
        assert_eq!(version(&engine), 3);
        // What is there and bad is no reason to run something else.
        first.put(What::Bad("it has two heads"));
        engine.sync().expect_err("it is refused");
        assert_eq!(version(&engine), 3, "{when_down:?}");
    }
}

#[test]
fn a_source_that_was_down_from_the_start_takes_over_when_it_is_back() {
    let place = place();
    let first = Shelf::new("first", What::Down("no answer"));
    let second = Shelf::new("second", What::Library(1));
    let engine =
        engine(&place, Source::chain([&first, &second])).open().expect("the second has it");
    assert_eq!(version(&engine), 1);
    let chosen = lines(&place, "source.chosen");
    assert!(chosen[0].field("msg").contains("no answer"), "{chosen:?}");
    // What runs is followed meanwhile.
    second.put(What::Library(2));
    engine.sync().expect("it is good");
    assert_eq!(version(&engine), 2);
    first.put(What::Library(3));
    engine.sync().expect("it is back");
    assert_eq!(version(&engine), 3);
}

#[test]
fn a_chain_of_nothing_is_said() {
    let none: [Source; 0] = [];
    let error = Engine::builder(Source::chain(none)).without_log().open().expect_err("nothing");
    assert!(matches!(error.kind, OpenErrorKind::Setting { .. }), "{error:?}");
}

#[test]
fn two_engines_of_one_source_do_not_meet() {
    let place = place();
    let shelf = Shelf::new("shared", What::Library(1));
    let (one, other) =
        (engine(&place, &shelf).open().unwrap(), engine(&place, &shelf).open().unwrap());
    shelf.put(What::Library(2));
    one.sync().expect("it is good");
    assert_eq!((version(&one), version(&other)), (2, 1));
    other.sync().expect("it is good");
    assert_eq!(version(&other), 2);
    assert_eq!(FetchErrorKind::Refused, FetchError::refused("").kind);
}
