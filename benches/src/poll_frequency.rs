//! What looking costs: one idle look by the size of the tree, and a share of a processor by the period.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use hotswap_monitor::{Scanner, Source};

use crate::detect::{Wake, Watched};
use crate::timed::{Timed, interleaved, processor_time};
use crate::tree::{Tree, let_files_age};
use crate::{Outcome, Samples, Workshop};

/// Trees of each size, old enough to be looked at without being read.
#[derive(Debug)]
pub struct Trees {
    trees: Vec<Tree>,
}

/// What one idle look cost.
#[derive(Debug, Clone)]
pub struct IdlePoll {
    /// How many sources the tree has.
    pub files: usize,
    /// Seconds for asking the system about each known path: the floor.
    pub floor: Samples,
    /// Seconds for one look.
    pub samples: Samples,
    /// How many files were read meanwhile.
    pub files_read: u64,
}

impl Trees {
    /// Writes them, and waits until they are old: some two seconds.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn new(workshop: &Workshop, sizes: &[usize]) -> Outcome<Self> {
        let trees = sizes.iter().map(|files| Tree::new(workshop, "tree", *files));
        let trees = Self { trees: trees.collect::<Outcome<_>>()? };
        let_files_age();
        Ok(trees)
    }

    /// The trees, in the order of the sizes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Tree> {
        self.trees.iter_mut()
    }

    /// What one idle look at each of them costs.
    ///
    /// # Errors
    ///
    /// When one cannot be looked at.
    pub fn idle_polls(&self, samples: usize) -> Outcome<Vec<IdlePoll>> {
        self.trees.iter().map(|tree| idle_poll(tree, samples)).collect()
    }
}

fn idle_poll(tree: &Tree, samples: usize) -> Outcome<IdlePoll> {
    let mut scanner = warm_scanner(tree)?;
    let read_before = scanner.files_read();
    let mut both = interleaved(
        &mut [statx_of_known_paths(tree), look(&mut scanner)],
        Duration::from_millis(2),
        samples,
    )?
    .into_iter();
    let (floor, ours) = (both.next().expect("two paths"), both.next().expect("two paths"));
    let files_read = scanner.files_read() - read_before;
    Ok(IdlePoll { files: tree.sources.len(), floor, samples: ours, files_read })
}

/// A scanner that has read the tree; the tree is old enough not to be read again.
///
/// # Errors
///
/// When the tree cannot be looked at.
pub fn warm_scanner(tree: &Tree) -> Outcome<Scanner> {
    let mut scanner = Scanner::new(&Source::from(tree.root()));
    scanner.scan()?;
    Ok(scanner)
}

/// Asks the system about each path of a tree, in processor time: nobody who polls can do with less.
#[must_use]
pub fn statx_of_known_paths(tree: &Tree) -> Timed<'_> {
    Timed::new(format!("statx of known paths (floor)/{}", tree.sources.len()), |rounds| {
        let start = processor_time();
        for _ in 0..rounds {
            for path in &tree.sources {
                black_box(fs::symlink_metadata(path)?);
            }
        }
        Ok(processor_time().saturating_sub(start))
    })
}

/// One look at a tree that does not change, in processor time: it is done by the thread that asks.
#[must_use]
pub fn look(scanner: &mut Scanner) -> Timed<'_> {
    Timed::new("idle look", |rounds| {
        let start = processor_time();
        for _ in 0..rounds {
            black_box(scanner.scan()?.fingerprint);
        }
        Ok(processor_time().saturating_sub(start))
    })
}

/// What a monitor that looks this often takes of one processor.
#[derive(Debug, Clone, Copy)]
pub struct PollShare {
    /// How many sources the tree has.
    pub files: usize,
    /// What makes it look.
    pub wake: Wake,
    /// From 0 to 1.
    pub share: f64,
}

/// A monitor for each wake, all at once, on a tree that does not change: the processor time of their threads while the
/// window is open. Monitors that would hold each other up belong into separate calls.
///
/// # Errors
///
/// When a monitor does not start.
pub fn shares(tree_wakes: &[(&Tree, Wake)], window: Duration) -> Outcome<Vec<PollShare>> {
    let mut watched = Vec::new();
    for (tree, wake) in tree_wakes {
        let before = processor_times()?;
        let monitor = Watched::start(tree.root(), *wake)?;
        let threads: Vec<u64> =
            processor_times()?.into_keys().filter(|thread| !before.contains_key(thread)).collect();
        watched.push((tree.sources.len(), *wake, threads, monitor));
    }
    let before = processor_times()?;
    let start = Instant::now();
    thread::sleep(window);
    let after = processor_times()?;
    let window = start.elapsed();
    let time = |times: &BTreeMap<u64, Duration>, threads: &[u64]| -> Duration {
        threads.iter().filter_map(|thread| times.get(thread)).sum()
    };
    let share = |(files, wake, threads, _monitor): &(usize, Wake, Vec<u64>, Watched)| {
        let used = time(&after, threads).saturating_sub(time(&before, threads));
        PollShare { files: *files, wake: *wake, share: used.as_secs_f64() / window.as_secs_f64() }
    };
    Ok(watched.iter().map(share).collect())
}

/// How long each thread of this process has run. *Source*: the first field of `/proc/self/task/*/schedstat`, in
/// nanoseconds (Linux, `Documentation/scheduler/sched-stats.rst`).
pub(crate) fn processor_times() -> Outcome<BTreeMap<u64, Duration>> {
    let mut times = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/task")? {
        let entry = entry?;
        // A thread that ended meanwhile has no time any more.
        let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let nanoseconds = text.split(' ').next().unwrap_or_default().trim().parse()?;
        let thread = entry.file_name().to_string_lossy().parse()?;
        times.insert(thread, Duration::from_nanos(nanoseconds));
    }
    Ok(times)
}
