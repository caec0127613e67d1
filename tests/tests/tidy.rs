//! Rules that no compiler checks: who may depend on whom, where `unsafe` may stand, what a test may not do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hotswap_tests::prebuilt::cargo;
use hotswap_tests::workspace_root;
use serde_json::Value;

/// One Rust file of the repository: its path from the root, and its text.
struct RustFile {
    path: String,
    text: String,
}

impl RustFile {
    /// Whether the whole file is a test.
    fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The lines that are code of the product, with their numbers: no comments, nothing from the first `#[cfg(test)]` on.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_product = !self.is_test();
        self.code_lines().take_while(move |(_, line)| is_product && line.trim() != "#[cfg(test)]")
    }

    /// The lines that are tests.
    fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test = self.is_test();
        self.code_lines().skip_while(move |(_, line)| !is_test && line.trim() != "#[cfg(test)]")
    }

    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn rust_files() -> Vec<RustFile> {
    let root = workspace_root();
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository is readable") {
            let path = entry.expect("the repository is readable").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&path).expect("source is UTF-8");
                files.push(RustFile { path: relative(&path, root), text });
            }
        }
    }
    assert!(files.len() > 50, "the repository has more files than {}", files.len());
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

fn relative(path: &Path, root: &Path) -> String {
    let inside: PathBuf = path.strip_prefix(root).expect("found below the root").into();
    inside.to_string_lossy().into_owned()
}

/// The places where `wanted` says yes, for the message of a failed rule.
fn places<'a>(
    files: &'a [RustFile],
    lines: impl Fn(&'a RustFile) -> Vec<(usize, &'a str)>,
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    files
        .iter()
        // This file names what it looks for.
        .filter(|file| !file.path.ends_with("tests/tidy.rs"))
        .flat_map(|file| lines(file).into_iter().map(move |(number, line)| (file, number, line)))
        .filter(|(_, _, line)| wanted(line))
        .map(|(file, number, line)| format!("{}:{number}: {}", file.path, line.trim()))
        .collect()
}

const NOWHERE: [String; 0] = [];

/// Everything unsafe, and why it cannot be otherwise.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("benches/src/load.rs", "loads a C library, the floor of loading"),
    ("benches/src/peers/mod.rs", "loads libraries as peers do"),
    ("benches/src/peers/plain_crate.rs", "writes functions that the linker names"),
    (
        "engine/macros/src/derive_abi.rs",
        "writes `unsafe impl Abi`, whose contract the derive checks",
    ),
    ("engine/macros/src/function.rs", "writes shims and the section that their records lie in"),
    ("engine/macros/src/migrate.rs", "writes shims of steps, which keep to the contract of `step`"),
    ("engine/macros/src/needs.rs", "writes records into a link section"),
    (
        "engine/macros/src/state.rs",
        "writes shims of state types, which keep to the contract of `serve`, and `unsafe impl StateType`",
    ),
    ("engine/module/src/abi.rs", "the trait itself: implementing it is a promise"),
    ("engine/module/src/arguments.rs", "packs arguments; implementing it is a promise"),
    ("engine/module/src/caller.rs", "calls by erased types"),
    ("engine/module/src/exits.rs", "hands over functions for the end"),
    ("engine/module/src/crossing.rs", "calls the table of services: what crosses is counted"),
    ("engine/module/src/guest.rs", "allocator, and calls through the table of services"),
    ("engine/module/src/intercept.rs", "stands in for functions of the C library"),
    ("engine/module/src/leaves.rs", "implements `Abi` for the types of std"),
    ("engine/module/src/linked.rs", "reads the program's own link section"),
    ("engine/module/src/module_macro.rs", "writes the root symbol and the intercepted symbols"),
    ("engine/module/src/named.rs", "calls other modules by erased types"),
    ("engine/module/src/record.rs", "reads pointers out of records in memory"),
    ("engine/module/src/root.rs", "the type of the start routine"),
    ("engine/module/src/services.rs", "the table of services: C functions and borrowed texts"),
    ("engine/module/src/shim.rs", "reads packed arguments and writes results"),
    ("engine/module/src/state/cell.rs", "reaches a value that the host has locked"),
    ("engine/module/src/state/kind.rs", "the trait itself: implementing it is a promise"),
    ("engine/module/src/state/link.rs", "a list of links that the host makes"),
    ("engine/module/src/state/operation.rs", "does with values what an engine asks"),
    ("engine/module/src/state/step.rs", "reads old values and writes new ones"),
    ("engine/src/core.rs", "calls shims"),
    ("engine/src/engine.rs", "implements `Caller`"),
    ("engine/src/function.rs", "calls by erased types"),
    ("engine/src/guard.rs", "implements `Caller`"),
    ("engine/src/hook.rs", "calls shims of hooks"),
    ("engine/src/image.rs", "loads libraries and looks into their memory"),
    ("engine/src/leftovers.rs", "runs destructors that modules left on threads"),
    ("engine/src/libraries.rs", "looks for libraries that are loaded"),
    ("engine/src/provide.rs", "reads packed arguments and writes results"),
    ("engine/src/services.rs", "the host's side of the table of services"),
    ("engine/src/services/exit.rs", "the same: handlers of the end"),
    ("engine/src/services/running.rs", "the same: a list on a thread's stack"),
    ("engine/src/services/cells.rs", "the same: cells"),
    ("engine/src/modules/calls.rs", "calls by erased types"),
    ("engine/src/services/modules.rs", "the same: calls of other modules"),
    ("engine/src/services/signals.rs", "the same: signal handlers"),
    ("engine/src/services/threads.rs", "the same: threads and thread-specific keys"),
    ("engine/src/state/bound.rs", "a list of tables that are never freed before their image"),
    ("engine/src/state/cell.rs", "values of state types, behind a lock"),
    ("engine/src/state/held.rs", "texts that are borrowed from images"),
    ("engine/src/state/value.rs", "calls shims of state types"),
    ("engine/src/state/migration.rs", "calls shims of steps"),
    ("engine/src/stage.rs", "maps files that it alone writes"),
    ("engine/src/swapper/hooks.rs", "runs hooks of the images that it keeps"),
    ("engine/src/slot/mod.rs", "reaches a version through the pointer that a slot names"),
    ("engine/src/slot/threads.rs", "a list of records that are never freed"),
    ("monitor/system/src/mapping.rs", "files as memory, and what is mapped"),
    ("monitor/system/src/sandbox/linux.rs", "filters the calls of a process before it runs"),
];

#[test]
fn unsafe_stands_only_where_it_is_listed() {
    let words = [
        "unsafe {",
        "unsafe fn",
        "unsafe impl",
        "unsafe trait",
        "unsafe extern",
        "#[unsafe(",
        "{ unsafe",
        "unsafe(link_section",
    ];
    let files = rust_files();
    let used: BTreeSet<&str> = files
        .iter()
        .filter(|file| {
            file.product_lines().any(|(_, line)| words.iter().any(|word| line.contains(word)))
        })
        .map(|file| file.path.as_str())
        // Only the tests' modules: they are tests.
        .filter(|path| !path.starts_with("tests/"))
        .collect();
    let listed: BTreeSet<&str> = UNSAFE_FILES.iter().map(|(path, _)| *path).collect();
    let missing: Vec<_> = used.difference(&listed).collect();
    assert!(missing.is_empty(), "unsafe code in files that are not listed: {missing:?}");
    let gone: Vec<_> = listed.difference(&used).collect();
    assert!(gone.is_empty(), "listed, and without unsafe code: {gone:?}");
}

#[test]
fn no_test_is_ignored() {
    let found = places(
        &rust_files(),
        |file| file.code_lines().collect(),
        |line| line.trim().starts_with("#[ignore"),
    );
    assert_eq!(found, NOWHERE);
}

/// A test waits for what it waits for, with a deadline: time passed proves nothing.
#[test]
fn no_test_sleeps() {
    let found = places(
        &rust_files(),
        |file| file.test_lines().collect(),
        |line| {
            // A module that a test writes out may sleep.
            line.split('"').next().is_some_and(|code| code.contains("thread::sleep("))
        },
    );
    assert_eq!(found, NOWHERE);
}

/// What goes past the seam: the standard library's own files, processes, threads, clocks and loaders.
const PAST_THE_SEAM: &[&str] = &[
    "std::fs",
    "std::process",
    "std::thread::spawn",
    "std::thread::Builder",
    "thread::Builder",
    "thread::sleep",
    "fs::OpenOptions",
    "fs::DirBuilder",
    "Library::open",
    "Instant::now",
    "SystemTime::now",
    "crossbeam_channel::after",
    "crossbeam_channel::tick",
    "recv_timeout",
    "recv_deadline",
    "wait_for(",
    "wait_until(",
    ".elapsed()",
    ".spawn()",
    ".output()",
    ".status()",
    ".exists()",
    ".try_exists()",
    ".read_dir()",
    ".read_link()",
    ".canonicalize()",
    ".symlink_metadata()",
];

/// What goes past it all the same: the file, the word, and why.
const ALLOWED_PAST_THE_SEAM: &[(&str, &str, &str)] = &[
    ("engine/src/image.rs", "Library::open", "the loader's seam: checked in the line before"),
    ("engine/src/libraries.rs", "Library::open", "checked before, where it matters"),
    ("engine/src/audit/opened.rs", "std::fs", "names the error of a lock"),
    ("engine/src/audit/scribe.rs", "recv_timeout", "the head is a matter of real time"),
    ("engine/src/audit/log_file.rs", "recv_timeout", "a disk that hangs is a matter of real time"),
    ("engine/src/audit/log_file.rs", "wait_for(", "a disk that hangs is a matter of real time"),
    ("monitor/src/build/ledger.rs", "std::fs", "names the error of a lock"),
    ("monitor/src/delivery/publish/directory.rs", "std::fs", "names the error of a lock"),
    ("engine/src/engine.rs", ".status()", "an engine's, not a process's"),
    ("engine/src/control/answer.rs", ".status()", "an engine's, not a process's"),
    ("engine/src/control/modules.rs", ".status()", "a registry's, not a process's"),
    ("engine/src/modules/mod.rs", ".status()", "a registry's, not a process's"),
    ("engine/src/modules/registry.rs", ".status()", "an engine's, not a process's"),
    ("monitor/src/http/client.rs", ".status()", "an answer's, not a process's"),
    ("monitor/src/http/long_poll.rs", ".status()", "an answer's, not a process's"),
    ("monitor/src/http/place.rs", ".status()", "an answer's, not a process's"),
];

/// Every fallible step of engine and monitor can be made to fail by a test.
#[test]
fn what_can_fail_goes_through_the_seam() {
    let is_of_the_path = |file: &&RustFile| {
        ["engine/src/", "monitor/src/", "monitor/artifact/src/", "monitor/trust/src/"]
            .iter()
            .any(|folder| file.path.starts_with(folder))
    };
    let files = rust_files();
    let mut found = Vec::new();
    for file in files.iter().filter(is_of_the_path) {
        for (number, line) in file.product_lines() {
            // Traits of the platform's own metadata look at what was asked for already.
            let code =
                line.replace("std::os::unix::fs::", "").replace("std::os::unix::process::", "");
            let is_allowed = |word: &str| {
                ALLOWED_PAST_THE_SEAM
                    .iter()
                    .any(|(path, allowed, _)| *path == file.path && *allowed == word)
            };
            let past = PAST_THE_SEAM.iter().filter(|word| code.contains(**word));
            found.extend(
                past.filter(|word| !is_allowed(word))
                    .map(|word| format!("{}:{number}: {word}", file.path)),
            );
        }
    }
    assert_eq!(found, NOWHERE);
    let is_used = |(path, word, _): &&(&str, &str, &str)| {
        files.iter().any(|file| file.path == *path && file.text.contains(word))
    };
    let unused: Vec<_> = ALLOWED_PAST_THE_SEAM.iter().filter(|entry| !is_used(entry)).collect();
    assert!(unused.is_empty(), "allowed, and not there: {unused:?}");
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    let found = places(
        &rust_files(),
        |file| file.product_lines().collect(),
        |line| line.contains(".unwrap()"),
    );
    assert_eq!(found, NOWHERE);
}

/// Where a file is split.
const FILE_LINES_MAX: usize = 600;

#[test]
fn files_are_short() {
    let files = rust_files();
    let long: Vec<_> = files
        .iter()
        .map(|file| (file.path.as_str(), file.text.lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert_eq!(long, []);
}

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "helpers", "common", "misc", "manager"];

#[test]
fn nothing_has_an_empty_name() {
    let files = rust_files();
    let found: Vec<_> = files
        .iter()
        .flat_map(|file| file.path.split(['/', '.', '_', '-']).map(move |part| (file, part)))
        .filter(|(_, part)| {
            EMPTY_NAMES.contains(part) || EMPTY_NAMES.contains(&format!("{part}s").as_str())
        })
        .map(|(file, _)| file.path.as_str())
        .collect();
    assert_eq!(found, [""; 0]);
    let modules = places(
        &files,
        |file| file.code_lines().collect(),
        |line| EMPTY_NAMES.iter().any(|name| line.contains(&format!("mod {name}"))),
    );
    assert_eq!(modules, NOWHERE);
}

/// One dependency between packages of this repository.
#[derive(Debug)]
struct Dependency {
    on: String,
    is_optional: bool,
}

/// The dependencies, tests' left out, of a package on packages of this repository.
fn dependencies(package: &str) -> Vec<Dependency> {
    let output = cargo()
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("a workspace has packages");
    let found = packages.iter().find(|known| known["name"] == package);
    let known = found.unwrap_or_else(|| panic!("{package} is a package of the workspace"));
    let all = known["dependencies"].as_array().expect("a list");
    all.iter()
        .filter(|dependency| dependency["path"].is_string() && dependency["kind"] != "dev")
        .map(|dependency| Dependency {
            on: dependency["name"].as_str().expect("a name").to_owned(),
            is_optional: dependency["optional"] == true,
        })
        .collect()
}

fn names_of(package: &str) -> Vec<String> {
    let mut names: Vec<_> =
        dependencies(package).into_iter().map(|dependency| dependency.on).collect();
    names.sort();
    names
}

/// The monitor never knows the engine, a module never links it, and an engine can do without a monitor.
#[test]
fn dependencies_point_one_way() {
    assert_eq!(names_of("hotswap-system"), NOWHERE);
    assert_eq!(names_of("hotswap-artifact"), ["hotswap-system"]);
    assert_eq!(names_of("hotswap-trust"), ["hotswap-artifact", "hotswap-system"]);
    assert_eq!(
        names_of("hotswap-monitor"),
        ["hotswap-artifact", "hotswap-system", "hotswap-trust"]
    );
    assert_eq!(names_of("hotswap-macros"), NOWHERE);
    assert_eq!(names_of("hotswap-module"), ["hotswap-macros"]);
    assert_eq!(
        names_of("hotswap-engine"),
        ["hotswap-artifact", "hotswap-module", "hotswap-monitor", "hotswap-system"]
    );
    assert_eq!(names_of("sample-interface"), ["hotswap-module"]);
    assert_eq!(names_of("sample-engine"), ["hotswap-module", "sample-interface"]);
    let engine = dependencies("hotswap-engine");
    let monitor =
        engine.iter().find(|dependency| dependency.on == "hotswap-monitor").expect("listed above");
    assert!(monitor.is_optional, "a host without a compiler does without it");
}

/// How many crates a package brings, itself included, without its tests.
fn crate_count(package: &str) -> usize {
    let output = cargo()
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let crates: BTreeSet<&str> = text.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    crates.len()
}

/// What every module's first build pays: macros (syn, quote, proc-macro2, unicode-ident), libc and log; and for state, which a module
/// can do without, serde, postcard and serde_json with eight that they bring.
const MODULE_CRATES_MAX: usize = 19;
/// What a host pays by default, the monitor and its sandbox included.
const ENGINE_CRATES_MAX: usize = 51;

#[test]
fn few_crates_are_needed() {
    let count = crate_count("hotswap-module");
    assert!(count <= MODULE_CRATES_MAX, "hotswap-module brings {count} crates");
    let count = crate_count("hotswap-engine");
    assert!(count <= ENGINE_CRATES_MAX, "hotswap-engine brings {count} crates");
}

/// Names that are reserved before they exist, so that adding the method breaks no interface: those that
/// DESIGN promises, and those of the builder that read like an engine's.
const RESERVED_AHEAD: &[&str] = &["is_paused", "log_path", "provide", "require"];

/// A function of an interface that is named like a method would never be reached: the list of
/// such names is that of the real methods.
#[test]
fn reserved_names_are_the_methods() {
    let read = |path: &str| fs::read_to_string(workspace_root().join(path)).expect("it lies there");
    let list = read("engine/macros/src/reserved.rs");
    let reserved: BTreeSet<String> = list
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .map(str::to_owned)
        .collect();
    let mut methods: BTreeSet<String> = BTreeSet::from(["clone".to_owned()]);
    for path in ["engine/src/engine.rs", "engine/src/guard.rs"] {
        methods.extend(functions(&read(path), "pub "));
    }
    let caller = read("engine/module/src/caller.rs");
    let start = caller.find("pub unsafe trait Caller").expect("the trait is there");
    let end = start + caller[start..].find("\n}\n").expect("and ends");
    methods.extend(functions(&caller[start..end], ""));
    assert!(methods.len() > 15, "{methods:?}");
    let missing: Vec<_> = methods.difference(&reserved).collect();
    assert!(missing.is_empty(), "methods that are not reserved: {missing:?}");
    let ahead: Vec<&str> = reserved.difference(&methods).map(String::as_str).collect();
    assert_eq!(ahead, RESERVED_AHEAD, "reserved, and no method");
}

/// The names of the functions whose declaration begins a line with `visibility`.
fn functions(text: &str, visibility: &str) -> Vec<String> {
    let name = |line: &str| {
        let rest = line.trim_start().strip_prefix(visibility)?;
        let rest = rest.strip_prefix("const ").unwrap_or(rest);
        let rest = rest.strip_prefix("unsafe ").unwrap_or(rest).strip_prefix("fn ")?;
        let end = rest.find(['(', '<'])?;
        Some(rest[..end].to_owned())
    };
    text.lines().filter_map(name).collect()
}

/// Each script, module and test file of this package is used.
#[test]
fn every_module_of_the_tests_is_built() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = rust_files();
    let used: String = files
        .iter()
        .filter(|file| file.path.starts_with("tests/tests/") || file.path.starts_with("tests/src/"))
        .map(|file| file.text.as_str())
        .collect();
    for entry in fs::read_dir(tests.join("modules")).expect("they lie there") {
        let name = entry.expect("readable").file_name().to_string_lossy().into_owned();
        assert!(used.contains(&format!("\"{name}\"")), "nobody builds modules/{name}");
    }
}

/// Invariant 3: the places that publish and unmap are the swapper's. Before its thread starts, the builder publishes linked code.
#[test]
fn one_thread_publishes_and_unmaps() {
    let files = rust_files();
    let product = |file| RustFile::product_lines(file).collect();
    let files_with = |word: &str| -> BTreeSet<String> {
        let found = places(&files, product, |line| line.contains(word));
        found.iter().filter_map(|place| Some(place.split_once(':')?.0.to_owned())).collect()
    };
    let only =
        |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        files_with("slot.publish("),
        only(&[
            "engine/src/builder.rs",
            "engine/src/swapper/publish.rs",
            "engine/src/swapper/retire.rs"
        ])
    );
    assert_eq!(files_with("image.unload()"), only(&["engine/src/swapper/retire.rs"]));
    assert_eq!(files_with("library.close()"), only(&["engine/src/image.rs"]));
    // The second only looks for what is loaded.
    let openers = ["engine/src/image.rs", "engine/src/libraries.rs"];
    assert_eq!(files_with("Library::open("), only(&openers));
    assert_eq!(files_with("RTLD_NOLOAD"), only(&openers[1..]));
}

/// Every number of the documentation on unloading names a test that exists, but for what is a text of the code.
#[test]
fn reasons_why_nothing_can_be_used_late_name_their_tests() {
    let path = workspace_root().join("engine/src/docs/unload.md");
    let text = fs::read_to_string(path).expect("it lies there");
    let (_, reasons) = text.split_once("## Why safe code").expect("the section");
    let (reasons, _) = reasons.split_once("\nNumbers 9 to 13").expect("what follows");
    let tests: BTreeSet<String> =
        rust_files().iter().flat_map(|file| functions(&file.text, "")).collect();
    let mut numbers: Vec<Vec<&str>> = Vec::new();
    for line in reasons.lines() {
        if line.split_once(". **").is_some_and(|(number, _)| number.parse::<u32>().is_ok()) {
            numbers.push(Vec::new());
        }
        let named = line.split('`').skip(1).step_by(2).filter(|name| tests.contains(*name));
        numbers.iter_mut().last().into_iter().for_each(|number| number.extend(named.clone()));
        // A test's name is longer than any name of the code.
        let missing = |name: &&str| name.matches('_').count() > 4 && !tests.contains(*name);
        assert_eq!(line.split('`').skip(1).step_by(2).find(missing), None, "there is no such test");
    }
    assert_eq!(numbers.len(), 17);
    let bare = numbers.iter().position(Vec::is_empty);
    assert_eq!(bare.map(|index| index + 1), None, "this number names no test");
}

/// Every test that an invariant of ARCHITECTURE.md names exists, and every invariant names one.
#[test]
fn invariants_name_their_tests() {
    let text = fs::read_to_string(workspace_root().join("ARCHITECTURE.md")).expect("it lies there");
    let (_, invariants) = text.split_once("## Invariants").expect("the section");
    let (invariants, _) = invariants.split_once("\n## ").expect("another section follows");
    let tests: BTreeSet<String> =
        rust_files().iter().flat_map(|file| functions(&file.text, "")).collect();
    let rows: Vec<_> = invariants
        .lines()
        .filter(|line| {
            line.starts_with("| ") && !line.starts_with("| #") && !line.starts_with("| -")
        })
        .collect();
    assert!(rows.len() > 10, "the table has {} rows", rows.len());
    for row in rows {
        let column = row.trim_end_matches('|').rsplit('|').next().expect("three columns");
        let named: Vec<_> = column.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for test in named {
            assert!(tests.contains(test), "there is no test {test}: {row}");
        }
    }
}
