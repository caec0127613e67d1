//! Threads that exist while there is something to do, and who waits for one.

use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Sender;
use hotswap_artifact::MemberId;
use hotswap_system::thread;
use parking_lot::Mutex;

use super::{Reads, Seat};
use crate::watch::Interrupted;
use crate::watch::group::{Candidate, Looked, Party};

/// How many rounds go on at a time.
///
/// Four: one may look after a build, one may fetch, and others still get their answer. More would only
/// take turns on the disk.
const WORKERS_MAX: usize = 4;

/// How many sources that lie behind a network are asked at a time, beside those rounds.
///
/// Four as well: who waits for a server keeps no processor busy, and servers that are down hold up no other source.
const SLOW_MAX: usize = 4;

/// What comes to the shared thread.
pub(super) enum Arrival {
    /// To be looked at for the first time.
    New(Box<Seat>),
    /// Back from a round.
    Back(Box<Seat>),
    /// It was told to end, and has.
    Over(MemberId),
}

pub(super) type Seats = Vec<Box<Seat>>;

/// Who is not looked at, and what they read.
pub(super) struct Others {
    /// Those that cannot be looked at now.
    pub(super) absent: Vec<(MemberId, Reads)>,
    /// Those that were, and did not differ then.
    pub(super) quiet: Vec<Reads>,
}

/// What is to be done elsewhere than on the shared thread.
pub(super) enum Job {
    /// A round of one source, whatever others do: there is nothing that a look could be compared with.
    Round(Box<Seat>),
    /// A round of one source that has most likely nothing new.
    Ask(Box<Seat>),
    /// A look at sources that differ. Those that differ by the same files are dealt with together, unless
    /// somebody else reads these files as well.
    Look(Seats, Others),
    /// The rest of a round.
    Single(Box<Candidate>),
    /// The rest of the rounds of a group.
    Group(Vec<Candidate>),
}

/// What waits for a thread.
pub(crate) struct Line {
    state: Mutex<State>,
    arrivals: Sender<Arrival>,
    last_group: AtomicU64,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    workers: usize,
    /// How many of them ask over a network.
    slow: usize,
}

impl State {
    /// The first job that may be begun now.
    fn next(&self) -> Option<usize> {
        self.jobs.iter().position(|job| self.slow < SLOW_MAX || !job.is_slow())
    }
}

impl Job {
    fn is_slow(&self) -> bool {
        match self {
            Self::Round(seat) | Self::Ask(seat) => seat.watch.is_slow(),
            Self::Look(..) | Self::Single(_) | Self::Group(_) => false,
        }
    }
}

impl Line {
    pub(super) fn new(arrivals: Sender<Arrival>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrivals, last_group: AtomicU64::new(0) })
    }

    /// Has something done. Where no thread can be had and none is there, here.
    pub(super) fn add(self: &Arc<Self>, job: Job) {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        self.employ(&mut state);
        if state.workers == 0 {
            log::warn!("no thread could be started; all sources wait for one");
            state.workers += 1;
            drop(state);
            self.work();
        }
    }

    /// Does something that takes as long as somebody else wants it to: others have a thread meanwhile.
    pub(crate) fn aside<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let mut state = self.state.lock();
        state.workers -= 1;
        self.employ(&mut state);
        drop(state);
        let done = work();
        self.state.lock().workers += 1;
        done
    }

    fn employ(self: &Arc<Self>, state: &mut State) {
        if state.next().is_some() && state.workers < WORKERS_MAX + state.slow {
            let line = Arc::clone(self);
            match thread::spawn("hotswap-look", move || line.work()) {
                Ok(_detached) => state.workers += 1,
                Err(error) => log::debug!("no thread could be started ({error})"),
            }
        }
    }

    /// Works until nothing waits.
    fn work(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            let next = state.next();
            let Some(job) = next.and_then(|next| state.jobs.remove(next)) else {
                state.workers -= 1;
                return;
            };
            let is_slow = job.is_slow();
            if is_slow {
                state.slow += 1;
                self.employ(&mut state);
            }
            drop(state);
            match job {
                Job::Round(seat) => self.send(turn(seat)),
                Job::Ask(seat) => self.send(match Candidate::find(seat) {
                    Looked::Candidate(one) if one.may_have_company() => {
                        Looked::Back(one.postpone(None))
                    }
                    other => other,
                }),
                Job::Look(seats, others) => self.look(seats, others),
                Job::Single(candidate) => self.send(candidate.carry_out()),
                Job::Group(candidates) => {
                    // Relaxed: nothing but the number is read.
                    let number = || self.last_group.fetch_add(1, Ordering::Relaxed) + 1;
                    let done = Party::new(candidates).carry_out(number);
                    done.into_iter().for_each(|looked| self.send(looked));
                }
            }
            if is_slow {
                self.state.lock().slow -= 1;
            }
        }
    }

    fn look(self: &Arc<Self>, seats: Seats, mut others: Others) {
        let mut candidates = Vec::new();
        for seat in seats {
            match Candidate::find(seat) {
                Looked::Candidate(candidate) => candidates.push(*candidate),
                Looked::Held(seat) => {
                    others.absent.push((seat.member, seat.reads.clone()));
                    self.send(Looked::Held(seat));
                }
                other => self.send(other),
            }
        }
        for (paths, mut related) in by_shared_paths(candidates) {
            if let Some((other, _)) = others.absent.iter().find(|(_, reads)| reads.any(&paths)) {
                for candidate in related {
                    self.send(Looked::Back(candidate.postpone(Some(*other))));
                }
                continue;
            }
            // It may have been written between the looks at two of them.
            let new: BTreeSet<PathBuf> =
                related.iter().flat_map(Candidate::unsearched).cloned().collect();
            if others.quiet.iter().any(|reads| reads.any(&new)) {
                for candidate in related {
                    self.send(Looked::Back(candidate.search()));
                }
                continue;
            }
            match related.pop() {
                Some(one) if related.is_empty() => self.add(Job::Single(Box::new(one))),
                last => self.add(Job::Group(related.into_iter().chain(last).collect())),
            }
        }
    }

    fn send(&self, looked: Looked) {
        let arrival = match looked {
            Looked::Candidate(candidate) => return self.send(candidate.carry_out()),
            Looked::Back(seat) | Looked::Held(seat) => Arrival::Back(seat),
            Looked::Over(seat) => {
                let member = seat.member;
                release(seat);
                Arrival::Over(member)
            }
        };
        // The shared thread has ended: nobody watches any more.
        let _over = self.arrivals.send(arrival);
    }
}

/// Puts together what differs by the same files, also by way of others.
fn by_shared_paths(candidates: Vec<Candidate>) -> Vec<(BTreeSet<PathBuf>, Vec<Candidate>)> {
    let mut groups: Vec<(BTreeSet<PathBuf>, Vec<Candidate>)> = Vec::new();
    for candidate in candidates {
        let mut paths = candidate.shareable();
        let mut members = vec![candidate];
        let (related, others): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(known, _)| !known.is_disjoint(&paths));
        for (more_paths, more_members) in related {
            paths.extend(more_paths);
            members.extend(more_members);
        }
        groups = others;
        groups.push((paths, members));
    }
    groups
}

fn turn(mut seat: Box<Seat>) -> Looked {
    let (post, trigger) = (seat.post.clone(), seat.trigger);
    match post.during(|| seat.watch.turn(trigger)) {
        Ok(()) | Err(Interrupted::Parked) => Looked::Back(seat),
        Err(Interrupted::Stopped) => Looked::Over(seat),
    }
}

/// Drops a watch, and with it what is its user's.
pub(super) fn release(seat: Box<Seat>) {
    // Unwind safety: nothing of it is used afterwards.
    if catch_unwind(AssertUnwindSafe(|| drop(seat))).is_err() {
        log::error!("what belongs to a monitor panicked when it was dropped");
    }
}
