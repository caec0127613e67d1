//! What others wrote is built where it gets at nothing (SE-6, D10).

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use hotswap_monitor::{
    BuildError, BuildErrorKind, BuildSettings, Fetch, FetchError, Fetched, Fingerprint, Monitor,
    Sandbox, Source, Step,
};

use rustix::fs::{AtFlags, Mode, OFlags, chmodat, mkdirat, openat};

use crate::harness::{Watched, failed, offline, ready, write, write_crate};

/// Code that somebody else wrote: a directory, or a file, that is copied.
#[derive(Debug)]
struct Parcel {
    code: PathBuf,
    dependencies: Vec<String>,
}

impl Fetch for Parcel {
    fn kind(&self) -> &'static str {
        "parcel"
    }

    fn name(&self) -> &str {
        "parcel#game"
    }

    fn fingerprint(&self) -> Result<Option<Fingerprint>, FetchError> {
        Ok(Some(Fingerprint::of(b"1")))
    }

    fn fetch(&self, directory: &Path) -> Result<Fetched, FetchError> {
        let code = directory.join(self.code.file_name().unwrap());
        copy(&self.code, &code);
        let mut fetched = Fetched::new(Fingerprint::of(b"1"), code);
        fetched.is_foreign = true;
        fetched.dependencies.clone_from(&self.dependencies);
        Ok(fetched)
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// A crate that somebody else wrote, and places that are none of its business.
struct World {
    root: tempfile::TempDir,
    listener: TcpListener,
    /// Who listens by a file, as loggers do.
    datagrams: UnixDatagram,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let package = root.path().join("game");
        write_crate(&package, "game", "pub fn version() -> u64 { 1 }");
        write(&root.path().join("home/.ssh"), "id", "the secret key");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let datagrams = UnixDatagram::bind(root.path().join("datagrams")).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        let world = Self { root, listener, datagrams };
        world.lock();
        world
    }

    fn package(&self) -> PathBuf {
        self.root.path().join("game")
    }

    fn target(&self) -> PathBuf {
        self.root.path().join("target")
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.package().join(file);
        write(path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap(), text);
    }

    /// Has cargo write the lock file.
    fn lock(&self) {
        self.cargo(&["generate-lockfile", "--offline"]);
    }

    fn cargo(&self, arguments: &[&str]) -> String {
        let output = Command::new("cargo").args(arguments).current_dir(self.package()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn settings(&self) -> BuildSettings {
        let mut settings = BuildSettings::default();
        settings.target_dir = Some(self.target());
        settings
    }

    fn watch(&self, settings: BuildSettings) -> Watched {
        self.watch_code("game", &[], settings)
    }

    fn watch_code(&self, code: &str, dependencies: &[String], settings: BuildSettings) -> Watched {
        let code = self.root.path().join(code);
        let parcel = Parcel { code, dependencies: dependencies.to_vec() };
        Watched::with(Monitor::builder(Source::fetched(parcel)).build(settings))
    }

    /// Rust that tries to get out: the names of what was possible, and all that it saw.
    fn attempts(&self) -> String {
        let root = self.root.path();
        let home = std::env::var("HOME").unwrap_or_default();
        let address = self.listener.local_addr().unwrap();
        format!(
            r##"fn attempts() -> String {{
    let mut found = String::from("attempted;");
    let mut try_to = |what: &str, done: bool| if done {{ found += &format!("possible: {{what}};") }};
    try_to("write", std::fs::write({canary:?}, "x").is_ok());
    try_to("write beside the code", std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/x"), "x").is_ok());
    try_to("write to the store", std::fs::write({store:?}, "x").is_ok());
    try_to("link", std::os::unix::fs::symlink({secret:?}, {canary:?}).is_ok());
    try_to("link into the room", std::fs::hard_link({secret:?}, std::env::temp_dir().join("h")).is_ok());
    try_to("read", std::fs::read({secret:?}).is_ok());
    try_to("list the home", std::fs::read_dir({home:?}).is_ok());
    try_to("list the tests' directory", std::fs::read_dir({root:?}).is_ok());
    try_to("read the host's environment", std::fs::read("/proc/{host}/environ").is_ok());
    try_to("read the host's memory", std::fs::File::open("/proc/{host}/mem").is_ok());
    try_to("connect", std::net::TcpStream::connect("{address}").is_ok());
    try_to("listen", std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    try_to("send", std::net::UdpSocket::bind("127.0.0.1:0").is_ok());
    try_to("connect by a file", std::os::unix::net::UnixStream::connect("/nowhere").is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound));
    try_to("send to a file", std::os::unix::net::UnixDatagram::pair().is_ok_and(|(one, _)| one.send_to(b"x", {datagrams:?}).is_ok()));
    let runs = |program: &str, arguments: &[&str]| {{
        std::process::Command::new(program).args(arguments).stderr(std::process::Stdio::null()).status().is_ok_and(|s| s.success())
    }};
    try_to("leave the process group", runs("setsid", &["true"]));
    try_to("stop the host", runs("sh", &["-c", "kill -s CONT {host}"]));
    try_to("raise a limit", runs("sh", &["-c", "ulimit -H -f unlimited"]));
    for (name, value) in std::env::vars() {{
        found += &format!("variable {{name}}={{value}};");
    }}
    found
}}
"##,
            canary = root.join("canary"),
            store = self.target().join("store/canary"),
            secret = root.join("home/.ssh/id"),
            datagrams = root.join("datagrams"),
            host = std::process::id(),
        )
    }

    /// Nothing of it had an effect.
    fn must_be_untouched(&self) {
        assert!(!self.root.path().join("canary").exists());
        assert!(!self.target().join("store/canary").exists());
        let arrived = self.listener.accept().map(|(_, from)| from);
        assert_eq!(arrived.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let arrived = self.datagrams.recv(&mut [0]);
        assert_eq!(arrived.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        let rooms = fs::read_dir(self.target().join("confined")).unwrap();
        for room in rooms.flatten() {
            assert!(!room.path().join("room").exists(), "what a build left is still there");
        }
    }
}

/// What the compiler said.
fn said(error: &BuildError) -> String {
    match &error.kind {
        BuildErrorKind::Failed { diagnostics } => diagnostics.plain(),
        other => panic!("{other:?}"),
    }
}

/// Variables that cargo sets for build scripts and macros.
const OF_CARGO: [&str; 12] = [
    "OUT_DIR",
    "TARGET",
    "HOST",
    "NUM_JOBS",
    "OPT_LEVEL",
    "PROFILE",
    "DEBUG",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_LINKER",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];

fn nothing_was_possible(world: &World, said: &str) {
    assert!(said.contains("attempted;"), "{said}");
    let level = hotswap_system::sandbox::level().unwrap();
    // Older kernels let signals out, which is said.
    let said = match level.landlock {
        Some(6..) => said.to_owned(),
        _ => said.replace("possible: stop the host;", ""),
    };
    assert!(!said.contains("possible: "), "{said}");
    assert!(!said.contains("the secret key"), "{said}");
    let allowed = ["PATH", "LD_LIBRARY_PATH", "LANG", "TERM", "TZ", "HOME", "TMPDIR"];
    for variable in said.split(';').filter_map(|part| part.trim().strip_prefix("variable ")) {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        let is_known = allowed.contains(&name)
            || OF_CARGO.contains(&name)
            || ["CARGO", "RUST", "LC_", "LD_", "SSL_CERT_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || ["CC", "CXX", "AR", "PWD", "SHLVL", "_"].contains(&name);
        assert!(is_known, "{name} is none of its business");
        if name == "HOME" {
            assert!(Path::new(value).starts_with(world.target()), "{value}");
        }
    }
}

#[test]
fn se_6_a_build_script_gets_at_nothing() {
    let world = World::new();
    let script = world.attempts() + "fn main() { panic!(\"{}\", attempts()) }";
    world.write("build.rs", &script);
    let watched = world.watch(world.settings());
    let error = failed(watched.next());
    nothing_was_possible(&world, &said(&error));
    let Watched { monitor, observations, .. } = watched;
    drop(monitor);
    world.must_be_untouched();
    let level = observations.try_iter().find_map(|told| match told.step {
        Step::BuildStarted { sandbox, .. } => Some(sandbox),
        _ => None,
    });
    let level = level.flatten().expect("it is told what confines it");
    assert!(level.is_whole() && level.to_string().starts_with("landlock-v"), "{level}");
}

#[test]
fn d10_a_build_script_that_goes_on_has_no_effect() {
    let world = World::new();
    let script = world.attempts() + "fn main() { attempts(); }";
    world.write("build.rs", &script);
    let watched = world.watch(world.settings());
    ready(watched.next());
    drop(watched);
    world.must_be_untouched();
}

#[test]
fn se_6_a_macro_gets_at_nothing() {
    let world = World::new();
    world.write(
        "evil/Cargo.toml",
        "[package]\nname = \"evil\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n",
    );
    let text = "#[proc_macro] pub fn get_out(_: proc_macro::TokenStream) -> proc_macro::TokenStream \
                { panic!(\"{}\", attempts()) }\n";
    world.write("evil/src/lib.rs", &(world.attempts() + text));
    let manifest = fs::read_to_string(world.package().join("Cargo.toml")).unwrap();
    world.write(
        "Cargo.toml",
        &format!("{manifest}\n[dependencies]\nevil = {{ path = \"evil\" }}\n"),
    );
    world.write("src/lib.rs", "evil::get_out!();");
    world.lock();
    let error = failed(world.watch(world.settings()).next());
    nothing_was_possible(&world, &said(&error));
    world.must_be_untouched();
}

#[test]
fn se_6_code_that_includes_a_secret_does_not_compile() {
    let world = World::new();
    let secret = world.root.path().join("home/.ssh/id");
    world.write("src/lib.rs", &format!("pub const SECRET: &str = include_str!({secret:?});"));
    let said = said(&failed(world.watch(world.settings()).next()));
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn se_6_a_compiler_that_the_code_chose_gets_at_nothing_either() {
    let world = World::new();
    let canary = world.root.path().join("canary");
    let script = format!("#!/bin/sh\necho x >{canary:?}\nexec rustc \"$@\"\n");
    world.write("chosen", &script);
    let path = world.package().join("chosen");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    world.write(".cargo/config.toml", "[build]\nrustc = \"./chosen\"\n");
    ready(world.watch(world.settings()).next());
    world.must_be_untouched();
}

#[test]
fn se_6_whatever_is_asked_of_a_compiler_is_asked_inside() {
    let world = World::new();
    let tools = world.root.path().join("tools");
    let canary = world.root.path().join("canary");
    let asked = |program: &str| {
        // What it was asked for goes to where it may write.
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>{canary:?}\necho \"$*\" >>\"$TMPDIR/asked\" || exit 1\nexec {program} \"$@\"\n"
        );
        write(&tools, program, script);
        let path = tools.join(program);
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Some(path)
    };
    let mut settings = world.settings();
    (settings.cargo, settings.rustc) = (asked("cargo"), asked("rustc"));
    ready(world.watch(settings.clone()).next());
    write(world.root.path(), "rules.rs", "pub fn limit() -> u64 { 7 }");
    ready(world.watch_code("rules.rs", &[], settings).next());
    world.must_be_untouched();
}

#[test]
fn se_6_processes_without_end_are_ended() {
    let world = World::new();
    // Not without end after all: who breaks the limit is to see a test fail, and not the machine.
    world.write(
        "build.rs",
        "fn main() {
             let mut sleep = std::process::Command::new(\"sleep\");
             sleep.arg(\"10\");
             let started = (0..300).map(|_| sleep.spawn()).last();
             let _ = started.unwrap().unwrap().wait();
             panic!(\"nobody minds\");
         }",
    );
    let mut settings = world.settings();
    settings.sandbox_limits.processes_max = 40;
    let error = failed(world.watch(settings).next());
    let BuildErrorKind::TooManyProcesses { processes_max: 40, .. } = &error.kind else {
        panic!("{error:?}")
    };
    assert!(error.to_string().contains("more than 40 processes"), "{error}");
    world.must_be_untouched();
}

#[test]
fn se_6_a_process_that_stays_behind_is_ended_with_the_build() {
    let world = World::new();
    // It has no output of the build, so that nobody waits for it, and would change what was built.
    let mark = format!("sleep 1000; exit {}", world.root.path().display());
    let script = format!(
        "use std::process::{{Command, Stdio}};
         fn main() {{
             let mut stays = Command::new(\"sh\");
             stays.args([\"-c\", {mark:?}]);
             stays.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
         }}"
    );
    world.write("build.rs", &script);
    ready(world.watch(world.settings()).next());
    // Whatever is left of it has this in its command line; of a process that has ended nothing is there to be read.
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let left = processes.filter(|entry| {
        fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&mark))
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn se_6_a_file_without_end_is_ended() {
    let world = World::new();
    // Holes: nothing is taken from the disk.
    world.write(
        "build.rs",
        "fn main() {
             let file = std::fs::File::create(std::env::temp_dir().join(\"large\")).unwrap();
             file.set_len(3 << 30).unwrap();
         }",
    );
    let said = said(&failed(world.watch(world.settings()).next()));
    assert!(said.contains("a file grew larger than"), "{said}");
    world.must_be_untouched();
}

#[test]
fn se_6_a_deep_directory_is_removed() {
    let world = World::new();
    // No path leads to its end, nor is there a stack for a function that calls itself for each.
    world.write(
        "build.rs",
        "fn main() {
             std::env::set_current_dir(std::env::temp_dir()).unwrap();
             for name in [\"0\", \"1\", \"5\"] { std::fs::create_dir_all(format!(\"{name}/1/0\")).unwrap(); }
             std::fs::write(\"2\", \"\").unwrap();
             for level in 0..3000 {
                 std::fs::write(\"file\", \"\").unwrap();
                 std::fs::create_dir_all(\"closed/in\").unwrap();
                 std::os::unix::fs::symlink(\"..\", \"link\").unwrap();
                 let mode = std::os::unix::fs::PermissionsExt::from_mode(level % 8);
                 std::fs::set_permissions(\"closed\", mode).unwrap();
                 std::fs::create_dir(\"d\").unwrap();
                 std::env::set_current_dir(\"d\").unwrap();
             }
         }",
    );
    let watched = world.watch(world.settings());
    ready(watched.next());
    drop(watched);
    world.must_be_untouched();
    assert!(!world.target().join("confined/1").exists(), "the first is free again");
}

#[test]
fn se_6_a_deep_directory_takes_no_deep_stack() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("room");
    fs::create_dir(&directory).unwrap();
    let mut inside = fs::File::open(&directory).unwrap();
    for level in 0..3000 {
        if level % 500 == 0 {
            // Some that nobody may enter.
            mkdirat(&inside, "closed", Mode::RWXU).unwrap();
            mkdirat(&inside, "closed/in", Mode::empty()).unwrap();
            chmodat(&inside, "closed", Mode::empty(), AtFlags::empty()).unwrap();
        }
        mkdirat(&inside, "d", Mode::RWXU).unwrap();
        inside = openat(&inside, "d", OFlags::DIRECTORY, Mode::empty()).unwrap().into();
    }
    let remove = {
        let directory = directory.clone();
        move || hotswap_system::fs::remove_closed_dir_all(directory)
    };
    let small = std::thread::Builder::new().stack_size(128 * 1024);
    small.spawn(remove).unwrap().join().unwrap().unwrap();
    assert!(!directory.exists());
}

#[test]
fn d10_vendored_dependencies_build_without_network() {
    let world = World::new();
    let manifest = fs::read_to_string(world.package().join("Cargo.toml")).unwrap();
    let dependency = "serde = { version = \"1\", default-features = false }";
    world.write("Cargo.toml", &format!("{manifest}\n[dependencies]\n{dependency}\n"));
    world.write("src/lib.rs", "pub fn is<T: serde::Serialize>(_: T) {}");
    world.lock();
    let configuration = world.cargo(&["vendor", "--offline"]);
    world.write(".cargo/config.toml", &configuration);
    ready(world.watch(world.settings()).next());
}

#[test]
fn d10_what_is_missing_is_told_with_what_to_do() {
    let world = World::new();
    fs::remove_file(world.package().join("Cargo.lock")).unwrap();
    let text = failed(world.watch(world.settings()).next()).to_string();
    assert!(text.contains("cargo generate-lockfile"), "{text}");

    let world = World::new();
    let manifest = fs::read_to_string(world.package().join("Cargo.toml")).unwrap();
    world.write("Cargo.toml", &format!("{manifest}\n[dependencies]\nhotswap-nowhere = \"1\"\n"));
    let name = "version = 4\n\n[[package]]\nname = \"game\"\nversion = \"0.1.0\"\ndependencies = [\n \
                \"hotswap-nowhere\",\n]\n\n[[package]]\nname = \"hotswap-nowhere\"\nversion = \"1.0.0\"\n\
                source = \"registry+https://github.com/rust-lang/crates.io-index\"\n\
                checksum = \"0000000000000000000000000000000000000000000000000000000000000000\"\n";
    world.write("Cargo.lock", name);
    let text = failed(world.watch(world.settings()).next()).to_string();
    assert!(text.contains("cargo vendor"), "{text}");
}

#[test]
fn d10_single_files_build() {
    let world = World::new();
    write(world.root.path(), "rules.rs", "pub fn limit() -> u64 { 7 }");
    let artifact = ready(world.watch_code("rules.rs", &[], world.settings()).next());
    assert!(artifact.path.starts_with(world.target().join("store")));

    // What it depends on lies in cargo's registry on this machine.
    write(world.root.path(), "deep.rs", "pub fn is<T: serde::Serialize>(_: T) {}");
    let serde = "serde = { version = \"1\", default-features = false }".to_owned();
    ready(world.watch_code("deep.rs", &[serde], world.settings()).next());

    // A crate of the user's own by path, which is named by the settings, is found.
    let own = world.root.path().join("own");
    write_crate(&own, "own", "pub const LIMIT: u64 = 7;");
    write(world.root.path(), "more.rs", "pub fn limit() -> u64 { own::LIMIT }");
    let line = format!("own = {{ path = {own:?} }}");
    let mut settings = world.settings();
    settings.file_dependencies = vec![line.clone()];
    ready(world.watch_code("more.rs", &[], settings).next());

    // One that its author names is not, unless the user says so.
    let named =
        |settings| world.watch_code("more.rs", std::slice::from_ref(&line), settings).next();
    let text = failed(named(world.settings())).to_string();
    assert!(text.contains("Permission denied"), "{text}");
    let mut settings = world.settings();
    settings.sandbox_reads = vec![own.clone()];
    ready(named(settings));
}

#[test]
fn ones_own_code_is_confined_on_demand_and_foreign_code_is_not_by_choice() {
    let world = World::new();
    let script = world.attempts() + "fn main() { panic!(\"{}\", attempts()) }";
    world.write("build.rs", &script);
    let mut settings = world.settings();
    settings.sandbox = Sandbox::Always;
    let own = Watched::with(Monitor::builder(world.package()).build(settings.clone()));
    nothing_was_possible(&world, &said(&failed(own.next())));

    // A member of a workspace, that another member is named in.
    let root = world.root.path().join("workspace");
    write(
        &root,
        "Cargo.toml",
        "[workspace]\nmembers = [\"one\", \"two\", \"three\"]\nresolver = \"3\"\n",
    );
    write_crate(&root.join("one"), "one", "pub use two::LIMIT;");
    let manifest = "[package]\nname = \"one\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
                    [dependencies]\ntwo = { path = \"../two\" }\n";
    write(&root, "one/Cargo.toml", manifest);
    write_crate(&root.join("two"), "two", "pub const LIMIT: u64 = 7;");
    write_crate(&root.join("three"), "three", "");
    let mut cargo = Command::new("cargo");
    cargo.args(["generate-lockfile", "--offline"]).current_dir(&root);
    assert!(cargo.output().unwrap().status.success());
    let mut alone = BuildSettings::default();
    alone.sandbox = Sandbox::Always;
    ready(Watched::with(Monitor::builder(root.join("one")).build(alone)).next());

    let script = format!(
        "fn main() {{ std::fs::write({:?}, \"\").unwrap() }}",
        world.root.path().join("canary")
    );
    world.write("build.rs", &script);
    settings.sandbox = Sandbox::Never;
    ready(world.watch(settings).next());
    assert!(world.root.path().join("canary").exists());
}

#[test]
fn what_was_built_in_a_sandbox_is_not_taken_for_what_was_built_outside() {
    let world = World::new();
    let started = |watched: &Watched| {
        ready(watched.next());
        watched.builds()
    };
    let of = |sandbox| {
        let mut settings = offline_in(&world);
        settings.sandbox = sandbox;
        started(&Watched::with(Monitor::builder(world.package()).build(settings)))
    };
    assert_eq!([of(Sandbox::Always), of(Sandbox::Never)], [1, 1]);
    assert_eq!([of(Sandbox::Always), of(Sandbox::Never)], [0, 0]);
}

fn offline_in(world: &World) -> BuildSettings {
    let mut settings = offline();
    settings.target_dir = Some(world.target());
    settings
}
