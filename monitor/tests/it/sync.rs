//! CD-2: every write that was completed before somebody asks is considered in the answer, whatever writers do
//! meanwhile, and however they save.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use hotswap_monitor::{
    Artifact, BuildBackend, BuildErrorKind, BuildJob, Built, Monitor, Outcome, SETTLE_MIN, Scanner,
    Source, StopSignal, Trigger,
};

use crate::harness::{PATIENCE, Watched, offline, pause, write, write_crate};

/// Who writes, each to files of its own, so that the numbers in a file only grow.
const WRITERS: usize = 3;
const FILES_OF_EACH: usize = 2;
const ROUNDS: u64 = 40;
/// Edits of one writer in one round.
const EDITS: u64 = 20;

/// A compiler whose library is all that it read: name by name, each with its text.
#[derive(Debug)]
struct Collector {
    root: PathBuf,
}

impl BuildBackend for Collector {
    fn build(&mut self, _: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        let mut library = String::new();
        for name in texts_below(&self.root) {
            // Between two steps of a save it is not there.
            let Ok(text) = fs::read_to_string(self.root.join(&name)) else { continue };
            library += &format!("{name}={text}\n");
            // As long as a compiler has a file open and works on others: edits fall in between.
            pause(Duration::from_millis(2));
        }
        if stop.is_stopped() {
            return Err(BuildErrorKind::Stopped);
        }
        let target_dir = self.root.join("target");
        fs::create_dir_all(&target_dir).unwrap();
        let path = target_dir.join("libcollected.so");
        let _absent = fs::remove_file(&path);
        fs::write(&path, library).unwrap();
        Ok(Built::new(path, target_dir))
    }
}

/// The files that are edited, each with the number of its writer.
fn edited() -> impl Iterator<Item = (usize, String)> {
    (0..WRITERS * FILES_OF_EACH).map(|file| (file / FILES_OF_EACH, format!("src/file_{file}.rs")))
}

/// What there is to compile: also a temporary file that is about to become another, and no backup.
fn texts_below(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("src")).unwrap().flatten();
    let names = entries.map(|entry| format!("src/{}", entry.file_name().to_str().unwrap()));
    let mut names: Vec<String> = names.filter(|name| !name.ends_with('~')).collect();
    names.sort();
    names
}

/// A sequence that looks random and is the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Saves a text in one of the ways of editors.
fn save(path: &Path, text: &str, way: u64) {
    let beside = |extension: &str| path.with_extension(extension);
    match way {
        0 => fs::write(path, text).unwrap(),
        1 => {
            fs::write(beside("tmp"), text).unwrap();
            fs::rename(beside("tmp"), path).unwrap();
        }
        2 => {
            let _first = fs::remove_file(path);
            fs::write(path, text).unwrap();
        }
        _ => {
            let _first = fs::rename(path, beside("rs~"));
            fs::write(path, text).unwrap();
        }
    }
}

/// The texts in a library by the name of the file.
fn collected(artifact: &Artifact) -> BTreeMap<String, String> {
    let library = fs::read_to_string(&artifact.path).unwrap();
    let lines = library.lines().map(|line| line.split_once('=').unwrap());
    lines.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// What a tree of other files and the texts of a library would have for a fingerprint.
struct Shadow {
    root: PathBuf,
    scanner: Scanner,
}

impl Shadow {
    fn new(root: PathBuf) -> Self {
        write_crate(&root, "game", "");
        let scanner = Scanner::with_settings(&Source::from(&root), &offline());
        Self { root, scanner }
    }

    fn assert_same(&mut self, artifact: &Artifact) {
        let texts = collected(artifact);
        for name in texts_below(&self.root) {
            if !texts.contains_key(&name) {
                fs::remove_file(self.root.join(name)).unwrap();
            }
        }
        for (name, text) in &texts {
            write(&self.root, name, text);
        }
        let fingerprint = self.scanner.scan().unwrap().fingerprint;
        assert_eq!(artifact.fingerprint, fingerprint, "a build of other bytes: {texts:?}");
    }
}

/// The number in a text; `None` for one that was caught half written, which is newer than all before.
fn number(text: &str) -> Option<u64> {
    text.strip_prefix("// ")?.strip_suffix(" //")?.parse().ok()
}

#[test]
fn cd_2_what_was_written_before_the_question_is_in_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("game");
    write_crate(&root, "game", "");
    for (_, name) in edited() {
        write(&root, &name, "// 0 //");
    }
    let mut shadow = Shadow::new(directory.path().join("shadow").join("game"));
    let builder = Monitor::builder(&root)
        .build(offline())
        .backend(Box::new(Collector { root: root.clone() }))
        .settle(SETTLE_MIN);
    let watched = Watched::polling(builder, Duration::from_millis(3));

    // The number of the last edit of each file that is complete.
    let completed: Vec<AtomicU64> = edited().map(|_| AtomicU64::new(0)).collect();
    let mut live: Option<Artifact> = None;
    let mut questions = 0;
    // Asks, and gives the texts of what is live then.
    let mut ask = |live: &mut Option<Artifact>| {
        let ticket = watched.monitor.scan(Trigger::Manual);
        questions += 1;
        loop {
            let notification = watched.next();
            match notification.outcome {
                Outcome::Ready(artifact) => {
                    shadow.assert_same(&artifact);
                    *live = Some(artifact);
                }
                Outcome::Unchanged(fingerprint) => {
                    assert_eq!(Some(fingerprint), live.as_ref().map(|live| live.fingerprint));
                }
                other => panic!("{other:?}"),
            }
            if notification.through >= ticket {
                return collected(live.as_ref().expect("the first answer is an artifact"));
            }
        }
    };
    thread::scope(|scope| {
        // Dropped when a look fails, which ends the writers.
        let mut starts = Vec::new();
        let (done, is_done) = bounded(WRITERS);
        for writer in 0..WRITERS {
            let (root, completed, done) = (&root, &completed, done.clone());
            let (start, started) = bounded::<()>(1);
            starts.push(start);
            scope.spawn(move || {
                let mut random = Random(0x9e37_79b9_7f4a_7c15 + writer as u64);
                let own: Vec<(usize, String)> = edited()
                    .enumerate()
                    .filter(|(_, (owner, _))| *owner == writer)
                    .map(|(file, (_, name))| (file, name))
                    .collect();
                let mut number = 0;
                while started.recv().is_ok() {
                    for _ in 0..EDITS {
                        number += 1;
                        let (file, name) = &own[random.below(FILES_OF_EACH as u64) as usize];
                        save(&root.join(name), &format!("// {number} //"), random.below(4));
                        // Release pairs with the Acquire of who asks.
                        completed[*file].store(number, Ordering::Release);
                        // The rhythm of the writer; some edits fall into a build.
                        if random.below(6) == 0 {
                            pause(Duration::from_millis(random.below(40)));
                        }
                    }
                    done.send(()).unwrap();
                }
            });
        }
        for _ in 0..ROUNDS {
            for start in &starts {
                start.send(()).unwrap();
            }
            for _ in 0..2 {
                let before: Vec<u64> =
                    completed.iter().map(|number| number.load(Ordering::Acquire)).collect();
                let texts = ask(&mut live);
                for ((_, name), wanted) in edited().zip(before) {
                    let found = texts.get(&name).map(|text| number(text));
                    // Half a save that came later is no loss of what was there before.
                    if let Some(Some(found)) = found {
                        assert!(found >= wanted, "{name}: edit {wanted} is lost, {found} is live");
                    }
                }
            }
            for _ in 0..WRITERS {
                is_done.recv_timeout(PATIENCE).unwrap();
            }
            // Nobody writes: what lies there is what is live, byte for byte.
            let texts = ask(&mut live);
            for ((_, name), last) in edited().zip(&completed) {
                let wanted = format!("// {} //", last.load(Ordering::Acquire));
                assert_eq!(texts.get(&name), Some(&wanted), "{name}");
                assert_eq!(fs::read_to_string(root.join(&name)).unwrap(), wanted);
            }
        }
    });
    assert_eq!(questions, 3 * ROUNDS);
    let edits: u64 = WRITERS as u64 * ROUNDS * EDITS;
    let steps = watched.steps();
    let discarded = steps.iter().filter(|step| ["discarded", "cancelled"].contains(step)).count();
    let built = steps.iter().filter(|step| **step == "stored").count();
    assert!(built as u64 >= ROUNDS, "{built} builds of {edits} edits");
    assert!(discarded > 0, "no edit fell into a build: the writers were idle");
}
