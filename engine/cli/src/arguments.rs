//! The command line as it is written.

mod delivery;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "serve")]
pub(crate) use self::delivery::ServeArguments;
pub(crate) use self::delivery::{
    KeysArguments, KeysCommand, NewKeyArguments, PasswordFile, PublishArguments, ReleaseArguments,
    RevisionArguments, VerifyArguments,
};
use crate::source::SourceArguments;

/// The shortest and the longest period that the monitor takes.
const POLL_MIN: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What `--poll` may become when it is not given: quick functions need no quicker look than
/// this, and slow ones must not delay an edit.
const POLL_DEFAULT_MIN: Duration = Duration::from_millis(100);
const POLL_DEFAULT_MAX: Duration = Duration::from_secs(1);

const AFTER_HELP: &str = "\
Examples:
  hotswap new game                       a module crate that works as it is
  hotswap run game                       calls its functions every second; edit game/src/lib.rs meanwhile
  hotswap run game --call f1 --every 250ms --release
  hotswap rollback                       in another terminal: the version before runs again
  hotswap check game                     builds and verifies it, lists what it exports
  hotswap audit list                     what ran when, from hotswap.log
  hotswap publish game --to modules.db   a revision, for `hotswap run sqlite:modules.db#game` anywhere
  hotswap keys new                       a key, to sign what others are to run
  hotswap publish game --prebuilt --to site/ --sign default
  hotswap                                the demonstration, on sample-engine

Exit codes: 0 done or ended by Ctrl-C, 1 refused or failed, 2 usage; 130 after a second Ctrl-C.
`run` writes what happens to hotswap.log in the working directory (--log). RUST_LOG=info shows the same
lines, and the log records of the module, on stderr.";

/// Replaces the code of a running program while you edit it.
///
/// `hotswap run` builds a module (a crate or a single .rs file), calls its functions in a loop and looks
/// at the source all the time. Save an edit, and a moment later the same process runs the new code. An edit
/// that does not compile, or that changes a function that is called, is shown and changes nothing. Without
/// a command, the demonstration runs on sample-engine.
#[derive(Debug, Parser)]
#[command(name = "hotswap", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// When to use colours: auto means on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        display_order = 100
    )]
    pub(crate) color: Color,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds a module, calls its functions in a loop, and follows every edit
    Run(RunArguments),
    /// Writes a new module crate that works as it is
    New(NewArguments),
    /// Builds and verifies a module and lists what it exports; calls nothing
    Check(CheckArguments),
    /// Says what a running program runs, and what failed last
    Status(ControlArguments),
    /// Lists the versions of a running program, and who holds them
    Versions(ControlArguments),
    /// Lists what replaced what in a running program, and why
    History(ControlArguments),
    /// Shows the state of a running program: what outlives its versions
    State(StateArguments),
    /// Has a running program look at its source now, and waits for the verdict
    Reload(ControlArguments),
    /// Goes back to the version before, or to another one
    Rollback(RollbackArguments),
    /// Runs one version until `resume`
    StayOn(VersionArguments),
    /// Ends what is under way, a build or a load hook say, before it goes live
    Abort(ControlArguments),
    /// Asks a replaced version to go
    Unload(VersionArguments),
    /// Has changes wait
    Pause(ControlArguments),
    /// Lets changes go live again
    Resume(ControlArguments),
    /// Never changes again what runs: there is no way back
    Freeze(ControlArguments),
    /// Lets what was refused at load, aborted or rolled back be tried again
    ClearQuarantine(ControlArguments),
    /// Tells what hotswap.log says, and whether it can be believed
    Audit(AuditArguments),
    /// Publishes a module for other programs: a signed release, or a revision in a database
    Publish(PublishArguments),
    /// Checks a release as a host would: who signed it, what belongs to it, until when it is good
    Verify(VerifyArguments),
    /// Makes the keys by which releases are signed, and lists them
    Keys(KeysArguments),
    /// Serves a directory of releases over HTTP or HTTPS
    #[cfg(feature = "serve")]
    Serve(ServeArguments),
    /// Lists the modules of a running program; lists, shows, compares and restores those of a database
    Modules(ModulesArguments),
}

const RUN_AFTER_HELP: &str = "\
On stdout: what the functions print. On stderr: one line per swap (`v8 is current: built in 160 ms, swapped
in 4 us`), the compiler's diagnostics when an edit does not compile, and the reason with both sides when it
is refused: a function named by --call must stay as it is, `fn()`. A first build that fails is waited for.
Ctrl-C or SIGTERM ends at once, also during a build; nothing is left behind.

Examples:
  hotswap run sample-engine --call f1 --call f2
  hotswap run rules.rs --every 250ms
  hotswap run game --times 3 --log none      three rounds, for scripts
  hotswap run https://example.org/modules#game --key RWQf6L..   what this key signed
  hotswap run sqlite:modules.db#game --or-else game      the database's, and the directory's as long as it has none

Exit codes: 0 done or ended by Ctrl-C, 1 failed (with --times: also when a call failed), 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = RUN_AFTER_HELP)]
pub(crate) struct RunArguments {
    /// How often the functions are called: 1s, 250ms; 0s means without a break
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(crate) every: Duration,

    /// A function to call, without arguments; may be repeated [default: every export of type fn()]
    #[arg(long, value_name = "FUNCTION")]
    pub(crate) call: Vec<String>,

    /// How often the source is looked at, 1ms to 24h; events of the file system wake it earlier [default: as --every, within 100ms and 1s]
    #[arg(long, value_name = "DURATION", value_parser = poll_period)]
    pub(crate) poll: Option<Duration>,

    /// Where hotswap.log goes; `none` writes none
    #[arg(long, value_name = "FILE", default_value = "hotswap.log")]
    pub(crate) log: PathBuf,

    /// Where `hotswap status`, `rollback` and so on reach this program; `none` lets nobody in
    #[arg(long, value_name = "PATH", default_value = crate::control::SOCKET)]
    pub(crate) control: PathBuf,

    /// Ends after this many rounds of calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) times: Option<u64>,

    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

impl RunArguments {
    /// `hotswap run PATH --call NAME..`, the rest as by default.
    pub(crate) fn calling(path: PathBuf, names: &[&str]) -> Self {
        Self {
            source: SourceArguments::of(path),
            every: Duration::from_secs(1),
            call: names.iter().map(ToString::to_string).collect(),
            poll: None,
            log: "hotswap.log".into(),
            control: crate::control::SOCKET.into(),
            times: None,
        }
    }

    pub(crate) fn poll_period(&self) -> Duration {
        self.poll.unwrap_or_else(|| self.every.clamp(POLL_DEFAULT_MIN, POLL_DEFAULT_MAX))
    }
}

/// Which running program, and how it is answered.
#[derive(Debug, Args)]
pub(crate) struct ControlArguments {
    /// The socket of the program: of `hotswap run`, or what its host gave to `control(..)`
    #[arg(long, value_name = "PATH", default_value = crate::control::SOCKET)]
    pub(crate) socket: PathBuf,

    /// Of a program with many modules (`Modules`), this one
    #[arg(long, value_name = "NAME")]
    pub(crate) module: Option<String>,

    /// How the answer is printed
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: Format,

    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StateArguments {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Lists the cells with their schema, version, size and value; one cell in full
    Show(StateShowArguments),
}

#[derive(Debug, Args)]
pub(crate) struct StateShowArguments {
    /// The schema whose cells are shown in full [default: one line for every cell]
    pub(crate) schema: Option<String>,

    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// The version to go back to: 2 or v2 [default: the one before]
    #[arg(value_parser = version)]
    pub(crate) version: Option<u64>,

    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// The version: 2 or v2
    #[arg(value_parser = version)]
    pub(crate) version: u64,

    #[command(flatten)]
    pub(crate) control: ControlArguments,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

const NEW_AFTER_HELP: &str = "\
Examples:
  hotswap new game
  hotswap new game --path modules/game

Exit codes: 0 written, 1 refused or failed (nothing is overwritten), 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = NEW_AFTER_HELP)]
pub(crate) struct NewArguments {
    /// The name of the crate: letters, digits, - and _
    pub(crate) name: String,

    /// The directory of the crate; it must be new or empty [default: NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

const CHECK_AFTER_HELP: &str = "\
The library is verified and loaded as `run` would do it, so its constructors run, but no function does. It stays in the
store of the target directory: what opens the same source with the same settings later needs no compiler.

Example:
  hotswap check sample-engine --release

Exit codes: 0 it can run, 1 it does not build or is refused, 2 usage. No log is written.";

#[derive(Debug, Args)]
#[command(after_help = CHECK_AFTER_HELP, mut_arg("long_poll", |poll| poll.hide(true)))]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

const AUDIT_AFTER_HELP: &str = "\
Only the log is read, with the files beside it that were put aside (hotswap.log.1, ..): no program needs to run.

Examples:
  hotswap audit list                     what ran when, from which source, at what cost
  hotswap audit show v8                  everything about how v8 came to be
  hotswap audit verify /var/log/game/hotswap.log && deploy

Exit codes: 0 done (verify: as it was written, to its end), 1 failed (verify: not as it was written), 2 usage,
3 (verify only) as it was written, as far as can be told: its end is not proven, or something has no outcome.";

#[derive(Debug, Args)]
#[command(after_help = AUDIT_AFTER_HELP)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,

    /// For people, or one JSON object a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: Format,
}

/// The log that is read unless another is named.
const DEFAULT_LOG: &str = "hotswap.log";

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Finds lines that were changed, removed, moved or cut off, and what was begun and has no outcome
    Verify {
        /// The log
        #[arg(default_value = DEFAULT_LOG)]
        log: PathBuf,
    },
    /// One line for each change: what ran when, from which source, built how, at what cost to callers
    List {
        /// The log
        #[arg(default_value = DEFAULT_LOG)]
        log: PathBuf,
    },
    /// The whole story of one change
    Show {
        /// Its id in `list`, the end of the id, or the version that it brought: v8
        change: String,
        /// The log
        #[arg(default_value = DEFAULT_LOG)]
        log: PathBuf,
    },
    /// What runs now: each engine with its versions that are not gone
    Versions {
        /// The log
        #[arg(default_value = DEFAULT_LOG)]
        log: PathBuf,
    },
}

const MODULES_AFTER_HELP: &str = "\
Examples:
  hotswap modules                              what the program has loaded that listens at hotswap.sock
  hotswap modules --tree                       and which of them call which
  hotswap modules unload game                  unless somebody uses it
  hotswap modules modules.db                   all modules
  hotswap modules modules.db show game         its revisions
  hotswap modules modules.db show game 3       one of them, with its code
  hotswap modules modules.db diff game 3       what became of it since
  hotswap modules modules.db restore game 3    publishes it once more

Exit codes: 0 done, 1 failed, 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = MODULES_AFTER_HELP)]
pub(crate) struct ModulesArguments {
    /// The database [default: none, but what a running program has loaded]
    pub(crate) database: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Option<ModulesCommand>,

    /// Of a running program: which modules call which, and how often
    #[arg(long, conflicts_with = "database")]
    pub(crate) tree: bool,

    /// The socket of the running program: what its host gave to `control(..)` of its `Modules`
    #[arg(long, value_name = "PATH", global = true, default_value = crate::control::SOCKET)]
    pub(crate) socket: PathBuf,

    /// For people, or one JSON object a line
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModulesCommand {
    /// Of a running program: loads a module
    Load {
        /// The module
        name: String,
    },
    /// Of a running program: unloads a module, unless somebody uses it
    Unload {
        /// The module
        name: String,
    },
    /// The revisions of a module, or one of them with its code
    Show {
        /// The module
        name: String,
        /// The revision
        revision: Option<u64>,
    },
    /// What one revision has that another has not
    Diff {
        /// The module
        name: String,
        /// The older one [default: the one before]
        old: Option<u64>,
        /// The newer one [default: the last]
        new: Option<u64>,
    },
    /// Publishes an earlier revision once more
    Restore {
        /// The module
        name: String,
        /// The revision
        revision: u64,
        /// Who does [default: $USER]
        #[arg(long, value_name = "WHO")]
        by: Option<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
    },
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write 1s or 250ms"))
}

fn version(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('v').unwrap_or(text);
    number.parse().map_err(|_| "versions are numbered: 2 or v2".to_owned())
}

fn poll_period(text: &str) -> Result<Duration, String> {
    let period = duration(text)?;
    if (POLL_MIN..=POLL_MAX).contains(&period) {
        Ok(period)
    } else {
        Err("the source can be looked at every 1ms to 24h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<RunArguments, clap::Error> {
        let line = ["hotswap", "run"].iter().chain(arguments);
        match Arguments::try_parse_from(line)?.command {
            Some(Command::Run(run)) => Ok(run),
            other => panic!("parsed as {other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_source_is_looked_at_as_often_as_functions_are_called_within_limits() {
        let poll = |arguments: &[&str]| run(arguments).unwrap().poll_period();
        assert_eq!(poll(&["game"]), Duration::from_secs(1));
        assert_eq!(poll(&["game", "--every", "250ms"]), Duration::from_millis(250));
        assert_eq!(poll(&["game", "--every", "0s"]), POLL_DEFAULT_MIN);
        assert_eq!(poll(&["game", "--every", "1h"]), POLL_DEFAULT_MAX);
        assert_eq!(poll(&["game", "--every", "1h", "--poll", "2s"]), Duration::from_secs(2));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (arguments, said) in [
            (vec!["game", "--every", "1"], "write 1s or 250ms"),
            (vec!["game", "--poll", "0s"], "every 1ms to 24h"),
            (vec!["game", "--times", "0"], "--times"),
            (vec!["game", "--release", "--profile", "fast"], "cannot be used with"),
            (vec![], "<SOURCE>"),
        ] {
            let error = run(&arguments).expect_err(said).to_string();
            assert!(error.contains(said), "{arguments:?}: {error}");
        }
    }
}
