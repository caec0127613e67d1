//! What people are shown when a layout changed and no step leads to it.

#![cfg(feature = "state")]

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use hotswap_module::__private::{Signature, Typed, difference, skeleton};
use hotswap_module::Abi;

/// The layout of a type, as the record of a state type has it.
fn layout<T: Abi>() -> &'static Signature {
    Typed::<(), T>::REFERENCE
}

/// A schema before and after an edit.
struct Edit {
    name: &'static str,
    schema: &'static str,
    old: &'static Signature,
    new: &'static Signature,
    /// The new type as its author wrote it: what the skeleton is pasted below.
    source: &'static str,
    /// What stands below the skeleton, and is run.
    check: &'static str,
    difference: &'static str,
}

/// Types that are described here as they were written, and as they stand in `source` of the edit.
macro_rules! source {
    ($($item:item)*) => {
        $(#[derive(Abi)] $item)*
    };
}

#[expect(dead_code, reason = "described and never made")]
mod before {
    use std::collections::{BTreeSet, VecDeque};
    use std::ops::Range;
    use std::path::PathBuf;

    use super::{Abi, BTreeMap, Duration, NonZero};

    source! {
        pub(super) struct Counters {
            calls: u64,
            name: String,
            r#type: u8,
            by_hour: BTreeMap<u8, Vec<Duration>>,
            path: Option<PathBuf>,
            bytes: Box<[u8]>,
            odd: (NonZero<u8>, (Range<i32>,), [BTreeSet<char>; 2]),
            rest: VecDeque<Box<str>>,
            small: u32,
        }
        pub(super) struct Place { x: f64, y: f64 }
        pub(super) struct Kept { at: (f32, f32) }
        pub(super) struct Line { from: Place, to: Place, kept: Kept }
        pub(super) enum Gone { A, B(Box<Gone>), C { c: Vec<Kept> } }
        pub(super) struct World { lines: Vec<Line>, kept: Kept, gone: Gone, place: Option<Place> }
        pub(super) struct Pair(u64, String, Vec<u8>);
        pub(super) enum Phase { Idle, Running { since: u64 }, Inside(Vec<Phase>), Both(u8, String), Gone }
        pub(super) enum Level { Low, High = 4, Higher }
        pub(super) struct Tree { value: u64, children: Vec<Tree> }
        pub(super) struct Only { was: u8 }
    }

    #[derive(Abi)]
    #[abi(name = "Kept")]
    #[repr(C)]
    pub(super) struct KeptInC {
        pub(super) at: (f32, f32),
    }

    #[derive(Abi)]
    pub(super) struct Root {
        pub(super) folder: Folder,
    }

    #[derive(Abi)]
    pub(super) struct Folder {
        pub(super) entries: Vec<Entry>,
        pub(super) name: String,
    }

    #[derive(Abi)]
    pub(super) enum Entry {
        File(String),
        Folder(#[abi(by_name)] Box<Folder>),
    }
}

#[expect(dead_code, reason = "described and never made")]
mod after {
    use std::collections::{BTreeSet, VecDeque};
    use std::ops::Range;
    use std::path::PathBuf;

    use super::{Abi, BTreeMap, Duration, NonZero};

    source! {
        pub(super) struct Counters {
            calls: u64,
            title: String,
            r#type: u8,
            by_hour: BTreeMap<u8, Vec<Duration>>,
            path: Option<PathBuf>,
            bytes: Box<[u8]>,
            odd: (NonZero<u8>, (Range<i32>,), [BTreeSet<char>; 2]),
            rest: VecDeque<String>,
            small: i64,
        }
        pub(super) struct Place { x: f64, z: f64 }
        pub(super) struct Kept { at: (f32, f32) }
        pub(super) struct Line { from: Place, to: Place, kept: Kept }
        pub(super) struct World { lines: Vec<Line>, kept: Kept, place: Option<Place> }
        pub(super) struct Pair(u64, String, Vec<u16>);
        pub(super) enum Phase { Idle, Running { since: u64 }, Paused, Inside(Vec<Phase>), Both(u8, String) }
        pub(super) enum Level { Low, High }
        pub(super) struct Tree { value: u64, children: Vec<Tree>, name: String }
        pub(super) struct Only { is: u8 }
    }

    #[derive(Abi)]
    pub(super) struct Root {
        pub(super) folder: Folder,
    }

    #[derive(Abi)]
    pub(super) struct Folder {
        pub(super) entries: Vec<Entry>,
    }

    #[derive(Abi)]
    pub(super) enum Entry {
        File(String),
        Folder(#[abi(by_name)] Box<Folder>),
    }
}

fn edits() -> Vec<Edit> {
    vec![
        Edit {
            name: "counters",
            schema: "Counters",
            old: layout::<before::Counters>(),
            new: layout::<after::Counters>(),
            source: "
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

#[hotswap_module::state(version = 2, init = first)]
struct Counters {
    calls: u64,
    title: String,
    r#type: u8,
    by_hour: BTreeMap<u8, Vec<Duration>>,
    path: Option<PathBuf>,
    bytes: Box<[u8]>,
    odd: (NonZero<u8>, (Range<i32>,), [BTreeSet<char>; 2]),
    rest: VecDeque<String>,
    small: i64,
}

fn first() -> Counters {
    Counters {
        calls: 0,
        title: String::new(),
        r#type: 0,
        by_hour: BTreeMap::new(),
        path: None,
        bytes: Box::default(),
        odd: (NonZero::<u8>::MIN, (0..1,), Default::default()),
        rest: VecDeque::new(),
        small: 0,
    }
}
",
            check: "
pub fn check() {
    let old = CountersV1 {
        calls: 3,
        name: \"n\".to_owned(),
        r#type: 4,
        by_hour: BTreeMap::new(),
        path: None,
        bytes: Box::default(),
        odd: first().odd,
        rest: VecDeque::new(),
        small: 5,
    };
    let refused = counters_from_1(old).err();
    assert_eq!(
        refused.as_deref(),
        Some(\"say what becomes of rest, which was std::collections::VecDeque<Box<str>>\")
    );
}
",
            difference: "\
\x20 calls: u64
- name: String
+ title: String
  type: u8
  by_hour: BTreeMap<u8, Vec<Duration>>
  path: Option<PathBuf>
  bytes: Box<[u8]>
  odd: (NonZero<u8>, (Range<i32>,), [BTreeSet<char>; 2])
- rest: VecDeque<Box<str>>
+ rest: VecDeque<String>
- small: u32
+ small: i64
",
        },
        Edit {
            name: "world",
            schema: "World",
            old: layout::<before::World>(),
            new: layout::<after::World>(),
            source: "
use hotswap_module::state;

#[state(part)]
#[derive(Default)]
struct Place {
    x: f64,
    z: f64,
}

#[state(part)]
#[derive(Default)]
struct Kept {
    at: (f32, f32),
}

#[state(part)]
#[derive(Default)]
struct Line {
    from: Place,
    to: Place,
    kept: Kept,
}

#[state(version = 2)]
#[derive(Default)]
struct World {
    lines: Vec<Line>,
    kept: Kept,
    place: Option<Place>,
}
",
            check: "",
            difference: "\
\x20 lines: Vec<Line>
      from: Place
          x: f64
-         y: f64
+         z: f64
      to: Place
      kept: Kept
  kept: Kept
- gone: Gone
  place: Option<Place>
",
        },
        Edit {
            name: "pair",
            schema: "Pair",
            old: layout::<before::Pair>(),
            new: layout::<after::Pair>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
struct Pair(u64, String, Vec<u16>);
",
            check: "",
            difference: "\
\x20 0: u64
  1: String
- 2: Vec<u8>
+ 2: Vec<u16>
",
        },
        Edit {
            name: "phase",
            schema: "Phase",
            old: layout::<before::Phase>(),
            new: layout::<after::Phase>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    Running { since: u64 },
    Paused,
    Inside(Vec<Phase>),
    Both(u8, String),
}
",
            check: "
pub fn check() {
    assert!(matches!(phase_from_1(PhaseV1::Both(3, String::new())), Ok(Phase::Both(3, _))));
    assert!(phase_from_1(PhaseV1::Gone).is_err());
}
",
            difference: "\
\x20 Idle
  Running { since: u64 }
+ Paused
  Inside(Vec<Phase>)
  Both(u8, String)
- Gone
",
        },
        Edit {
            name: "level",
            schema: "Level",
            old: layout::<before::Level>(),
            new: layout::<after::Level>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
enum Level {
    #[default]
    Low,
    High,
}
",
            check: "",
            difference: "\
\x20 Low
- High = 4
+ High
- Higher
",
        },
        Edit {
            name: "tree",
            schema: "Tree",
            old: layout::<before::Tree>(),
            new: layout::<after::Tree>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
struct Tree {
    value: u64,
    children: Vec<Tree>,
    name: String,
}
",
            check: "
pub fn check() {
    let old = TreeV1 { value: 3, children: vec![] };
    assert!(tree_from_1(old).is_err());
}
",
            difference: "\
\x20 value: u64
  children: Vec<Tree>
+ name: String
",
        },
        Edit {
            name: "only",
            schema: "Only",
            old: layout::<before::Only>(),
            new: layout::<after::Only>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
struct Only {
    is: u8,
}
",
            check: "
pub fn check() {
    assert_eq!(only_from_1(OnlyV1 { was: 3 }).unwrap().is, 0);
}
",
            difference: "\
- was: u8
+ is: u8
",
        },
        Edit {
            name: "kept",
            schema: "Kept",
            old: layout::<before::KeptInC>(),
            new: layout::<after::Kept>(),
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
struct Kept {
    at: (f32, f32),
}
",
            check: "
pub fn check() {
    assert_eq!(kept_from_1(KeptV1 { at: (1.0, 2.0) }).unwrap().at, (1.0, 2.0));
}
",
            difference: "\
- #[repr(C)]
  at: (f32, f32)
",
        },
        Edit {
            name: "folders",
            schema: "Root",
            old: layout::<before::Root>(),
            new: layout::<after::Root>(),
            source: "
use hotswap_module::state;

#[state(version = 2)]
#[derive(Default)]
struct Root {
    folder: Folder,
}

#[state(part)]
#[derive(Default)]
struct Folder {
    entries: Vec<Entry>,
}

#[state(part)]
enum Entry {
    File(String),
    Folder(#[abi(by_name)] Box<Folder>),
}
",
            check: "",
            difference: "\
\x20 folder: Folder
      entries: Vec<Entry>
          File(String)
          Folder(Box<Folder>)
-     name: String
",
        },
        Edit {
            name: "other_kind",
            schema: "Phase",
            old: layout::<before::Phase>(),
            new: {
                #[derive(Abi)]
                struct Phase {
                    is_running: bool,
                }
                layout::<Phase>()
            },
            source: "
#[hotswap_module::state(version = 2)]
#[derive(Default)]
struct Phase {
    is_running: bool,
}
",
            check: "",
            difference: "\
- enum Phase
+ struct Phase
- Idle
- Running { since: u64 }
- Inside(Vec<Phase>)
- Both(u8, String)
- Gone
+ is_running: bool
",
        },
    ]
}

impl Edit {
    fn skeleton(&self) -> String {
        skeleton(self.schema, self.old, 1, self.new, 2)
    }
}

#[test]
fn differences_read_like_diffs() {
    for edit in edits() {
        assert_eq!(difference(edit.old, edit.new), edit.difference, "{}", edit.name);
    }
}

#[test]
fn what_the_compiler_alone_changed_is_said() {
    assert_eq!(
        difference(layout::<before::Place>(), layout::<before::Place>()),
        "  x: f64\n  y: f64\n  (the same fields; the compiler laid them out in another way)\n"
    );
}

/// What is pasted compiles and runs: `tests/tests/ui.rs` builds the file that this one keeps.
#[test]
fn skeletons_are_what_is_compiled_elsewhere() {
    let mut text = String::from(
        "//! Skeletons of migrations as the engine prints them, each pasted below the new type.\n\
         //!\n\
         //! Written by engine/module/tests/skeleton.rs; with HOTSWAP_BLESS=1 it writes them anew.\n\n\
         #![deny(warnings)]\n",
    );
    let mut checks = String::new();
    for edit in edits() {
        let name = edit.name;
        let code = format!(
            "{}\n{}{}\npub fn former() -> &'static hotswap_module::Desc {{\n    <{}V1 as hotswap_module::Abi>::DESC\n}}\n",
            edit.source.trim_start(),
            edit.skeleton(),
            edit.check,
            edit.schema,
        );
        text.push_str(&format!("\nmod {name} {{\n{}}}\n", indented(&code)));
        let layout = edit.old.full_text();
        checks.push_str(&format!("    assert_eq!(layout({name}::former()), {layout:?});\n"));
        if !edit.check.is_empty() {
            checks.push_str(&format!("    {name}::check();\n"));
        }
    }
    text.push_str(&format!("\nfn main() {{\n{checks}}}\n"));
    text.push_str(
        "\nfn layout(desc: &'static hotswap_module::Desc) -> String {\n    \
         hotswap_module::Signature { arguments: &[], result: desc }.full_text()\n}\n",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/ui/pass/skeletons.rs");
    if std::env::var_os("HOTSWAP_BLESS").is_some() {
        fs::write(&path, &text).expect("it can be written");
    }
    assert_eq!(text, fs::read_to_string(&path).expect("it is there"));
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
        .collect()
}

#[test]
fn a_version_that_was_not_raised_is_asked_for() {
    let (old, new) = (layout::<before::Only>(), layout::<after::Only>());
    let asked = "// Write `#[state(version = 4)]` on Only: what is kept has version 3.\n\n";
    for new_version in [3, 1] {
        let text = skeleton("Only", old, 3, new, new_version);
        assert!(text.starts_with(asked), "{text}");
        assert!(
            text.contains("version = 3, name = \"Only\"") && text.contains("from = 3"),
            "{text}"
        );
    }
    assert!(!skeleton("Only", old, 3, new, 4).contains("Write"));
}
