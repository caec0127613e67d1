//! The figures of modules on a web server.

use crate::Samples;
use crate::report::figure::{Figure, Reading, Target};
use crate::report::findings::HttpCost;
use crate::report::quantity::{Unit, bytes};

use super::BENCH_HTTP;

pub(super) fn http(found: &HttpCost) -> Vec<Figure> {
    let figure = |what: String, floor: (&str, &Samples), ours: (&str, &Samples), target| Figure {
        what,
        floor: Reading::median(floor.0, Unit::Seconds, floor.1),
        ours: Reading::median(ours.0, Unit::Seconds, ours.1),
        target,
        command: BENCH_HTTP,
    };
    let get = ("conditional GET alone", &found.conditional_get);
    let large = bytes(found.large_bytes as f64);
    vec![
        figure(
            "idle look at a web server".to_owned(),
            get,
            ("one request, no body", &found.idle),
            Target::SecondsMore(1e-3),
        ),
        figure(
            "a release on a web server, to its first call".to_owned(),
            get,
            ("sync, and call", &found.to_live),
            Target::SecondsMore(1e-1),
        ),
        figure(
            format!("verification of {large} that were signed"),
            ("SHA-256 of it, in memory", &found.hash_alone),
            ("read and hashed", &found.verified),
            Target::Times(1.5),
        ),
    ]
}
