//! Random schedules against a model of what an engine promises: see `hotswap_tests::simulation`.

use std::env;

use hotswap_tests::{isolated, simulation};

/// How many actions each schedule has.
const ACTIONS: u64 = 120;

macro_rules! schedules {
    ($($name:ident = $seed:literal;)*) => {$(
        #[test]
        fn $name() {
            isolated(stringify!($name), || simulation::run($seed, ACTIONS));
        }
    )*};
}

schedules! {
    schedule_0x0001 = 0x0001;
    schedule_0x1f3a = 0x1f3a;
    schedule_0x2b07 = 0x2b07;
    schedule_0x33c1 = 0x33c1;
    schedule_0x4d52 = 0x4d52;
    schedule_0x5e90 = 0x5e90;
    schedule_0x6a1b = 0x6a1b;
    schedule_0x7777 = 0x7777;
    schedule_0x80f4 = 0x80f4;
    schedule_0x9c2d = 0x9c2d;
    schedule_0xa5a5 = 0xa5a5;
    schedule_0xb318 = 0xb318;
    schedule_0xc0de = 0xc0de;
    schedule_0xd00f = 0xd00f;
    schedule_0xe661 = 0xe661;
    schedule_0xf1e9 = 0xf1e9;
}

/// The schedule of `HOTSWAP_SEED`, with `HOTSWAP_ACTIONS` actions, and as many seeds after it as
/// `HOTSWAP_SCHEDULES` says; a short one when nobody says anything.
#[test]
fn by_hand() {
    isolated("by_hand", || {
        let (seed, actions) = (number("HOTSWAP_SEED", 0), number("HOTSWAP_ACTIONS", 20));
        for seed in seed..seed + number("HOTSWAP_SCHEDULES", 1) {
            simulation::run(seed, actions);
        }
    });
}

/// A number from the environment, decimal or after `0x`.
fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = env::var(variable) else { return default };
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
}
