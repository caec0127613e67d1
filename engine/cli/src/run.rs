//! `hotswap run`: calls functions in a loop, and follows every edit.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossbeam_channel::{Receiver, at, select};
use hotswap_engine::{CallError, Engine, EngineBuilder, OpenErrorKind};

use crate::arguments::RunArguments;
use crate::caller::Caller;
use crate::control;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::narrator::{Narrator, Told};
use crate::screen::Screen;
use crate::targets::{Complaints, Targets, is_broken_pipe};

/// How long an interrupt waits for the calls under way: short enough to be "at once", and long enough for
/// functions that just print.
const GRACE: Duration = Duration::from_millis(100);

/// Runs until it is interrupted, or for as many rounds as were asked for.
pub(crate) fn run(
    arguments: &RunArguments,
    screen: &Arc<Screen>,
    interrupts: &Interrupts,
) -> Result<ExitCode, Failure> {
    let builder = arguments.source.builder()?.wake_on_events();
    let builder = builder.poll_every(arguments.poll_period());
    let builder = if arguments.log.as_os_str() == "none" {
        builder.without_log()
    } else {
        builder.log_file(&arguments.log)
    };
    let builder = let_in(builder, &arguments.control, screen);
    let interrupted = interrupts.ended();
    let (builder, events) = builder.wait_for_repair().cancel_on(interrupts.cancelled()).subscribe();
    let narrator =
        Narrator::start(arguments.source.name(), events, Arc::clone(screen), Told::Everything)
            .context("cannot start a thread")?;
    let engine = match builder.open() {
        Ok(engine) => engine,
        Err(error) => {
            narrator.finish();
            return match error.kind {
                OpenErrorKind::Cancelled => Ok(ExitCode::SUCCESS),
                _ => Err(error.into()),
            };
        }
    };
    narrator.after_first();
    let caller = Caller::start().context("cannot start a thread")?;
    let ending = Loop { arguments, engine: &engine, screen, caller: &caller, interrupted }.turn();
    // Ends a build under way, and waits for no call.
    drop(engine);
    if ending != Ending::DuringCall {
        narrator.finish();
    }
    Ok(match ending {
        Ending::Done | Ending::Interrupted | Ending::DuringCall => ExitCode::SUCCESS,
        Ending::CallsFailed => ExitCode::FAILURE,
    })
}

/// Opens the control socket, unless another program has it.
fn let_in(builder: EngineBuilder, socket: &Path, screen: &Screen) -> EngineBuilder {
    if socket.as_os_str() == "none" {
        return builder;
    }
    if control::is_served(socket) {
        let socket = socket.display();
        screen.print(&format!(
            "another program is controlled by {socket}; this one is not, unless by --control PATH"
        ));
        return builder;
    }
    builder.control(socket)
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As many rounds as were asked for; or nobody reads the output any more.
    Done,
    /// The same, and at least one call failed.
    CallsFailed,
    /// Between two calls.
    Interrupted,
    /// While a call went on, which ends with the process.
    DuringCall,
}

/// The loop that calls.
struct Loop<'a> {
    arguments: &'a RunArguments,
    engine: &'a Engine,
    screen: &'a Screen,
    caller: &'a Caller,
    interrupted: &'a Receiver<()>,
}

impl Loop<'_> {
    fn turn(&self) -> Ending {
        self.introduce();
        let mut targets = Targets::new(&self.arguments.call);
        let mut complaints = Complaints::default();
        let mut count = 0;
        let mut has_failed = false;
        loop {
            let next = Instant::now() + self.arguments.every;
            let round = targets.round(self.engine);
            if round.targets.is_empty() {
                let line = complaints.about_nothing(self.engine.version());
                line.into_iter().for_each(|line| self.screen.print(&line));
            }
            self.caller.begin(round);
            let errors = match self.outcome() {
                Ok(errors) => errors,
                Err(ending) => return ending,
            };
            if errors.iter().any(is_broken_pipe) {
                return Ending::Done;
            }
            has_failed |= !errors.is_empty();
            for line in errors.iter().filter_map(|error| complaints.about(error)) {
                self.screen.print(&format!("{} {line}", self.screen.paint().bad("call failed:")));
            }
            count += 1;
            if Some(count) == self.arguments.times {
                return if has_failed { Ending::CallsFailed } else { Ending::Done };
            }
            select! {
                recv(self.interrupted) -> _ => return Ending::Interrupted,
                recv(at(next)) -> _ => {}
            }
        }
    }

    /// Waits for the end of the round, or for the user's wish to end.
    fn outcome(&self) -> Result<Vec<CallError>, Ending> {
        let outcomes = self.caller.outcomes();
        select! {
            recv(outcomes) -> errors => Ok(errors.expect("the caller's thread outlives its rounds")),
            recv(self.interrupted) -> _ => match outcomes.recv_timeout(GRACE) {
                Ok(_) => Err(Ending::Interrupted),
                Err(_) => Err(Ending::DuringCall),
            },
        }
    }

    /// One line that says what goes on from here.
    fn introduce(&self) {
        let what = match self.arguments.call.as_slice() {
            [] => "every fn()".to_owned(),
            names => names.join(", "),
        };
        let every = humantime::format_duration(self.arguments.every);
        let log = self.engine.status().log_path;
        let log =
            log.map_or_else(|| "no log".to_owned(), |path| format!("log in {}", path.display()));
        let line = format!("calling {what} every {every}; {log}; Ctrl-C ends");
        self.screen.print(&self.screen.paint().faint(&line));
    }
}
