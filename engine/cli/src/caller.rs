//! The thread that makes the calls, so that a call that takes long cannot keep the program from ending.
//!
//! It never holds the engine itself: whoever asked for a round may drop that at any time.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use hotswap_engine::{CallError, Function, Guard};

/// One call to make.
pub(crate) enum Target {
    /// In whatever version is current then; such a function must stay as it is.
    Checked(Function<fn()>),
    /// In the round's version, whatever the function gives.
    Named(String),
}

/// Calls to make one after the other.
pub(crate) struct Round {
    /// The version of the calls by name; there is one if there are any.
    pub(crate) guard: Option<Guard>,
    pub(crate) targets: Vec<Target>,
}

/// Makes one round of calls after the other.
pub(crate) struct Caller {
    rounds: Sender<Round>,
    outcomes: Receiver<Vec<CallError>>,
}

impl Caller {
    /// Starts the thread. It ends with this value, or with the call that it is in.
    pub(crate) fn start() -> io::Result<Self> {
        let (rounds, asked) = bounded::<Round>(1);
        let (done, outcomes) = bounded(1);
        thread::Builder::new().name("caller".to_owned()).spawn(move || {
            for round in asked {
                if done.send(make(round)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { rounds, outcomes })
    }

    /// Begins a round; the one before must be over.
    pub(crate) fn begin(&self, round: Round) {
        self.rounds.send(round).expect("the thread ends after this sender");
    }

    /// Gives the errors of each round when it is over.
    pub(crate) fn outcomes(&self) -> &Receiver<Vec<CallError>> {
        &self.outcomes
    }
}

fn make(round: Round) -> Vec<CallError> {
    let Round { guard, targets } = round;
    let call = |target: &Target| match (target, &guard) {
        (Target::Checked(function), _) => function.call().err(),
        (Target::Named(name), Some(guard)) => guard.call(name).err(),
        (Target::Named(_), None) => None,
    };
    targets.iter().filter_map(call).collect()
}
