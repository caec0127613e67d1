//! What the binary `hotswap` does; `hotswap --help` describes it.
//!
//! Results (what functions print, the tables of `check` and `audit`) go to stdout, everything about
//! them to stderr. Not a library for others: use `hotswap_engine` instead.

#![forbid(unsafe_code)]

mod arguments;
mod audit;
mod caller;
mod check;
mod control;
mod crate_name;
mod demonstration;
mod failure;
mod interrupts;
mod keys;
mod modules;
mod narration;
mod narrator;
mod new;
mod paint;
mod progress;
mod publish;
mod run;
mod screen;
#[cfg(feature = "serve")]
mod serve;
mod source;
mod span;
mod state;
mod table;
mod targets;
mod template;
mod trust;
mod verify;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;

use crate::arguments::{Arguments, Command, StateCommand};
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::screen::Screen;

/// Reads the arguments of this process, does what they say, and gives the exit code: 0, 1 when something
/// was refused or failed, 2 when the arguments make no sense.
#[must_use]
pub fn main() -> ExitCode {
    // Exits by itself: 0 after --help and --version, 2 on a mistake.
    let arguments = Arguments::parse();
    // Off by default: the lines of hotswap.log that are mirrored there would double what is shown.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    let screen = Arc::new(Screen::stderr(arguments.color));
    match carry_out(&arguments, &screen) {
        Ok(code) => code,
        Err(failure) => {
            screen.print(&failure.text(screen.paint()));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(arguments: &Arguments, screen: &Arc<Screen>) -> Result<ExitCode, Failure> {
    match &arguments.command {
        Some(Command::New(new)) => new::new(new),
        Some(Command::Check(check)) => check::check(check, screen, &Interrupts::install()?),
        Some(Command::Run(run)) => run::run(run, screen, &Interrupts::install()?),
        Some(Command::Status(control)) => {
            control::control("status", None, control, arguments.color)
        }
        Some(Command::Versions(control)) => {
            control::control("versions", None, control, arguments.color)
        }
        Some(Command::History(control)) => {
            control::control("history", None, control, arguments.color)
        }
        Some(Command::State(asked)) => {
            let StateCommand::Show(show) = &asked.command;
            state::show(show, arguments.color)
        }
        Some(Command::Reload(control)) => {
            control::control("reload", None, control, arguments.color)
        }
        Some(Command::Abort(control)) => control::control("abort", None, control, arguments.color),
        Some(Command::Pause(control)) => control::control("pause", None, control, arguments.color),
        Some(Command::Resume(control)) => {
            control::control("resume", None, control, arguments.color)
        }
        Some(Command::Freeze(control)) => {
            control::control("freeze", None, control, arguments.color)
        }
        Some(Command::ClearQuarantine(control)) => {
            control::control("clear-quarantine", None, control, arguments.color)
        }
        Some(Command::Rollback(rollback)) => {
            control::control("rollback", rollback.version, &rollback.control, arguments.color)
        }
        Some(Command::StayOn(version)) => {
            control::control("stay-on", Some(version.version), &version.control, arguments.color)
        }
        Some(Command::Unload(version)) => {
            control::control("unload", Some(version.version), &version.control, arguments.color)
        }
        Some(Command::Publish(publish)) => {
            publish::publish(publish, screen, &Interrupts::install()?)
        }
        Some(Command::Verify(verify)) => verify::verify(verify),
        Some(Command::Keys(keys)) => keys::keys(keys, arguments.color),
        #[cfg(feature = "serve")]
        Some(Command::Serve(serve)) => serve::serve(serve, screen, &Interrupts::install()?),
        Some(Command::Modules(modules)) => modules::modules(modules, arguments.color),
        Some(Command::Audit(audit)) => audit::audit(audit, arguments.color),
        None => demonstration::demonstrate(screen),
    }
}
