//! Source that others wrote: nothing of it runs before its signature was checked, and what was checked is built and runs. Rows SE-4 and D10.

use std::path::Path;

use hotswap_engine::Engine;
use hotswap_tests::release_world::{Carrier, MANIFEST, Release, ReleaseWorld};
use hotswap_tests::siege::{Siege, chain, version};
use hotswap_tests::{CrateFixture, versioned};
use hotswap_trust::{CodeKind, KeyPair};

/// A build script, and a macro, that leave a file behind when they run.
fn trapped(name: &str, canary: &Path) -> Vec<(String, Vec<u8>)> {
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [dependencies]\ntrap = {{ path = \"trap\" }}\n[workspace]\n"
    );
    let trap = "[package]\nname = \"trap\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\nproc-macro = true\n";
    let write = |file: &str| format!("std::fs::write({:?}, \"ran\").unwrap();", canary.join(file));
    let script = format!("fn main() {{ {} }}", write("script"));
    let expands = format!(
        "use proc_macro::TokenStream;\n#[proc_macro]\npub fn spring(_: TokenStream) -> TokenStream {{ {} TokenStream::new() }}\n",
        write("macro")
    );
    let locked = format!(
        "version = 4\n\n[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\"trap\"]\n\n\
         [[package]]\nname = \"trap\"\nversion = \"0.1.0\"\n"
    );
    let files = [
        ("Cargo.lock", locked),
        ("Cargo.toml", manifest),
        ("build.rs", script),
        ("src/lib.rs", "trap::spring!();\n".to_owned()),
        ("trap/Cargo.toml", trap.to_owned()),
        ("trap/src/lib.rs", expands),
    ];
    files.map(|(path, text)| (path.to_owned(), text.into_bytes())).to_vec()
}

fn traces(canary: &Path) -> Vec<String> {
    let files = ["script", "macro"].iter().filter(|file| canary.join(file).exists());
    files.map(|file| (*file).to_owned()).collect()
}

/// The trap is one: who builds it as his own code runs both.
#[test]
fn se_4_a_trap_that_is_built_leaves_its_traces() {
    let canary = tempfile::tempdir().expect("a temporary directory");
    let fixture = CrateFixture::new("se_4_trap", "");
    for (path, bytes) in trapped("se_4_trap", canary.path()) {
        fixture.write(&path, &String::from_utf8(bytes).expect("text"));
    }
    let error = Engine::builder(fixture.path())
        .target_dir(fixture.path().join("target"))
        .without_log()
        .offline()
        .open()
        .expect_err("it is no module");
    assert_eq!(traces(canary.path()), ["script", "macro"], "{}", chain(&error));
}

#[test]
fn se_4_d10_nothing_of_what_is_not_signed_runs() {
    type Tampering = (&'static str, fn(&ReleaseWorld, &Release));
    let tamperings: [Tampering; 5] = [
        ("by another key", |world, release| {
            let thief = KeyPair::generate(None).expect("random bytes");
            let signed = thief.sign(&release.verified).expect("a good manifest");
            world.write(MANIFEST, &signed.to_bytes());
        }),
        ("by nobody", |world, release| {
            let bytes = release.verified.to_bytes().expect("a good manifest");
            world.write(MANIFEST, &bytes);
        }),
        ("another script", |world, release| tamper(world, release, "build.rs")),
        ("another macro", |world, release| tamper(world, release, "trap/src/lib.rs")),
        ("another lock", |world, release| tamper(world, release, "Cargo.lock")),
    ];
    for carrier in Carrier::ALL {
        let mut siege = Siege::begin(carrier);
        for (name, tampering) in tamperings {
            let canary = tempfile::tempdir().expect("a temporary directory");
            let files = trapped("greet", canary.path());
            let release = siege.world.next_of(CodeKind::Crate, files, |_| {});
            siege.world.at_once(|world| {
                world.put(&release);
                tampering(world, &release);
            });
            let what = format!("{carrier:?}, {name}");
            let built = siege.world.lines_of("build.intent").len();
            siege.withstands(&what, &["greet"]);
            assert_eq!(traces(canary.path()), [""; 0], "{what}");
            assert_eq!(siege.world.lines_of("build.intent").len(), built, "{what}");
            siege.recovers(&what);
            assert_eq!(traces(canary.path()), [""; 0], "{what}");
        }
    }
}

/// A byte of a file is another: a comment, which changes nothing.
fn tamper(world: &ReleaseWorld, release: &Release, path: &str) {
    let (_, bytes) = release.files.iter().find(|(known, _)| known == path).expect("listed");
    let mut other = bytes.clone();
    *other.last_mut().expect("not empty") = b' ';
    world.write(&Release::place_of(bytes), &other);
}

/// Signed source is built on this machine, without network, and runs; what does not compile is refused as any.
#[test]
fn se_4_d10_what_is_signed_is_built_offline_and_runs() {
    let mut siege = Siege::begin(Carrier::Http);
    siege.world.publish_text(&versioned(7));
    siege.engine.sync().unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(siege.version(), 7);
    siege.world.publish_text("this is no Rust");
    siege.engine.sync().expect_err("it does not compile");
    assert_eq!(siege.version(), 7);
    siege.recovers("what does not compile");
    // Where there is no network and no compiler, what was built runs.
    siege.world.publish_text(&versioned(8));
    siege.engine.sync().unwrap_or_else(|error| panic!("{}", chain(&error)));
    siege.world.server.kill();
    let world = siege.end();
    let engine = world.engine().cargo(world.inside("no-cargo")).open();
    let engine = engine.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert_eq!(version(&engine), 8);
}
