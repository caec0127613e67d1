//! Rows VE-1 to VE-4: what does not fit is refused before it runs, and the refusal names both sides.

use std::fs;
use std::path::{Path, PathBuf};

use hotswap_engine::{
    CallErrorKind, ContentHash, Engine, Function, Inspection, Interface, LoadErrorKind,
    OpenErrorKind, RUSTC, ReloadError, ReloadErrorKind, TARGET,
};
use hotswap_module::{ABI_NUMBER, Abi, interface};
use hotswap_tests::{elf, prebuilt};

/// What refused a library, and in which words.
fn refusal(error: ReloadError) -> (LoadErrorKind, String) {
    let text = error.to_string();
    match error.kind {
        ReloadErrorKind::Load(load) => (load.kind.clone(), text),
        _ => panic!("{text}"),
    }
}

fn opened() -> Engine {
    prebuilt::engine(&prebuilt::numbered(1)).open().expect("opens")
}

/// A copy of a good library with some bytes replaced.
struct Patched {
    bytes: Vec<u8>,
    _directory: tempfile::TempDir,
    path: PathBuf,
}

impl Patched {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("patched.so");
        let bytes = fs::read(prebuilt::numbered(2)).expect("readable");
        Self { bytes, path, _directory: directory }
    }

    /// Where the root record begins.
    fn root(&self) -> usize {
        let found = self.find(b"HOTSROOT");
        assert_eq!(found.len(), 1, "the magic number stands for one record");
        found[0]
    }

    fn find(&self, wanted: &[u8]) -> Vec<usize> {
        let windows = self.bytes.windows(wanted.len()).enumerate();
        windows.filter(|(_, window)| *window == wanted).map(|(index, _)| index).collect()
    }

    fn replace(&mut self, start: usize, bytes: &[u8]) {
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn written(&self) -> &Path {
        fs::write(&self.path, &self.bytes).expect("writable");
        &self.path
    }
}

/// The boundary's number stands 12 bytes into the root record, whatever the rest is in that version.
const ABI_NUMBER_OFFSET: usize = 12;

#[test]
fn ve_1_the_boundary_is_checked_first() {
    let mut patched = Patched::new();
    let root = patched.root();
    patched.replace(root + ABI_NUMBER_OFFSET, &9_u32.to_ne_bytes());
    // Everything else that a module says of itself is destroyed as well: nothing of it may be looked at.
    patched.replace(root + ABI_NUMBER_OFFSET + 4, &[0xff; 100]);
    for record in patched.find(b"HOTSWAP\x01") {
        patched.replace(record, &[0xff; 24]);
    }
    let (kind, text) = refusal(opened().offer(patched.written()).expect_err("another boundary"));
    let LoadErrorKind::Boundary { expected, found } = kind else { panic!("{text}") };
    assert_eq!((expected, found.as_str()), (ABI_NUMBER.to_string(), "9"));
    assert!(
        text.contains("uses boundary 9") && text.contains(&format!("this host uses {ABI_NUMBER}")),
        "{text}"
    );
    assert!(text.ends_with("; v1 stays current"), "{text}");
}

// The host's side of `modules/shapes.rs`.
#[derive(Abi)]
struct Sized {
    a: u64,
}

#[derive(Abi)]
struct Aligned {
    a: u64,
}

#[derive(Abi)]
struct Renamed {
    width: u32,
}

#[derive(Abi)]
enum Variants {
    One,
    Two,
}

#[derive(Abi)]
struct Deep {
    inner: Vec<Option<Sized>>,
}

/// Opens a handle, offers the changed module, and expects a refusal that names the function and both sides.
macro_rules! refused_with_handle {
    ($engine:expr, $name:literal, $ty:ty, [$($side:literal),*]) => {{
        let handle: Function<$ty> = $engine.function($name).expect($name);
        let error = $engine.offer(prebuilt::named("shapes_changed.rs")).expect_err($name);
        let (kind, text) = refusal(error);
        assert!(matches!(&kind, LoadErrorKind::Signature { name, .. } if name == $name), "{text}");
        for side in [$($side),*] {
            assert!(text.contains(side), "{side}: {text}");
        }
        handle
    }};
}

/// Count, type, size, alignment, names, variants, and a difference deep inside: each is refused at load, for an open
/// handle, with both sides named; the old answers go on.
#[test]
fn ve_2_every_difference_is_refused_for_a_handle() {
    let engine = prebuilt::engine(&prebuilt::named("shapes.rs")).open().expect("opens");
    let handle = refused_with_handle!(
        engine,
        "count",
        fn(u64, u64) -> u64,
        ["count: expected fn(u64, u64) -> u64, v2 has fn(u64, u64, u64) -> u64; v1 stays current"]
    );
    assert_eq!(handle.call(2, 3), Ok(5));
    drop(handle);
    let handle = refused_with_handle!(
        engine,
        "kind",
        fn(u64, u64) -> u64,
        ["kind: expected fn(u64, u64) -> u64, v2 has fn(u64, u32) -> u64; v1 stays current"]
    );
    assert_eq!(handle.call(2, 3), Ok(5));
    drop(handle);
    let handle = refused_with_handle!(engine, "result", fn(u64) -> u64, ["-> u64", "-> u32"]);
    assert_eq!(handle.call(7), Ok(7));
    drop(handle);
    let handle = refused_with_handle!(
        engine,
        "size",
        fn(Sized) -> u64,
        ["a@0:u64#8/8}#8/8", "b@8:u64#8/8}#16/8"]
    );
    assert_eq!(handle.call(Sized { a: 7 }), Ok(7));
    drop(handle);
    let handle = refused_with_handle!(
        engine,
        "alignment",
        fn(Aligned) -> u64,
        ["fn(Aligned) -> u64", "fn(Aligned:align(16)) -> u64"]
    );
    assert_eq!(handle.call(Aligned { a: 7 }), Ok(7));
    drop(handle);
    let handle = refused_with_handle!(engine, "field", fn(Renamed) -> u64, ["width", "height"]);
    assert_eq!(handle.call(Renamed { width: 7 }), Ok(7));
    drop(handle);
    let handle = refused_with_handle!(engine, "variants", fn(Variants) -> u64, ["Two", "Three"]);
    assert_eq!((handle.call(Variants::One), handle.call(Variants::Two)), (Ok(1), Ok(2)));
    drop(handle);
    let handle = refused_with_handle!(
        engine,
        "deep",
        fn(&'static Deep) -> u64,
        ["a@0:u64#8/8}#8/8", "b@8:u64#8/8}#16/8"]
    );
    let deep = Deep { inner: vec![None, Some(Sized { a: 1 })] };
    assert_eq!(handle.call(&deep), Ok(2));
    drop(handle);
    // Nobody relies on any of it now.
    engine.offer(prebuilt::named("shapes_changed.rs")).expect("swaps");
    // And by name the same differences are errors of the call.
    let error = engine.call_with::<u64>("size", (Sized { a: 1 },)).expect_err("another size");
    assert!(matches!(error.kind, CallErrorKind::Argument { position: 1, .. }), "{error}");
    let error = engine.call_with::<u64>("count", (1_u64, 2_u64)).expect_err("another count");
    assert!(matches!(error.kind, CallErrorKind::Signature { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "count: expected fn(u64, u64) -> u64, v2 has fn(u64, u64, u64) -> u64"
    );
}

#[interface]
trait Counting {
    fn count(a: u64, b: u64) -> u64;
}

#[interface]
trait Sizing {
    fn size(value: Sized) -> u64;
}

#[interface]
trait Choosing {
    fn variants(value: Variants) -> u64;
}

#[interface]
trait Removing {
    fn removed() -> u64;
}

/// The words in which a changed module is refused by a host that requires `T`, at the first load and at a swap.
fn refused_for<T: Interface + ?core::marker::Sized + 'static>() -> (LoadErrorKind, String) {
    let changed = prebuilt::named("shapes_changed.rs");
    let opening = prebuilt::engine(&changed).require::<T>().open().expect_err(T::NAME);
    let OpenErrorKind::First(first) = opening.kind else { panic!("{opening}") };
    let (_, first) = refusal(*first);
    let engine =
        prebuilt::engine(&prebuilt::named("shapes.rs")).require::<T>().open().expect(T::NAME);
    let (kind, text) = refusal(engine.offer(&changed).expect_err(T::NAME));
    assert_eq!(text.replace("v2", "v1").replace("; v1 stays current", ""), first);
    (kind, text)
}

#[test]
fn ve_2_every_difference_is_refused_for_a_required_interface() {
    for (kind, text) in
        [refused_for::<dyn Counting>(), refused_for::<dyn Sizing>(), refused_for::<dyn Choosing>()]
    {
        assert!(matches!(kind, LoadErrorKind::Signature { .. }), "{text}");
    }
    let (kind, text) = refused_for::<dyn Removing>();
    assert!(matches!(kind, LoadErrorKind::Missing { .. }), "{text}");
    assert!(
        text.starts_with("removed: expected fn() -> u64 (required by Removing), v2 has no removed"),
        "{text}"
    );
}

/// A removed function, and a changed one, with a handle open: refused, the handle goes on; accepted once it is gone.
#[test]
fn ve_3_a_handle_keeps_its_function() {
    let engine = prebuilt::engine(&prebuilt::named("shapes.rs")).open().expect("opens");
    let changed = prebuilt::named("shapes_changed.rs");
    let removed: Function<fn() -> u64> = engine.function("removed").expect("exported");
    let again = removed.clone();
    let (kind, text) = refusal(engine.offer(&changed).expect_err("it is relied on"));
    assert!(matches!(kind, LoadErrorKind::Missing { .. }), "{text}");
    assert_eq!(
        text,
        "removed: expected fn() -> u64 (by an open handle), v2 has no removed; v1 stays current"
    );
    assert_eq!(removed.call(), Ok(1));
    drop(removed);
    engine.offer(&changed).expect_err("a clone relies on it as well");
    assert_eq!(again.call(), Ok(1));
    drop(again);
    engine.offer(&changed).expect("nobody relies on it");
    let error = engine.call("removed").expect_err("it is gone");
    assert!(matches!(error.kind, CallErrorKind::Missing { .. }), "{error}");
    let error = engine.function::<fn() -> u64>("removed").expect_err("it is gone");
    assert!(matches!(error.kind, CallErrorKind::Missing { .. }), "{error}");
    // The failed handle is no expectation: the engine is as free as before.
    engine.offer(&changed).expect("swaps");
}

#[test]
fn ve_4_another_toolchain_is_named() {
    let mut patched = Patched::new();
    let other = RUSTC.replacen("rustc 1.", "rustc 9.", 1);
    let start = patched.root();
    let place = patched
        .find(RUSTC.as_bytes())
        .into_iter()
        .find(|place| *place > start)
        .expect("in the root record");
    patched.replace(place, other.as_bytes());
    let (kind, text) = refusal(opened().offer(patched.written()).expect_err("another compiler"));
    assert!(matches!(kind, LoadErrorKind::Toolchain { .. }), "{text}");
    assert!(
        text.contains(&format!("built by {other}"))
            && text.contains(&format!("this host by {RUSTC}")),
        "{text}"
    );
}

#[test]
fn ve_4_another_target_is_named() {
    let mut patched = Patched::new();
    let other = TARGET.replacen("linux", "minix", 1);
    let start = patched.root();
    let place = patched
        .find(TARGET.as_bytes())
        .into_iter()
        .find(|place| *place > start)
        .expect("in the root record");
    patched.replace(place, other.as_bytes());
    let (kind, text) = refusal(opened().offer(patched.written()).expect_err("another target"));
    assert!(matches!(kind, LoadErrorKind::Toolchain { .. }), "{text}");
    assert!(text.contains(&other) && text.contains(TARGET), "{text}");
}

#[test]
fn ve_4_another_architecture_is_named() {
    let mut patched = Patched::new();
    // The machine stands 18 bytes into every ELF file; 243 is RISC-V.
    patched.replace(18, &243_u16.to_le_bytes());
    let (kind, text) = refusal(opened().offer(patched.written()).expect_err("another machine"));
    assert!(matches!(kind, LoadErrorKind::Architecture { .. }), "{text}");
    assert!(text.contains("riscv64") && text.contains(std::env::consts::ARCH), "{text}");
}

/// Permissions do not bind root, whom tests often run as; so what nobody can read is a directory, and
/// the file without permissions is tried by whoever they bind.
#[test]
fn ve_4_what_cannot_be_read_says_why() {
    use std::os::unix::fs::PermissionsExt as _;

    let engine = opened();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = directory.path().join("folder.so");
    fs::create_dir(&folder).expect("writable");
    let (kind, text) = refusal(engine.offer(&folder).expect_err("a directory"));
    let LoadErrorKind::File { path, error, .. } = kind else { panic!("{text}") };
    assert_eq!((path, error.kind()), (folder, std::io::ErrorKind::IsADirectory));
    assert!(text.contains("cannot read ") && text.contains("folder.so"), "{text}");

    let (kind, text) =
        refusal(engine.offer(directory.path().join("absent.so")).expect_err("absent"));
    let LoadErrorKind::File { error, .. } = kind else { panic!("{text}") };
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);

    let closed = directory.path().join("closed.so");
    fs::copy(prebuilt::numbered(2), &closed).expect("writable");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("ours");
    match (fs::File::open(&closed), engine.offer(&closed)) {
        (Ok(_), offered) => {
            offered.expect("permissions do not bind this user, so it is a library like any other");
        }
        (Err(_), offered) => {
            let (kind, text) = refusal(offered.expect_err("no permission"));
            let LoadErrorKind::File { error, .. } = kind else { panic!("{text}") };
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        }
    }
}

/// Cut anywhere, a library is refused before it is mapped: mapping it would be SIGBUS.
#[test]
fn ve_4_a_cut_library_is_refused() {
    let engine = opened();
    let patched = Patched::new();
    let whole = patched.bytes.len();
    let lengths = [0, 1, 10, 50, 90, 99].map(|percent| whole * percent / 100);
    for length in lengths.into_iter().chain([1, 4, 63, 64, 65, whole - 1]) {
        fs::write(&patched.path, &patched.bytes[..length]).expect("writable");
        let (kind, text) = refusal(engine.offer(&patched.path).expect_err("cut"));
        assert!(matches!(kind, LoadErrorKind::Damaged { .. }), "{length} of {whole}: {text}");
    }
    assert_eq!(engine.status().refused_count, 12);
    engine.offer(patched.written()).expect("whole again");
}

#[test]
fn ve_4_what_is_no_module_is_refused() {
    let engine = opened();
    let patched = Patched::new();
    fs::write(&patched.path, "garbage".repeat(1_000)).expect("writable");
    let (kind, text) = refusal(engine.offer(&patched.path).expect_err("garbage"));
    assert!(matches!(kind, LoadErrorKind::Damaged { .. }), "{text}");

    let plain = prebuilt::library(
        "plain",
        "#[unsafe(no_mangle)] pub extern \"C\" fn f() {}",
        prebuilt::Kind::Plain,
    );
    let (kind, text) = refusal(engine.offer(plain).expect_err("no module"));
    assert!(matches!(kind, LoadErrorKind::NotAModule { .. }), "{text}");
    assert!(text.contains("hotswap_module::module!();"), "it says what to write: {text}");

    let source = prebuilt::source("numbered.rs");
    let abort = prebuilt::library("aborting", &source, prebuilt::Kind::PanicAbort);
    let (kind, text) = refusal(engine.offer(abort).expect_err("it aborts"));
    assert!(matches!(kind, LoadErrorKind::PanicAbort), "{text}");
    assert!(text.contains("remove `panic = \"abort\"`"), "{text}");

    // Built without the cfg that an engine sets: an ordinary library.
    let ordinary = prebuilt::library("ordinary", &source, prebuilt::Kind::Plain);
    let (kind, text) = refusal(engine.offer(ordinary).expect_err("no handshake"));
    assert!(matches!(kind, LoadErrorKind::NotAModule { .. }), "{text}");
    assert_eq!(engine.call_with::<u64>("version", ()), Ok(1));
}

/// Any byte of the root record and the export records may be anything: the answer is a refusal or a library
/// that works, never a crash.
#[test]
fn ve_4_changed_records_never_crash() {
    let engine = opened();
    let good = Patched::new();
    let root = good.root();
    let records = good.find(b"HOTSWAP\x01");
    let places = (0..16).map(|step| root + step * 4).chain(
        records
            .iter()
            .flat_map(|start| [*start, start + 8, start + 12, start + 16, start + 20, start + 24]),
    );
    for place in places {
        let mut patched = Patched::new();
        patched.replace(place, &[0xee]);
        // Either way is fine; that the process goes on is the point.
        let _ = engine.offer(patched.written());
        assert!(engine.call("version").is_ok(), "byte {place}");
    }
}

/// The loader knows segments only; what the section table says of addresses must agree with them, since that is where
/// the loaded records are looked for.
#[test]
fn ve_4_tables_that_lead_out_of_the_image_are_refused() {
    let good = Patched::new();
    for name in ["hotswap_exports", "hotswap_root", ".note.gnu.build-id"] {
        let section = elf::section(&good.bytes, name);
        let start = section.address();
        let mut address = [0; 8];
        address.copy_from_slice(&good.bytes[start..start + 8]);
        let address = u64::from_ne_bytes(address);
        for wrong in [0, address + 8, address - 8, address | 1 << 40, u64::MAX, u64::MAX - 7] {
            let mut patched = good.bytes.clone();
            patched[start..start + 8].copy_from_slice(&wrong.to_ne_bytes());
            let error = Inspection::of("patched.so", &patched).expect_err(name);
            assert!(matches!(error.kind, LoadErrorKind::NotAModule { .. }), "{name}: {error}");
        }
    }
}

/// A symbol that belongs to no section is where the loader finds it as it stands: nowhere in the image.
#[test]
fn ve_4_a_root_symbol_outside_its_section_is_refused() {
    let mut patched = Patched::new();
    let names = elf::section(&patched.bytes, ".dynstr").range;
    let name = patched.find(b"\0HOTSWAP_ROOT\0").into_iter().find(|place| names.contains(place));
    let name = (name.expect("the symbol has a name") + 1 - names.start) as u32;
    let symbols = elf::section(&patched.bytes, ".dynsym").range;
    let is_root = |symbol: &usize| patched.bytes[*symbol..].starts_with(&name.to_ne_bytes());
    let symbol = symbols.step_by(24).find(is_root).expect("the symbol is there");
    // SHN_ABS, in the place of the section's index.
    patched.replace(symbol + 6, &0xfff1_u16.to_ne_bytes());
    let error = Inspection::of_file(patched.written()).expect_err("an absolute symbol");
    assert!(matches!(error.kind, LoadErrorKind::NotAModule { .. }), "{error}");
}

#[test]
fn ve_4_an_empty_build_id_is_refused() {
    let mut patched = Patched::new();
    let note = elf::section(&patched.bytes, ".note.gnu.build-id").range;
    // The length of the id stands 4 bytes into the note.
    patched.replace(note.start + 4, &[0; 4]);
    let (kind, text) = refusal(opened().offer(patched.written()).expect_err("no id"));
    assert!(matches!(kind, LoadErrorKind::NotAModule { .. }), "{text}");
    assert!(text.contains("it has no build id"), "{text}");
}

/// What a deploy script asks, and what an engine then does, agree.
#[test]
fn ve_4_an_inspection_tells_what_an_engine_would_have() {
    let library = prebuilt::numbered(1);
    let inspection = Inspection::of_file(&library).expect("whole");
    let engine = opened();
    assert_eq!(inspection.exports, engine.exports());
    assert_eq!(inspection.crate_name, "numbered_1");
    assert_eq!(inspection.content, ContentHash::of_file(&library).expect("readable"));
    assert_eq!(
        inspection,
        Inspection::of("x.so", &fs::read(&library).expect("readable")).expect("whole")
    );
    let needy = Inspection::of_file(prebuilt::named("needy.rs")).expect("whole");
    assert!(!needy.needs.is_empty(), "{needy:?}");
    let error = Inspection::of_file("absent.so").expect_err("absent");
    assert!(matches!(error.kind, LoadErrorKind::File { .. }), "{error}");
}
