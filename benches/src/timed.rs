//! One way to do something, timed; and several of them, turn by turn.

use std::fmt;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::{Outcome, Samples};

/// Times so many rounds.
type Run<'a> = Box<dyn FnMut(u64) -> Outcome<Duration> + 'a>;

/// One way to do something: criterion and the report both time it through this.
pub struct Timed<'a> {
    /// What it is called in tables.
    pub name: String,
    run: Run<'a>,
}

impl fmt::Debug for Timed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Timed<'a> {
    /// The closure does it as often as it is told, and gives how long that took without what it had to prepare.
    pub fn new(name: impl Into<String>, run: impl FnMut(u64) -> Outcome<Duration> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    /// How long so many rounds take. Blocks for as long.
    ///
    /// # Errors
    ///
    /// When what is timed fails.
    pub fn run(&mut self, rounds: u64) -> Outcome<Duration> {
        (self.run)(rounds)
    }

    /// How many rounds take this long, and at least one.
    fn rounds_in(&mut self, time: Duration) -> Outcome<u64> {
        let mut rounds = 1;
        while self.run(rounds)? < time / 2 {
            rounds *= 2;
        }
        Ok(rounds)
    }
}

/// Times all of them `samples` times, turn by turn, so that whatever else the machine does meets all alike. Each sample
/// takes about `time`, or one round where that is longer. Gives the seconds per round of each.
///
/// # Errors
///
/// When what is timed fails.
pub fn interleaved(
    paths: &mut [Timed<'_>],
    time: Duration,
    samples: usize,
) -> Outcome<Vec<Samples>> {
    // Finding out how many rounds are needed is what warms up.
    let rounds: Vec<u64> =
        paths.iter_mut().map(|path| path.rounds_in(time)).collect::<Outcome<_>>()?;
    let mut readings = vec![Vec::with_capacity(samples); paths.len()];
    for _ in 0..samples {
        for ((path, rounds), readings) in paths.iter_mut().zip(&rounds).zip(&mut readings) {
            readings.push(path.run(*rounds)?.as_secs_f64() / *rounds as f64);
        }
    }
    Ok(readings.into_iter().map(Samples::new).collect())
}

/// How long this thread has run. On a machine that does other things too it says more than the clock, of what only computes.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a thread has not run for less than nothing")
}

/// After something was timed, before something else is: whoever was timed may have work left, which is not to be the next one's.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(100));
}
