//! Events of the file system wake the monitor, where it was built with them (CD-3).

use std::fs;
use std::time::Duration;

use hotswap_monitor::Step;

use crate::fake::{builder, source};
use crate::harness::ready;

#[cfg(not(feature = "events"))]
#[test]
fn without_the_feature_it_is_said_once_and_the_source_is_polled() {
    use hotswap_monitor::EventsProblem;

    let (_directory, file) = source("one");
    let fake = builder(&file, |_, _, _| {}).wake_on_events();
    let watched = crate::harness::Watched::polling(fake, Duration::from_millis(5));
    ready(watched.next());
    fs::write(&file, "two").unwrap();
    ready(watched.next());
    let steps: Vec<Step> = watched.observations.try_iter().map(|told| told.step).collect();
    let problems: Vec<&EventsProblem> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Events { problem } => Some(problem),
            _ => None,
        })
        .collect();
    assert!(matches!(problems[..], [EventsProblem::NotBuiltIn]), "{problems:?}");
    assert!(problems[0].to_string().contains("feature `events`"));
}

#[cfg(feature = "events")]
mod with_the_feature {
    use std::thread;

    use hotswap_monitor::Trigger;

    use super::*;
    use crate::editors::{WAYS, Way, prepare};
    use crate::fake::crate_builder;
    use crate::harness::{PATIENCE, Watched, name, write};

    #[test]
    fn every_way_to_save_wakes_the_monitor() {
        thread::scope(|scope| {
            for way in WAYS {
                scope.spawn(|| wakes(way));
            }
        });
    }

    fn wakes((way, save, _): &Way) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("game");
        prepare(&root);
        let fake = crate_builder(&root, |_, _, _| {}).settle(Duration::from_millis(200));
        let watched = Watched::with(fake.wake_on_events());
        ready(watched.next());
        watched.unchanged();
        save(&root);
        let second = watched.next();
        assert_eq!(second.trigger, Trigger::Event, "{way}");
        ready(second);
    }

    #[test]
    fn a_file_in_a_folder_that_was_empty_and_one_behind_a_link_wake_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("game");
        prepare(&root);
        let watched = Watched::with(crate_builder(&root, |_, _, _| {}).wake_on_events());
        ready(watched.next());
        fs::create_dir_all(root.join("src/empty/deep")).unwrap();
        // The look that the folders are a reason for.
        watched.unchanged();
        write(&root, "src/empty/deep/a.rs", "new");
        assert_eq!(watched.next().trigger, Trigger::Event);
        write(&root, "texts/one", "<three>");
        assert_eq!(watched.next().trigger, Trigger::Event);
        // Another folder of the same name.
        fs::rename(root.join("src/empty"), directory.path().join("away")).unwrap();
        assert_eq!(watched.next().trigger, Trigger::Event);
        write(&root, "src/empty/deep/a.rs", "newer");
        assert_eq!(watched.next().trigger, Trigger::Event);
        watched.unchanged();
        write(&root, "src/empty/deep/a.rs", "newest");
        assert_eq!(watched.next().trigger, Trigger::Event);
    }

    #[test]
    fn what_the_build_and_others_write_is_no_reason_to_look() {
        let (directory, file) = source("one");
        let watched = Watched::with(builder(&file, |_, _, _| {}).wake_on_events());
        ready(watched.next());
        watched.unchanged();
        for number in 0..50 {
            fs::write(directory.path().join(format!("other_{number}")), "x").unwrap();
        }
        fs::write(&file, "two").unwrap();
        let second = watched.next();
        assert_eq!(second.trigger, Trigger::Event);
        assert_eq!(second.cause.count, 1);
        drop(watched.monitor);
        let steps: Vec<Step> = watched.observations.iter().map(|told| told.step).collect();
        assert!(!steps.iter().any(|step| name(step) == "events"), "{steps:?}");
    }

    #[test]
    fn an_event_during_a_build_finds_what_is_newer() {
        let (_directory, file) = source("one");
        let fake = builder(&file, |file, build, stop| {
            if build == 1 {
                fs::write(file, "two").unwrap();
                assert!(stop.channel().recv_timeout(PATIENCE).is_err());
            }
        });
        let watched = Watched::with(fake.wake_on_events());
        let first = watched.next();
        assert_eq!(first.trigger, Trigger::Event);
        assert_eq!(fs::read(ready(first).path).unwrap(), b"two");
        assert!(watched.steps().contains(&"cancelled"));
    }

    #[test]
    fn a_source_that_is_missing_is_found_when_it_appears() {
        let (_directory, file) = source("one");
        let away = file.with_extension("away");
        fs::rename(&file, &away).unwrap();
        let watched = Watched::with(builder(&file, |_, _, _| {}).wake_on_events());
        watched.next();
        watched.scan();
        fs::rename(&away, &file).unwrap();
        let back = watched.next();
        assert_eq!(back.trigger, Trigger::Event);
        ready(back);
    }
}
