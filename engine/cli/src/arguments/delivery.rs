//! Releases: how they are signed, published, verified and served.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::duration;
use crate::source::SourceArguments;
use crate::trust::TrustArguments;

const PUBLISH_AFTER_HELP: &str = "\
Programs that run the module from there swap by themselves. What is published is the source; with --prebuilt the library
that it builds into here, and who runs it needs no compiler, but the same one must have built the program. Of a crate all files
are taken, but target and .git. A release may depend by path on nothing outside of it but hotswap-module; a revision goes without the rest.

WHERE is a database if it is a file or its name ends in .db. Anything else is a directory of releases, made where there is none: put it on
any web server, or serve it with `hotswap serve`. What goes into a directory, or is signed, is a release: it follows the one before, and
expires; --renew publishes the same files once more, before it does. Hosts take it if they believe a key of --sign, and an unsigned one only where they are
told to. What goes into a database unsigned is a revision.

Examples:
  hotswap publish game --to site/ --sign default
  hotswap publish game --to site/ --sign default --prebuilt --release --expires 7d
  hotswap publish game --to site/ --sign default --renew       the same files, good for longer
  hotswap publish game --to site/ --sign default --floor 12    and no release before 12 is gone back to
  hotswap publish game --to modules.db --sign default
  hotswap publish game --to modules.db --why 'rounder edges'
  hotswap publish rules.rs --to modules.db --expect 7          only if nobody published since 7

Exit codes: 0 published, 1 refused or failed (nothing is published), 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = PUBLISH_AFTER_HELP, mut_arg("long_poll", |poll| poll.hide(true)))]
pub(crate) struct PublishArguments {
    /// The directory of releases, or the database
    #[arg(long, value_name = "WHERE")]
    pub(crate) to: PathBuf,

    /// The module's name there [default: the last part of SOURCE]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Builds it, verifies it, and publishes the library
    #[arg(long)]
    pub(crate) prebuilt: bool,

    /// Publishes only if the module is at this release or revision; 0: if there is none
    #[arg(long, value_name = "NUMBER")]
    pub(crate) expect: Option<u64>,

    #[command(flatten)]
    pub(crate) source: SourceArguments,

    #[command(flatten)]
    pub(crate) release: ReleaseArguments,

    #[command(flatten)]
    pub(crate) revision: RevisionArguments,
}

/// What only releases have.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is published, as a release")]
pub(crate) struct ReleaseArguments {
    /// Signs with this key: a name in `hotswap keys list`, or the path of a file; may be repeated
    #[arg(long, value_name = "KEY")]
    pub(crate) sign: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) password: PasswordFile,

    /// How long it can be taken for the newest release: 12h, 30d. It never expires before the release that it follows [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = long_duration)]
    pub(crate) expires: Option<Duration>,

    /// The lowest release that may still run, and be gone back to; at most the new one's number [default: as before]
    #[arg(long, value_name = "N")]
    pub(crate) floor: Option<u64>,

    /// Publishes the files that lie there once more, with a later expiry, unless they expired; SOURCE only names them
    #[arg(long, conflicts_with_all = ["prebuilt", "floor"])]
    pub(crate) renew: bool,
}

/// What only revisions have that nobody signs.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is published, as a revision that nobody signs")]
pub(crate) struct RevisionArguments {
    /// Who publishes [default: $USER]
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,

    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) why: String,

    /// A line of a [dependencies] table, for a single file: 'serde = "1"'; may be repeated
    #[arg(long, value_name = "LINE", conflicts_with = "prebuilt")]
    pub(crate) dependency: Vec<String>,

    /// How many revisions of the module are kept [default: 20]
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<u32>,
}

const VERIFY_AFTER_HELP: &str = "\
Of what a host checks before it runs a release this checks: signature, module, channel, expiry, and the length and SHA-256 of every file. What
depends on the host is shown and not checked: target, ABI and compiler; nor is what a host remembers: whether it has seen a newer one, and its
floor.

Examples:
  hotswap verify site/#game --key default
  hotswap verify site/game/stable/hotswap.manifest --key RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3
  hotswap verify https://example.org/modules#game --key game.pub

Exit codes: 0 all of it is as it was signed, 1 it is not, or cannot be read, 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = VERIFY_AFTER_HELP, mut_arg("long_poll", |poll| poll.hide(true)))]
pub(crate) struct VerifyArguments {
    /// `DIRECTORY#MODULE`, `DATABASE#MODULE`, `https://HOST/PATH#MODULE`, or the path of a manifest
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,

    #[command(flatten)]
    pub(crate) trust: TrustArguments,
}

const KEYS_AFTER_HELP: &str = "\
KEY is a name (letters, digits, - and _), for NAME.key and NAME.pub in the directory of keys: $XDG_CONFIG_HOME/hotswap/keys, else
~/.config/hotswap/keys. Anything else is the path of a file. A secret key never leaves the machine that signs: hosts need the public line.

Examples:
  hotswap keys new                                asks for a password
  hotswap keys new ci --no-password               for a machine that signs by itself
  hotswap keys list

Exit codes: 0 done, 1 refused or failed (nothing is overwritten), 2 usage.";

#[derive(Debug, Args)]
#[command(after_help = KEYS_AFTER_HELP)]
pub(crate) struct KeysArguments {
    #[command(subcommand)]
    pub(crate) command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a key, and prints its public half, one line, for hosts
    New(NewKeyArguments),
    /// Lists keys with their public lines
    List {
        /// The directory [default: the directory of keys]
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct NewKeyArguments {
    /// Its name, or where its secret file goes
    #[arg(value_name = "KEY", default_value = "default")]
    pub(crate) key: PathBuf,

    #[command(flatten)]
    pub(crate) password: PasswordArguments,
}

/// The password of a new key.
#[derive(Debug, Args)]
pub(crate) struct PasswordArguments {
    /// Stores it as it is: whoever reads the file can sign
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) no_password: bool,

    #[command(flatten)]
    pub(crate) file: PasswordFile,
}

/// Where a password is, unless somebody is there to be asked.
#[derive(Debug, Default, Args)]
pub(crate) struct PasswordFile {
    /// Takes the password of the key from the first line of this file [default: $HOTSWAP_KEY_PASSWORD, or asks for it]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[cfg(feature = "serve")]
const SERVE_AFTER_HELP: &str = "\
For tests and small sites; any web server or bucket does as well. Files are served with an ETag of their content, whole or in ranges, to
anybody who can connect. A request for a manifest with `Prefer: wait=N` is answered when it changes, after N seconds (300 at most) at the
latest. Names that begin with a dot, links, and what lies outside of DIR are not there; a directory with a secret key in it is not served at all.

Examples:
  hotswap serve site/
  hotswap serve site/ --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem

On stderr: one line per request. Ctrl-C or SIGTERM ends it when the answers under way are out, or after ten seconds.
Exit codes: 0 ended by Ctrl-C, 1 refused or failed, 2 usage.";

#[cfg(feature = "serve")]
#[derive(Debug, Args)]
#[command(after_help = SERVE_AFTER_HELP)]
pub(crate) struct ServeArguments {
    /// The directory of releases
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Where it listens; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: std::net::SocketAddr,

    /// Serves https with this certificate and those that vouch for it, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The secret key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// Prints no line per request
    #[arg(long)]
    pub(crate) quiet: bool,
}

/// At least a minute: what expires earlier has expired when it is fetched.
fn long_duration(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(60) {
        return Err("a release is good for a minute at least: write 12h or 30d".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};
    use hotswap_engine::delivery::EXPIRY_DEFAULT;
    use hotswap_engine::sqlite::REVISIONS_KEPT;

    use super::super::{CheckArguments, RunArguments};
    use super::*;

    fn help(augment: fn(Command) -> Command) -> String {
        augment(Command::new("hotswap")).render_long_help().to_string()
    }

    #[test]
    fn defaults_are_said_as_they_are() {
        let help = help(PublishArguments::augment_args);
        let expiry = humantime::format_duration(EXPIRY_DEFAULT).to_string().replace("days", "d");
        for (option, default) in [("--expires", expiry), ("--keep", REVISIONS_KEPT.to_string())] {
            let (_, said) = help.split_once(&format!("{option} <")).unwrap();
            let said = said.split("\n\n").next().unwrap();
            assert!(said.contains(&format!("[default: {default}]")), "{option}: {said}");
        }
    }

    #[test]
    fn who_asks_once_is_not_offered_to_be_told_of_changes() {
        assert!(help(RunArguments::augment_args).contains("--long-poll"));
        for once in [
            CheckArguments::augment_args,
            PublishArguments::augment_args,
            VerifyArguments::augment_args,
        ] {
            assert!(!help(once).contains("--long-poll"));
        }
    }
}
