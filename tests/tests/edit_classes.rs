//! VE-5: what becomes of each class of edit. The table in `hotswap_engine::docs::edit_classes` has a row per test here.

use hotswap_engine::{Abi, CallErrorKind, Engine};
use hotswap_tests::CrateFixture;

const HEAD: &str =
    "#![allow(dead_code)]\nuse hotswap_module::{export, Abi};\nhotswap_module::module!();\n";

/// One module crate under a row's name, opened with its first text.
struct Row {
    module: CrateFixture,
    engine: Engine,
}

impl Row {
    fn new(name: &str, before: &str) -> Self {
        let module = CrateFixture::new(&format!("edit_{name}"), &format!("{HEAD}{before}"));
        let engine = module.engine().open().expect("the first text builds");
        Self { module, engine }
    }

    fn edit(&self, after: &str) {
        self.module.edit(&format!("{HEAD}{after}"));
    }

    /// The edit becomes current.
    fn swaps(&self, after: &str) {
        self.edit(after);
        let verdict = self.engine.sync().expect("accepted");
        assert!(verdict.is_swapped(), "{verdict}");
    }

    /// The edit is refused with this text, and the first version goes on.
    fn refuses(&self, after: &str, text: &str) {
        self.edit(after);
        let error = self.engine.sync().expect_err("refused").to_string();
        assert!(error.contains(text) && error.ends_with("v1 stays current"), "{error}");
        assert_eq!(self.engine.version().number(), 1);
    }

    fn number(&self, name: &str) -> u64 {
        self.engine.call_with(name, ()).expect(name)
    }
}

#[test]
fn ve_5_body() {
    let row = Row::new("body", "#[export] pub fn f() -> u64 { 1 }");
    row.swaps("#[export] pub fn f() -> u64 { 2 }");
    assert_eq!(row.number("f"), 2);
}

#[test]
fn ve_5_new_function() {
    let row = Row::new("new_function", "#[export] pub fn f() -> u64 { 1 }");
    row.swaps("#[export] pub fn f() -> u64 { 1 }\n#[export] pub fn g() -> u64 { 2 }");
    assert_eq!(row.number("g"), 2);
}

#[test]
fn ve_5_removed_function() {
    let both = "#[export] pub fn f() -> u64 { 1 }\n#[export] pub fn g() -> u64 { 2 }";
    let row = Row::new("removed_function", both);
    let held = row.engine.function::<fn() -> u64>("g").expect("g is there");
    row.refuses(
        "#[export] pub fn f() -> u64 { 3 }",
        "g: expected fn() -> u64 (by an open handle), v2 has no g",
    );
    assert_eq!(held.call().expect("still there"), 2);
    drop(held);
    row.swaps("#[export] pub fn f() -> u64 { 4 }");
    let error = row.engine.call_with::<u64>("g", ()).expect_err("gone");
    assert!(matches!(error.kind, CallErrorKind::Missing { .. }), "{error}");
}

#[test]
fn ve_5_signature() {
    let row = Row::new("signature", "#[export] pub fn f(a: u64) -> u64 { a }");
    let held = row.engine.function::<fn(u64) -> u64>("f").expect("f is there");
    row.refuses(
        "#[export] pub fn f(a: u32) -> u64 { a.into() }",
        "f: expected fn(u64) -> u64, v2 has fn(u32) -> u64",
    );
    drop(held);
    // Nobody relies on it any more: accepted, and a caller of the old type gets an error value.
    row.swaps("#[export] pub fn f(a: u32) -> u64 { u64::from(a) + 1 }");
    let error = row.engine.call_with::<u64>("f", (1u64,)).expect_err("another type");
    assert_eq!(error.to_string(), "f: argument 1: expected u32, got u64 (write 1u32)");
}

/// The host's own idea of the struct that the module takes.
#[derive(Debug, Abi)]
struct Point {
    x: f64,
    y: f64,
}

#[test]
fn ve_5_layout_of_an_argument() {
    let module = |fields: &str| {
        format!(
            "#[derive(Abi)] pub struct Point {{ {fields} }}\n#[export] pub fn f(p: &Point) -> f64 {{ p.x }}"
        )
    };
    let row = Row::new("layout", &module("pub x: f64, pub y: f64"));
    let held = row.engine.function::<fn(&'static Point) -> f64>("f").expect("the same layout");
    row.refuses(&module("pub x: f64, pub z: f64"), "Point{x@0:f64#8/8,z@8:f64#8/8}");
    row.refuses(&module("pub x: f64, pub y: f64, pub z: u8"), "z@16:u8#1/1");
    assert!(held.call(&Point { x: 3.0, y: 0.0 }).is_ok_and(|x| x == 3.0));
}

/// The host's own idea of the enum that the module takes.
#[derive(Debug, Abi)]
enum Order {
    Go,
    Stop,
}

#[test]
fn ve_5_variants_of_an_enum() {
    let module = |variants: &str| {
        format!(
            "#[derive(Abi)] pub enum Order {{ {variants} }}\n#[export] pub fn f(o: Order) -> bool {{ matches!(o, Order::Go) }}"
        )
    };
    let row = Row::new("variants", &module("Go, Stop"));
    let held = row.engine.function::<fn(Order) -> bool>("f").expect("the same variants");
    row.refuses(&module("Go, Stop, Wait"), "Order{Go=0,Stop=1,Wait=2}");
    row.refuses(&module("Stop, Go"), "Order{Stop=0,Go=1}");
    assert_eq!((held.call(Order::Go), held.call(Order::Stop)), (Ok(true), Ok(false)));
}

#[test]
fn ve_5_static_and_thread_local_start_anew() {
    let module = |step: u64| {
        format!(
            "use std::sync::atomic::{{AtomicU64, Ordering}};\nstatic COUNT: AtomicU64 = AtomicU64::new(0);\n\
             thread_local! {{ static HERE: std::cell::Cell<u64> = const {{ std::cell::Cell::new(0) }}; }}\n\
             #[export] pub fn count() -> u64 {{ COUNT.fetch_add({step}, Ordering::Relaxed) + {step} }}\n\
             #[export] pub fn here() -> u64 {{ HERE.set(HERE.get() + {step}); HERE.get() }}"
        )
    };
    let row = Row::new("static", &module(1));
    assert_eq!([row.number("count"), row.number("count")], [1, 2]);
    assert_eq!([row.number("here"), row.number("here")], [1, 2]);
    row.swaps(&module(10));
    assert_eq!((row.number("count"), row.number("here")), (10, 10));
}

#[test]
fn ve_5_constant_generic_and_macro() {
    let module = |number: u64| {
        format!(
            "#[export] pub const LIMIT: u64 = {number};\n\
             fn twice<T: Copy + std::ops::Add<Output = T>>(a: T) -> T {{ a + a }}\n\
             macro_rules! plus {{ ($a:expr) => {{ $a + {number} }}; }}\n\
             #[export] pub fn generic() -> u64 {{ twice({number}u64) }}\n\
             #[export] pub fn expanded() -> u64 {{ plus!(1) }}"
        )
    };
    let row = Row::new("constant", &module(7));
    assert_eq!((row.number("LIMIT"), row.number("generic"), row.number("expanded")), (7, 14, 8));
    row.swaps(&module(8));
    assert_eq!((row.number("LIMIT"), row.number("generic"), row.number("expanded")), (8, 16, 9));
}

#[test]
fn ve_5_dependency() {
    let row = Row::new("dependency", "#[export] pub fn f() -> u64 { 1 }");
    let answer = |number: u64| {
        row.module.write("answer/src/lib.rs", &format!("pub fn answer() -> u64 {{ {number} }}\n"))
    };
    row.module.write(
        "answer/Cargo.toml",
        "[package]\nname = \"answer\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    answer(2);
    let manifest =
        std::fs::read_to_string(row.module.path().join("Cargo.toml")).expect("it was written");
    let manifest =
        manifest.replace("[dependencies]\n", "[dependencies]\nanswer = { path = \"answer\" }\n");
    row.module.write("Cargo.toml", &manifest);
    row.swaps("#[export] pub fn f() -> u64 { answer::answer() }");
    assert_eq!(row.number("f"), 2);
    // Only the dependency changes now.
    answer(3);
    assert!(row.engine.sync().expect("accepted").is_swapped());
    assert_eq!(row.number("f"), 3);
}

#[test]
fn ve_5_feature() {
    let text = "#[export] pub fn f() -> u64 { if cfg!(feature = \"more\") { 2 } else { 1 } }";
    let row = Row::new("feature", text);
    let manifest =
        std::fs::read_to_string(row.module.path().join("Cargo.toml")).expect("it was written");
    row.module
        .write("Cargo.toml", &format!("{manifest}\n[features]\ndefault = [\"more\"]\nmore = []\n"));
    assert!(row.engine.sync().expect("accepted").is_swapped());
    assert_eq!(row.number("f"), 2);
}

#[test]
fn ve_5_comment() {
    let row = Row::new("comment", "// one\n#[export] pub fn f() -> u64 { 1 }");
    row.edit("// two\n#[export] pub fn f() -> u64 { 1 }");
    let verdict = row.engine.sync().expect("it builds");
    assert!(!verdict.is_swapped(), "{verdict}");
    assert_eq!(row.engine.version().number(), 1);
}
