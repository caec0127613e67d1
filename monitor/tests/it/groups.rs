//! Sources that share something change together (CD-10).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use hotswap_monitor::{
    BuildBackend, BuildErrorKind, BuildJob, Built, Diagnostics, Group, MemberId, Monitor,
    MonitorBuilder, Notification, Outcome, SharedMonitor, Step, StopSignal, Trigger,
};
use tempfile::TempDir;

use crate::harness::{
    NEVER, PATIENCE, Watched, failed, offline, ready, saying, write, write_crate,
};

const OFTEN: Duration = Duration::from_millis(1);

/// Copies the sources of a module and of what it shares; any of them that says `broken` does not compile.
struct Copying {
    files: Vec<PathBuf>,
    target_dir: PathBuf,
    name: &'static str,
    log: Sender<&'static str>,
    go: Option<Receiver<()>>,
}

impl BuildBackend for Copying {
    fn build(&mut self, _: &BuildJob, stop: &StopSignal) -> Result<Built, BuildErrorKind> {
        self.log.send(self.name).unwrap();
        if let Some(go) = &self.go {
            crossbeam_channel::select! {
                recv(go) -> _ => {}
                recv(stop.channel()) -> _ => return Err(BuildErrorKind::Stopped),
            }
        }
        let text: String =
            self.files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        if text.contains("broken") {
            let mut diagnostics = Diagnostics::default();
            diagnostics.first_error = Some("src/lib.rs:1:1: broken".to_owned());
            return Err(BuildErrorKind::Failed { diagnostics });
        }
        let library = self.target_dir.join(format!("lib{}.so", self.name));
        fs::create_dir_all(&self.target_dir).unwrap();
        let _absent = fs::remove_file(&library);
        fs::write(&library, text).unwrap();
        Ok(Built::new(library, &self.target_dir))
    }
}

/// A workspace in which `a` and `b` depend on `shared`, and `c` on nothing.
struct Workspace {
    directory: TempDir,
    shared: SharedMonitor,
    builds: (Sender<&'static str>, Receiver<&'static str>),
}

impl Workspace {
    fn new(period: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        write(
            root,
            "Cargo.toml",
            "[workspace]\nresolver = \"2\"\nmembers = [\"*\"]\nexclude = [\"target\", \"texts\"]\n",
        );
        for (name, dependency) in MEMBERS {
            member(root, name, dependency);
        }
        lock(root);
        Self { directory, shared: SharedMonitor::start(period).unwrap(), builds: unbounded() }
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &str) {
        write(self.root(), name, text);
    }

    /// Watches a module of which these are read.
    fn watch(&self, name: &'static str, reads: &[&str]) -> Watched {
        self.watch_until(name, reads, None)
    }

    /// The same; its builds wait for a message.
    fn watch_until(&self, name: &'static str, reads: &[&str], go: Option<Receiver<()>>) -> Watched {
        Watched::on(&self.shared, self.builder(name, reads, go))
    }

    fn builder(
        &self,
        name: &'static str,
        reads: &[&str],
        go: Option<Receiver<()>>,
    ) -> MonitorBuilder {
        let own = self.root().join(name).join("src/lib.rs");
        let reads = reads.iter().map(|name| self.root().join(name));
        let backend = Copying {
            files: std::iter::once(own).chain(reads).collect(),
            target_dir: self.root().join("target").join(name),
            name,
            log: self.builds.0.clone(),
            go,
        };
        let mut settings = offline();
        settings.target_dir = Some(self.root().join("target"));
        let builder = Monitor::builder(self.root().join(name));
        builder.build(settings).backend(Box::new(backend))
    }

    /// `a`, `b` and `c`, each built once.
    fn start(&self) -> [Watched; 3] {
        let reads = &["shared/src/lib.rs"][..];
        let watched = [("a", reads), ("b", reads), ("c", &[])];
        let watched = watched.map(|(name, reads)| self.watch(name, reads));
        watched.iter().for_each(first);
        self.built();
        watched
    }

    /// What was built since the last time.
    fn built(&self) -> Vec<&'static str> {
        self.builds.1.try_iter().collect()
    }
}

const MEMBERS: [(&str, &str); 4] = [("shared", ""), ("a", "shared"), ("b", "shared"), ("c", "")];

/// Writes the lock file, which all members read, before any of them is looked at.
fn lock(root: &Path) {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.current_dir(root).args(["generate-lockfile", "--offline", "--quiet"]);
    assert!(command.status().unwrap().success());
}

fn member(root: &Path, name: &str, dependency: &str) {
    write_crate(&root.join(name), name, &format!("// {name}\n"));
    if !dependency.is_empty() {
        let manifest = fs::read_to_string(root.join(name).join("Cargo.toml")).unwrap();
        let more = format!("[dependencies]\n{dependency} = {{ path = \"../{dependency}\" }}\n");
        write(&root.join(name), "Cargo.toml", manifest + &more);
    }
}

/// Waits until it is built for the first time.
fn first(watched: &Watched) {
    ready(watched.next());
}

fn group(notification: &Notification) -> Arc<Group> {
    notification.group.clone().expect("it changed with others")
}

fn ids(watched: &[&Watched]) -> Vec<MemberId> {
    watched.iter().map(|one| one.monitor.member()).collect()
}

fn text(notification: Notification) -> String {
    fs::read_to_string(ready(notification).path).unwrap()
}

#[test]
fn cd_10_an_edit_of_a_shared_crate_rebuilds_exactly_those_that_contain_it_as_one_group() {
    let workspace = Workspace::new(OFTEN);
    let [a, b, c] = workspace.start();
    for number in 1..=3 {
        workspace.write("shared/src/lib.rs", &format!("// shared {number}\n"));
        let (first, second) = (a.next(), b.next());
        let told = group(&first);
        assert!(Arc::ptr_eq(&told, &group(&second)));
        assert_eq!((told.number, told.members.clone()), (number, ids(&[&a, &b])));
        assert_eq!(
            first.cause.to_string(),
            workspace.root().join("shared/src/lib.rs").to_string_lossy()
        );
        assert_eq!(text(first), format!("// a\n// shared {number}\n"));
        assert_eq!(text(second), format!("// b\n// shared {number}\n"));
        assert_eq!(workspace.built(), ["a", "b"], "once each, and nothing else");
    }
    for one in [a, b, c] {
        one.unchanged();
        assert!(one.notifications.is_empty());
    }
}

#[test]
fn cd_10_an_edit_of_a_modules_own_file_is_that_modules_alone() {
    let workspace = Workspace::new(OFTEN);
    let [a, b, c] = workspace.start();
    workspace.write("a/src/lib.rs", "// own a\n");
    workspace.write("c/src/lib.rs", "// own c\n");
    for (one, expected) in [(&a, "// own a\n// shared\n"), (&c, "// own c\n")] {
        let notification = one.next();
        assert!(notification.group.is_none());
        assert_eq!(text(notification), expected);
    }
    b.unchanged();
    let mut built = workspace.built();
    built.sort_unstable();
    assert_eq!(built, ["a", "c"]);
}

/// `include_str!` of a file that lies in no package, which only the compiler knows of.
#[test]
fn cd_10_an_included_file_rebuilds_exactly_those_that_include_it() {
    let workspace = Workspace::new(NEVER);
    workspace.write("texts/motd.txt", "<one>");
    let include =
        "#[unsafe(no_mangle)] pub static M: &[u8; 5] = include_bytes!(\"../../texts/motd.txt\");";
    workspace.write("a/src/lib.rs", include);
    workspace.write("c/src/lib.rs", include);
    let start = |name: &str| {
        let builder = Monitor::builder(workspace.root().join(name)).build(offline());
        Watched::on(&workspace.shared, builder)
    };
    let (a, b, c) = (start("a"), start("b"), start("c"));
    for one in [&a, &b, &c] {
        first(one);
        one.steps();
    }
    workspace.write("texts/motd.txt", "<two>");
    // Whoever is asked, the others are looked at as well.
    let ticket = c.monitor.scan(Trigger::Manual);
    let (first, second) = (c.next(), a.next());
    assert!(first.through >= ticket);
    assert_eq!(group(&first).members, ids(&[&a, &c]));
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    for notification in [first, second] {
        assert!(crate::harness::contains(&ready(notification), "<two>"));
    }
    assert_eq!((a.builds(), b.builds(), c.builds()), (1, 0, 1));
}

/// A module that another one depends on stands before it, whatever their numbers.
#[test]
fn cd_10_dependencies_stand_before_dependents() {
    let workspace = Workspace::new(OFTEN);
    let b = workspace.watch("b", &["shared/src/lib.rs"]);
    let shared = workspace.watch("shared", &[]);
    [&b, &shared].into_iter().for_each(first);
    workspace.built();
    workspace.write("shared/src/lib.rs", "// new\n");
    let told = group(&b.next());
    assert!(Arc::ptr_eq(&told, &group(&shared.next())));
    assert_eq!(told.members, ids(&[&shared, &b]));
    assert_eq!(workspace.built(), ["shared", "b"]);
}

/// Two that share nothing, by way of one that shares something with each.
#[test]
fn cd_10_a_group_is_transitive() {
    let workspace = Workspace::new(NEVER);
    workspace.write("other/src/lib.rs", "");
    member(workspace.root(), "other", "");
    member(workspace.root(), "c", "other");
    let manifest = fs::read_to_string(workspace.root().join("b/Cargo.toml")).unwrap();
    workspace.write("b/Cargo.toml", &(manifest + "other = { path = \"../other\" }\n"));
    lock(workspace.root());
    let watched = workspace.start();
    workspace.write("shared/src/lib.rs", "// new\n");
    workspace.write("other/src/lib.rs", "// new\n");
    watched[2].monitor.wake();
    let groups = watched.each_ref().map(|one| group(&one.next()));
    let [a, b, c] = &watched;
    assert_eq!(groups[0].members, ids(&[a, b, c]));
    assert!(groups.iter().all(|one| Arc::ptr_eq(one, &groups[0])));
}

#[test]
fn cd_10_a_member_that_does_not_compile_is_told_with_its_group_and_is_mended_alone() {
    let workspace = Workspace::new(OFTEN);
    workspace.write("b/src/extra.rs", "");
    let a = workspace.watch("a", &["shared/src/lib.rs"]);
    let b = workspace.watch("b", &["shared/src/lib.rs", "b/src/extra.rs"]);
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    // Both at once: nobody looks at the half of it.
    let holds = [a.monitor.hold(), b.monitor.hold()];
    workspace.write("b/src/extra.rs", "broken");
    workspace.write("shared/src/lib.rs", "// new\n");
    drop(holds);
    let (good, bad) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&good), &group(&bad)));
    assert_eq!(text(good), "// a\n// new\n");
    assert!(matches!(failed(bad).kind, BuildErrorKind::Failed { .. }));
    assert_eq!(workspace.built(), ["a", "b"]);
    workspace.write("b/src/extra.rs", "// mended\n");
    let mended = b.next();
    assert!(mended.group.is_none());
    assert_eq!(text(mended), "// b\n// new\n// mended\n");
    a.unchanged();
}

/// Whose event comes first finds the others as well.
#[cfg(feature = "events")]
#[test]
fn cd_10_events_find_whole_groups() {
    let workspace = Workspace::new(NEVER);
    let reads = &["shared/src/lib.rs"];
    let start = |name| {
        let builder = workspace.builder(name, reads, None).wake_on_events();
        Watched::on(&workspace.shared, builder)
    };
    let (a, b) = (start("a"), start("b"));
    for one in [&a, &b] {
        first(one);
        one.unchanged();
    }
    workspace.built();
    for number in 1..=8 {
        workspace.write("shared/src/lib.rs", &format!("// {number}\n"));
        let (first, second) = (a.next(), b.next());
        assert!(Arc::ptr_eq(&group(&first), &group(&second)));
        assert_eq!(text(first), format!("// a\n// {number}\n"));
        assert_eq!(text(second), format!("// b\n// {number}\n"));
        assert_eq!(workspace.built(), ["a", "b"]);
    }
}

#[test]
fn cd_10_a_change_that_is_taken_back_is_told_to_each_member() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch_until("a", reads, Some(go.1));
    let b = workspace.watch("b", reads);
    go.0.send(()).unwrap();
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    let before = fs::read_to_string(workspace.root().join("shared/src/lib.rs")).unwrap();
    workspace.write("shared/src/lib.rs", "// new\n");
    assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok("a"));
    workspace.write("shared/src/lib.rs", &before);
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    for notification in [first, second] {
        assert!(matches!(notification.outcome, Outcome::Unchanged(_)), "{notification:?}");
    }
    assert!(workspace.built().is_empty());
}

/// Something newer ends the build of the group, and all of it begins anew: each is told of once.
#[test]
fn cd_10_something_newer_begins_the_group_anew() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch("a", reads);
    let b = workspace.watch_until("b", reads, Some(go.1));
    go.0.send(()).unwrap();
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    workspace.write("shared/src/lib.rs", "// two\n");
    for expected in ["a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    assert!(a.notifications.is_empty(), "it is told when all is known");
    workspace.write("shared/src/lib.rs", "// three\n");
    for expected in ["a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    go.0.send(()).unwrap();
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(text(first), "// a\n// three\n");
    assert_eq!(text(second), "// b\n// three\n");
    for one in [&a, &b] {
        assert!(one.notifications.is_empty());
    }
    let cancelled = b.observations.try_iter().filter(|told| {
        matches!(told.step, Step::BuildCancelled { .. } | Step::BuildDiscarded { .. })
    });
    assert_eq!(cancelled.count(), 1);
}

/// What was built of a member that did not move is not built again when another begins anew.
#[test]
fn cd_10_only_what_moved_is_built_again() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch("a", reads);
    let b = workspace.watch_until("b", reads, Some(go.1));
    go.0.send(()).unwrap();
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    workspace.write("shared/src/lib.rs", "// two\n");
    for expected in ["a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    workspace.write("b/src/lib.rs", "// newer b\n");
    assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok("b"));
    go.0.send(()).unwrap();
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(text(first), "// a\n// two\n");
    assert_eq!(text(second), "// newer b\n// two\n");
    assert!(workspace.built().is_empty());
}

/// Also what moved after its own build, while another one was built.
#[test]
fn cd_10_a_member_that_moves_while_another_is_built_is_built_again() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch("a", reads);
    let b = workspace.watch_until("b", reads, Some(go.1));
    go.0.send(()).unwrap();
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    workspace.write("shared/src/lib.rs", "// two\n");
    for expected in ["a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    workspace.write("a/src/lib.rs", "// newer a\n");
    go.0.send(()).unwrap();
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(text(first), "// newer a\n// two\n");
    assert_eq!(text(second), "// b\n// two\n");
    assert_eq!(workspace.built(), ["a"]);
}

/// A hold on one member holds up its group, and nobody else.
#[test]
fn cd_10_a_group_waits_for_the_hold_of_one_of_its_members() {
    let workspace = Workspace::new(OFTEN);
    let [a, b, c] = workspace.start();
    let hold = b.monitor.hold();
    workspace.write("shared/src/lib.rs", "// half\n");
    let ticket = a.monitor.scan(Trigger::Manual);
    for number in 0..5 {
        workspace.write("c/src/lib.rs", &format!("// {number}\n"));
        ready(c.next());
    }
    assert!(a.notifications.is_empty() && b.notifications.is_empty());
    assert!(workspace.built().iter().all(|built| *built == "c"));
    workspace.write("shared/src/lib.rs", "// whole\n");
    drop(hold);
    let (first, second) = (a.next(), b.next());
    assert!(first.through >= ticket);
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(text(first), "// a\n// whole\n");
    assert_eq!(text(second), "// b\n// whole\n");
    assert_eq!(workspace.built(), ["a", "b"]);
}

/// A group waits in the queue as one, and is built as one when its turn comes.
#[test]
fn cd_10_a_group_waits_for_the_build_of_another_and_stays_one() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let (a, b) = (workspace.watch("a", reads), workspace.watch("b", reads));
    let c = workspace.watch_until("c", &[], Some(go.1));
    go.0.send(()).unwrap();
    [&a, &b, &c].into_iter().for_each(first);
    workspace.built();
    a.steps();
    workspace.write("c/src/lib.rs", "// long\n");
    assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok("c"));
    workspace.write("shared/src/lib.rs", "// two\n");
    let is_settled = |step| matches!(step, Step::Settled { .. });
    while !is_settled(a.observations.recv_timeout(PATIENCE).unwrap().step) {}
    assert!(workspace.built().is_empty() && a.notifications.is_empty());
    go.0.send(()).unwrap();
    ready(c.next());
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(workspace.built(), ["a", "b"]);
}

/// A member that is being built for a reason of its own gives that up, and changes with the others.
#[test]
fn cd_10_a_member_that_is_being_built_joins_the_group() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch_until("a", reads, Some(go.1));
    let b = workspace.watch("b", reads);
    go.0.send(()).unwrap();
    [&a, &b].into_iter().for_each(first);
    workspace.built();
    workspace.write("a/src/lib.rs", "// own\n");
    assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok("a"));
    workspace.write("shared/src/lib.rs", "// two\n");
    assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok("a"));
    go.0.send(()).unwrap();
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    assert_eq!(text(first), "// own\n// two\n");
    assert_eq!(text(second), "// b\n// two\n");
}

#[test]
fn cd_10_a_member_that_is_dropped_or_aborted_leaves_the_rest_of_its_group() {
    let workspace = Workspace::new(OFTEN);
    let go = unbounded();
    let reads = &["shared/src/lib.rs"];
    let a = workspace.watch("a", reads);
    let b = workspace.watch_until("b", reads, Some(go.1));
    let shared = workspace.watch("shared", &[]);
    go.0.send(()).unwrap();
    [&a, &b, &shared].into_iter().for_each(first);
    workspace.built();
    b.steps();
    workspace.write("shared/src/lib.rs", "// two\n");
    for expected in ["shared", "a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    let change = b.observations.try_iter().find_map(|told| match told.step {
        Step::Changed { abortable, .. } => Some(abortable),
        _ => None,
    });
    let ending = change.unwrap().abort().expect("it is under way");
    let told = [&shared, &a, &b].map(Watched::next);
    assert!(told.iter().all(|one| Arc::ptr_eq(&group(one), &group(&told[0]))));
    assert_eq!(group(&told[0]).members, ids(&[&shared, &a, &b]));
    let [_, good, bad] = told;
    ready(good);
    assert!(matches!(failed(bad).kind, BuildErrorKind::Aborted));
    assert!(ending.ended.recv_timeout(PATIENCE).is_err_and(|error| error.is_disconnected()));
    // One that goes is no part of it.
    workspace.write("shared/src/lib.rs", "// three\n");
    for expected in ["shared", "a", "b"] {
        assert_eq!(workspace.builds.1.recv_timeout(PATIENCE), Ok(expected));
    }
    drop(b);
    let rest = [&shared, &a].map(|one| group(&one.next()));
    assert_eq!(rest[0].members, ids(&[&shared, &a]));
}

/// With a real cargo: what is shared is compiled once, each module once, and nothing else.
#[test]
fn cd_10_with_a_real_cargo_what_is_shared_is_compiled_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    write(
        root,
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nmembers = [\"shared\", \"a\", \"b\", \"c\"]\n",
    );
    for (name, dependency) in MEMBERS {
        member(root, name, dependency);
    }
    lock(root);
    let shares =
        "#[unsafe(no_mangle)] pub extern \"C\" fn f() -> *const u8 { shared::TEXT.as_ptr() }\n";
    let text = |text: &str| format!("pub static TEXT: &[u8; 5] = b\"{text}\";\n");
    write(root, "shared/src/lib.rs", text("<one>"));
    write(root, "a/src/lib.rs", shares);
    write(root, "b/src/lib.rs", shares);
    write(root, "c/src/lib.rs", saying("<c>"));
    // Whatever runs the compiler says of which crate.
    let compiled = root.join("compiled");
    let wrapper = root.join("wrapper");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--crate-name\\ ___*|*-vV*) ;; *--crate-name*) echo \"$*\" >>{} ;; esac\nexec \"$@\"\n",
        compiled.display()
    );
    write(root, "wrapper", script);
    let mut permissions = fs::metadata(&wrapper).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    fs::set_permissions(&wrapper, permissions).unwrap();
    write(root, ".cargo/config.toml", format!("[build]\nrustc-wrapper = {wrapper:?}\n"));
    let shared = SharedMonitor::start(OFTEN).unwrap();
    let start =
        |name: &str| Watched::on(&shared, Monitor::builder(root.join(name)).build(offline()));
    let (a, b, c) = (start("a"), start("b"), start("c"));
    for one in [&a, &b, &c] {
        first(one);
        one.steps();
    }
    fs::remove_file(&compiled).unwrap();
    write(root, "shared/src/lib.rs", text("<two>"));
    let (first, second) = (a.next(), b.next());
    assert!(Arc::ptr_eq(&group(&first), &group(&second)));
    for notification in [first, second] {
        assert!(crate::harness::contains(&ready(notification), "<two>"));
    }
    let compiled = fs::read_to_string(&compiled).unwrap();
    let mut names: Vec<&str> = compiled
        .lines()
        .filter_map(|line| line.split("--crate-name ").nth(1)?.split(' ').next())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b", "shared"]);
    assert_eq!((a.builds(), b.builds(), c.builds()), (1, 1, 0));
}
