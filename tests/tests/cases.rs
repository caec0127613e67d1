//! Runs the scripts of `tests/cases`. A new case is a new file and one name here.

use std::path::Path;

use hotswap_tests::script;

fn directory() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cases"))
}

macro_rules! cases {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                script::run(&directory().join(concat!(stringify!($name), ".txt")));
            }
        )*

        #[test]
        fn every_script_is_run() {
            let mut named: Vec<String> = vec![$(concat!(stringify!($name), ".txt").to_owned()),*];
            let mut present: Vec<String> = std::fs::read_dir(directory())
                .expect("the cases lie there")
                .map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned())
                .collect();
            named.sort();
            present.sort();
            assert_eq!(named, present);
        }
    };
}

cases! {
    broken_and_repaired
    changed_signature
    first_build_fails
    revert
    rollback
    single_file
    swap
    touch_only
}
