//! What is true of one kind of source is true of all: rows CD-2, CD-3, CD-10, LO-3 and RB-7, once more for each.

use std::path::Path;
use std::time::Duration;

use hotswap_engine::sqlite::{Code, Publication, SqliteSource};
use hotswap_engine::{Engine, Event, Source, Verdict};
use hotswap_system::fault::{Fault, Manner, Site, Times, watch};
use hotswap_tests::database_world::DatabaseWorld;
use hotswap_tests::deadline::{event, until};
use hotswap_tests::origin::{Kind, Origin};
use hotswap_tests::{
    CrateFixture, FileFixture, build_directory, isolated, versioned, workspace_root,
};

/// Longer than any test runs: only what a test asks for is looked at.
const RARELY: Duration = Duration::from_secs(3_600);

fn version(engine: &Engine) -> u64 {
    engine.call_with("version", ()).expect("it is exported")
}

#[test]
fn cd_2_every_source_what_was_put_there_before_sync_is_considered() {
    for kind in Kind::ALL {
        let mut origin = Origin::new(kind);
        let engine = origin.engine().open().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        assert_eq!(version(&engine), 1, "{kind:?}");
        for number in [2, 3, 1, 2] {
            origin.put(number);
            engine.sync().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            assert_eq!(version(&engine), number, "{kind:?}");
        }
    }
}

/// No event of the file system is asked for: the next look finds it.
#[test]
fn cd_3_every_source_is_found_by_a_look_of_which_nobody_is_told() {
    for kind in Kind::ALL {
        let mut origin = Origin::new(kind);
        let builder = origin.engine().poll_every(Duration::from_millis(5));
        let (builder, events) = builder.subscribe();
        let engine = builder.open().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        origin.put(2);
        event(&events, "a swap", |event| {
            matches!(event, Event::Swapped { from: Some(_), .. }).then_some(())
        });
        assert_eq!(version(&engine), 2, "{kind:?}");
    }
}

#[test]
fn lo_3_every_source_half_of_a_module_is_refused_and_takes_no_number() {
    for kind in Kind::ALL {
        let mut origin = Origin::new(kind);
        let engine = origin.engine().open().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        let first = engine.version();
        // It grows, and is looked at meanwhile.
        for percent in [10, 50, 90] {
            origin.put_part_of(2, percent);
            let Err(error) = engine.sync() else { panic!("{kind:?}: {percent} % ran") };
            assert_eq!((version(&engine), engine.version()), (1, first), "{kind:?}: {error:?}");
        }
        origin.put(3);
        engine.sync().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        assert_eq!((version(&engine), engine.version().number()), (3, 2), "{kind:?}");
    }
}

#[test]
fn rb_7_every_source_the_way_back_needs_neither_source_nor_compiler() {
    for kind in Kind::ALL {
        let mut origin = Origin::new(kind);
        let builder = || origin.engine().keep_versions(0);
        let engine = builder().open().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        let first = engine.version();
        for number in [2, 3] {
            origin.put(number);
            engine.sync().unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        }
        origin.remove();
        let built = origin.world.lines("build.intent").len();
        engine.rollback_to(first).unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        assert_eq!(version(&engine), 1, "{kind:?}");
        assert_eq!(origin.world.lines("build.intent").len(), built, "{kind:?}");
        drop(engine);
        // The next process, as far as the disk tells: what served last is what was gone back to.
        let engine = origin.engine_without_compiler().open();
        let engine = engine.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
        assert_eq!(version(&engine), 1, "{kind:?}");
        assert!(engine.status().fallback.is_some(), "{kind:?}");
        assert_eq!(origin.world.lines("open.fallback").len(), 1, "{kind:?}");
    }
}

/// The manifest of a module crate, which depends on `numbers`.
fn manifest(name: &str, numbers: &Path, more: &str) -> String {
    let module = workspace_root().join("engine/module");
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n\
         hotswap-module = {{ path = {module:?} }}\nnumbers = {{ path = {numbers:?} }}\n{more}\n"
    )
}

/// A module whose `version` is what this expression, a text, says.
fn giving(text: &str) -> String {
    versioned(0).replace("    0\n", &format!("    {text}.trim().parse().unwrap_or(0)\n"))
}

/// One crate, with a file that it includes, is all that is edited.
#[test]
fn cd_10_every_source_is_built_anew_when_what_it_depends_on_changes_and_no_other() {
    let numbers = CrateFixture::new("cd_10_numbers", "");
    let put = |number: u64| numbers.write("number.txt", &format!("{number}\n"));
    let path = numbers.path();
    numbers.write(
        "Cargo.toml",
        "[package]\nname = \"numbers\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    numbers.edit("pub const NUMBER: &str = include_str!(\"../number.txt\");\n");
    put(1);
    let text = giving("numbers::NUMBER") + &format!("// {}\n", std::process::id());
    let dependency = format!("numbers = {{ path = {path:?} }}");

    let file = FileFixture::new("cd_10_file", "");
    file.edit(&giving(&format!("include_str!({:?})", path.join("number.txt"))));
    let alone = CrateFixture::new("cd_10_alone", &text);
    alone.write("Cargo.toml", &manifest("cd_10_alone", path, "[workspace]"));
    let chained = CrateFixture::new("cd_10_chained", &text);
    chained.write("Cargo.toml", &manifest("cd_10_chained", path, "[workspace]"));
    let workspace = CrateFixture::new("cd_10_workspace", "");
    workspace.write("Cargo.toml", "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n");
    for (name, text) in [("one", text.clone()), ("two", versioned(9))] {
        workspace
            .write(&format!("{name}/Cargo.toml"), &manifest(&format!("cd_10_{name}"), path, ""));
        workspace.write(&format!("{name}/src/lib.rs"), &text);
    }
    let mut world = DatabaseWorld::new();
    let publication = Publication::new("greet", Code::Text(text.clone())).dependency(&dependency);
    world.database.publish(&publication).expect("published");
    let other = Publication::new("other", Code::Text(versioned(9)));
    world.database.publish(&other).expect("published");
    let row = |name: &str| Source::from(SqliteSource::new(world.path(), name).expect("a name"));

    let open = |source: Source| {
        let target = build_directory().join("target");
        let builder = Engine::builder(source).target_dir(target).offline().without_log();
        builder.poll_every(RARELY).open().unwrap_or_else(|error| panic!("{error:?}"))
    };
    let string = Source::string(&text).dependency(&dependency);
    let dependents = [
        ("string", open((&string).into())),
        ("file", open(file.path().into())),
        ("crate", open(alone.path().into())),
        ("member", open(workspace.path().join("one").into())),
        ("sqlite", open(row("greet"))),
        ("chain", open(Source::chain([row("absent"), chained.path().into()]).into())),
    ];
    let others =
        [("string", open(Source::string(versioned(9)).into())), ("row", open(row("other")))];
    for number in [2, 3] {
        put(number);
        for (kind, engine) in &dependents {
            let verdict = engine.sync().unwrap_or_else(|error| panic!("{kind}: {error:?}"));
            assert!(verdict.is_swapped(), "{kind}: {verdict:?}");
            assert_eq!(version(engine), number, "{kind}");
        }
        for (kind, engine) in &others {
            let verdict = engine.sync().expect("nothing is another");
            assert!(matches!(verdict, Verdict::Unchanged { .. }), "{kind}: {verdict:?}");
        }
    }
}

#[test]
fn a_member_inherits_from_its_workspace_and_follows_it() {
    let workspace = CrateFixture::new("inheriting", "");
    let module = workspace_root().join("engine/module");
    let root = |patch: u64| {
        let text = format!(
            "[workspace]\nmembers = [\"one\", \"two\"]\nresolver = \"3\"\n\
             [workspace.package]\nversion = \"1.2.{patch}\"\nedition = \"2024\"\n\
             [workspace.dependencies]\nhotswap-module = {{ path = {module:?} }}\n\
             [workspace.lints.rust]\nunused_variables = \"deny\"\n"
        );
        workspace.write("Cargo.toml", &text);
    };
    let text = giving("env!(\"CARGO_PKG_VERSION_PATCH\")");
    root(1);
    for name in ["one", "two"] {
        let manifest = format!(
            "[package]\nname = \"inheriting_{name}\"\nversion.workspace = true\nedition.workspace = true\n\
             [dependencies]\nhotswap-module.workspace = true\n[lints]\nworkspace = true\n"
        );
        workspace.write(&format!("{name}/Cargo.toml"), &manifest);
        workspace.write(&format!("{name}/src/lib.rs"), &text);
    }
    let open = |name: &str| {
        let target = build_directory().join("target");
        let builder = Engine::builder(workspace.path().join(name)).target_dir(target).offline();
        builder.without_log().poll_every(RARELY).open().unwrap_or_else(|error| panic!("{error:?}"))
    };
    let (one, two) = (open("one"), open("two"));
    assert_eq!((version(&one), version(&two)), (1, 1));
    assert!(!workspace.path().join("one/Cargo.lock").exists(), "the lock file is the root's");
    // What both inherit.
    root(2);
    for engine in [&one, &two] {
        assert!(engine.sync().expect("it compiles").is_swapped());
        assert_eq!(version(engine), 2);
    }
    // A lint of the workspace; the other member is none of it.
    workspace
        .write("one/src/lib.rs", &text.replace("-> u64 {\n", "-> u64 {\n    let unused = 7;\n"));
    let error = one.sync().expect_err("the workspace denies it");
    assert!(format!("{error:?}").contains("unused"), "{error:?}");
    assert!(matches!(two.sync(), Ok(Verdict::Unchanged { .. })));
    assert_eq!((version(&one), version(&two)), (2, 2));
    workspace.write("one/src/lib.rs", &versioned(7));
    one.sync().expect("it compiles");
    assert_eq!((version(&one), version(&two)), (7, 2));
}

/// Where what is fetched, chosen and put in its place fails.
const FETCH_FILES: [&str; 6] = [
    "monitor/src/supply/",
    "monitor/src/claimed.rs",
    "monitor/src/sqlite/",
    "monitor/src/delivery/",
    "monitor/src/http/",
    "source/string.rs",
];

/// Each step once, for good, and with a panic: what runs goes on, and when the step can be taken again, so is what was published.
#[test]
fn lo_3_every_source_every_step_of_fetching_may_fail() {
    isolated("lo_3_every_source_every_step_of_fetching_may_fail", || {
        let mut steps = 0;
        let kinds = [Kind::Text, Kind::SqliteText, Kind::SqliteCrate, Kind::SqliteLibrary];
        let others = [Kind::HttpLibrary, Kind::ChainFirst, Kind::ChainLast];
        for kind in kinds.into_iter().chain(others) {
            let mut origin = Origin::new(kind);
            let engine = origin.engine().open().expect("nothing is wrong yet");
            let watching = watch();
            origin.put(2);
            engine.sync().expect("nothing is wrong yet");
            let sites = watching.passed().into_keys();
            let of_fetching = |site: &Site| FETCH_FILES.iter().any(|file| site.file.contains(file));
            let sites: Vec<Site> = sites.filter(of_fetching).collect();
            let mut number = 2;
            for (site, manner) in sites
                .iter()
                .flat_map(|site| [Manner::Error, Manner::Panic].map(|manner| (*site, manner)))
            {
                for times in [Times::Once(0), Times::From(0)] {
                    let before = number;
                    number = 1 + number % 3;
                    watching.inject(Fault { site, times, manner });
                    origin.put(number);
                    let verdict = engine.sync();
                    // What failed once may have been tried again meanwhile.
                    let is_old = version(&engine) == before && verdict.is_err();
                    let may_be_new = verdict.is_ok() || times == Times::Once(0);
                    let is_new = version(&engine) == number && may_be_new;
                    assert!(is_old || is_new, "{kind:?} {site}: {verdict:?}");
                    assert!(watching.heal() > 0, "{kind:?} {site}: it is on the way");
                    // An attempt of its own may have panicked just now, and be the answer.
                    until("it is taken", || engine.sync().is_ok());
                    assert_eq!(version(&engine), number, "{kind:?} {site}");
                    steps += 1;
                }
            }
        }
        assert!(steps > 100, "{steps}");
    });
}
