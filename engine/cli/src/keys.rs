//! `hotswap keys`: by which releases are signed.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use hotswap_engine::delivery::KeyPair;
use hotswap_trust::PublicKeys;

use crate::arguments::{Color, KeysArguments, KeysCommand, NewKeyArguments, PasswordFile};
use crate::failure::Failure;
use crate::paint::Paint;
use crate::table::table;
use crate::trust;

/// Where a password may be, for machines.
const PASSWORD_VARIABLE: &str = "HOTSWAP_KEY_PASSWORD";

/// What the files of secret keys end in.
pub(crate) const SECRET: &str = "key";

/// What the files of public keys end in.
pub(crate) const PUBLIC: &str = "pub";

/// Makes keys, and lists them.
pub(crate) fn keys(arguments: &KeysArguments, color: Color) -> Result<ExitCode, Failure> {
    match &arguments.command {
        KeysCommand::New(new) => make(new)?,
        KeysCommand::List { directory } => list(directory.as_deref(), color)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that is meant by a name or a path; `ending` is that of the file.
pub(crate) fn file(key: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let is_name = key.to_str().is_some_and(|name| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    });
    Ok(if is_name { directory()?.join(key).with_extension(ending) } else { key.to_owned() })
}

/// A secret key, whose password is asked for where it has one.
pub(crate) fn secret(key: &Path, password: &PasswordFile) -> anyhow::Result<KeyPair> {
    let path = file(key, SECRET)?;
    let shown = path.display();
    let cannot = || format!("cannot sign with {shown}");
    let password = if KeyPair::has_password(&path).with_context(cannot)? {
        Some(match given(password)? {
            Some(given) => given,
            None => ask(&format!("Password of {shown}: "))?,
        })
    } else {
        None
    };
    KeyPair::read(&path, password.as_deref()).with_context(cannot)
}

/// Where keys lie that have a name.
fn directory() -> anyhow::Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // As the specification of these directories has it: a relative one counts for nothing.
    let configuration = of("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let configuration = configuration.or_else(|| Some(of("HOME")?.join(".config")));
    let found = configuration.context("neither XDG_CONFIG_HOME nor HOME is set; name a file")?;
    Ok(found.join("hotswap").join("keys"))
}

fn make(arguments: &NewKeyArguments) -> anyhow::Result<()> {
    let secret = file(&arguments.key, SECRET)?;
    let public = secret.with_extension(PUBLIC);
    for path in [&secret, &public] {
        // Before somebody thinks of a password.
        if path.symlink_metadata().is_ok() {
            return Err(anyhow!(
                "{} exists, and no key is ever overwritten; give another name",
                path.display()
            ));
        }
    }
    let password = match given(&arguments.password.file)? {
        _ if arguments.password.no_password => None,
        Some(password) => Some(password),
        None => Some(ask_twice(&secret)?),
    };
    let pair = KeyPair::generate(password.as_deref())?;
    if let Some(parent) = secret.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        private_directory(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    pair.write(&secret, &public)?;
    let how = if password.is_some() { "it needs its password" } else { "it has no password" };
    eprintln!(
        "key {}: secret in {} ({how}), public in {}\nhosts are given this line, as in Trust::key(\"..\") or --key:",
        pair.id(),
        secret.display(),
        public.display(),
    );
    println!("{}", pair.public());
    Ok(())
}

fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn list(directory: Option<&Path>, color: Color) -> anyhow::Result<()> {
    let directory = directory.map_or_else(self::directory, |path| Ok(path.to_owned()))?;
    let shown = directory.display();
    let entries = match fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("there are no keys in {shown}: `hotswap keys new` makes one");
            return Ok(());
        }
        entries => entries.with_context(|| format!("cannot read {shown}"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {shown}"))?.path();
        let is_key = path.extension().is_some_and(|found| found == SECRET || found == PUBLIC);
        if is_key {
            names.push(path.with_extension(""));
        }
    }
    names.sort();
    names.dedup();
    let rows: Vec<_> = names.iter().map(|path| row(path)).collect();
    if rows.is_empty() {
        eprintln!("there are no keys in {shown}: `hotswap keys new` makes one");
        return Ok(());
    }
    let paint = Paint::choose(color, &io::stdout());
    print!("{}", table(["NAME", "KEY", "SECRET", "PUBLIC"], &rows, paint));
    Ok(())
}

fn row(path: &Path) -> [String; 4] {
    let name = path.file_name().unwrap_or_default().to_string_lossy().escape_debug().to_string();
    let secret = path.with_extension(SECRET);
    let how = match KeyPair::has_password(&secret) {
        _ if !secret.exists() => "not here".to_owned(),
        Ok(true) => "with password".to_owned(),
        Ok(false) => "no password".to_owned(),
        Err(error) => error.to_string(),
    };
    let public = path.with_extension(PUBLIC);
    let (id, line) = match PublicKeys::read(&public) {
        Ok(keys) => {
            let id = keys.ids().map(|id| id.to_string()).collect::<Vec<_>>().join(" ");
            (id, public_lines(&public))
        }
        Err(error) => ("-".to_owned(), error.to_string()),
    };
    [name, id, how, line]
}

/// What hosts are given, without the comment above it.
fn public_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with("untrusted comment:"));
    lines.collect::<Vec<_>>().join(" ")
}

/// The password that a file or the environment has.
fn given(password: &PasswordFile) -> anyhow::Result<Option<String>> {
    let Some(path) = &password.password_file else {
        return Ok(std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty()));
    };
    trust::first_line(path).map(Some)
}

fn ask_twice(secret: &Path) -> anyhow::Result<String> {
    let first = ask(&format!("New password for {}: ", secret.display()))?;
    if first.is_empty() {
        return Err(anyhow!("an empty password is none; say --no-password, if that is meant"));
    }
    if ask("The same again: ")? != first {
        return Err(anyhow!("the two are not the same; no key was made"));
    }
    Ok(first)
}

/// Asks at the terminal, which shows nothing of what is typed.
fn ask(prompt: &str) -> anyhow::Result<String> {
    const ELSEWHERE: &str =
        "set HOTSWAP_KEY_PASSWORD, or say --password-file FILE (of a new key also --no-password)";
    if !io::stdin().is_terminal() {
        return Err(anyhow!("nobody is there to be asked for a password: {ELSEWHERE}"));
    }
    rpassword::prompt_password(prompt)
        .with_context(|| format!("cannot ask for the password; {ELSEWHERE}"))
}
