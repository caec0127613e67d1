//! What is true of one kind of source is true of all: rows CD-2, CD-3, CD-10, LO-3 and RB-7, once more for each.

use std::time::Duration;

use hotswap_engine::{Engine, Event};
use hotswap_tests::deadline::event;
use hotswap_tests::origin::{Kind, Origin};

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
