//! What must be true of any library, however damaged: a real one, cut, patched and shuffled.

use std::fs;
use std::ops::Range;
use std::sync::LazyLock;

use hotswap_engine::{ContentHash, ExportInfo, Inspection};
use hotswap_tests::{elf, prebuilt};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngSeed};

/// So many cases, the same in every run; one that failed is written beside the manifest and tried first from then on.
fn config(cases: u32) -> Config {
    const FAILURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/properties.regressions");
    Config {
        cases,
        // A case is a file of some hundred kilobytes that is hashed: the shortest failure is not worth minutes.
        max_shrink_iters: 200,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(FAILURES))),
        ..Config::default()
    }
}

/// A real library and where its interesting parts are.
struct Library {
    bytes: Vec<u8>,
    exports: Vec<ExportInfo>,
    /// What decides where the exports are, or what they are.
    telling: Vec<Range<usize>>,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let bytes = fs::read(prebuilt::numbered(1)).expect("readable");
    let exports = Inspection::of("whole.so", &bytes).expect("whole").exports;
    assert!(exports.iter().any(|export| export.name == "version"), "{exports:?}");
    let range = |name| elf::section(&bytes, name).range;
    let telling = vec![
        0..64,
        elf::section_table(&bytes),
        range("hotswap_exports"),
        range("hotswap_root"),
        range(".shstrtab"),
        range(".note.gnu.build-id"),
        range(".dynamic"),
        range(".dynsym"),
        range(".dynstr"),
        // The program headers.
        64..64 + 14 * 56,
    ];
    Library { bytes, exports, telling }
});

/// The ranges of [`Library::telling`] in which a change may change what is exported and nothing more is wrong.
const DECIDING: usize = 3;

/// One damage of a library.
#[derive(Debug, Clone)]
enum Damage {
    /// These bytes stand at this place.
    Patch { place: usize, bytes: Vec<u8> },
    /// The file ends here.
    Cut { length: usize },
    /// A part stands where another was; what follows keeps its place or moves.
    Splice { from: Range<usize>, to: usize, moves: bool },
}

/// A place in the file: in its telling parts more often than not.
fn place() -> impl Strategy<Value = usize> {
    let telling = prop::sample::select(LIBRARY.telling.clone()).prop_flat_map(|range| range);
    prop_oneof![3 => telling, 1 => 0..LIBRARY.bytes.len()]
}

fn number() -> impl Strategy<Value = Vec<u8>> {
    let telling =
        [0, 1, 7, 8, 0x7fff_ffff, u64::from(u32::MAX), i64::MAX as u64, u64::MAX - 7, u64::MAX];
    let any = prop_oneof![prop::sample::select(telling.to_vec()), any::<u64>(), 0..0x10_0000_u64];
    (any, prop::sample::select(vec![2_usize, 4, 8]))
        .prop_map(|(number, length)| number.to_le_bytes()[..length].to_vec())
}

fn damage() -> impl Strategy<Value = Damage> {
    let aligned = || place().prop_map(|place| place & !7);
    let patch = (prop_oneof![place(), aligned()], prop_oneof![vec(any::<u8>(), 1..4), number()])
        .prop_map(|(place, bytes)| Damage::Patch { place, bytes });
    let cut = (0..LIBRARY.bytes.len()).prop_map(|length| Damage::Cut { length });
    let splice =
        (place(), 0..200_usize, aligned(), any::<bool>()).prop_map(|(from, length, to, moves)| {
            let from = from..(from + length).min(LIBRARY.bytes.len());
            Damage::Splice { from, to, moves }
        });
    prop_oneof![6 => patch, 1 => cut, 2 => splice]
}

/// Damages the bytes, and adds to `touched` which of them may be others now.
fn apply(damage: &Damage, bytes: &mut Vec<u8>, touched: &mut Vec<Range<usize>>) {
    match damage {
        Damage::Patch { place, bytes: patch } => {
            let end = bytes.len().min(place + patch.len());
            let start = end.min(*place);
            bytes[start..end].copy_from_slice(&patch[..end - start]);
            touched.push(start..end);
        }
        Damage::Cut { length } => {
            bytes.truncate(*length);
            touched.push(*length..usize::MAX);
        }
        Damage::Splice { from, to, moves } => {
            let part = LIBRARY.bytes[from.clone()].to_vec();
            let start = bytes.len().min(*to);
            let end = if *moves { start } else { bytes.len().min(start + part.len()) };
            let length = part.len();
            bytes.splice(start..end, part);
            touched.push(start..if *moves { usize::MAX } else { start + length });
        }
    }
}

proptest! {
    #![proptest_config(config(2_000))]

    /// No damage makes the checks panic. What passes has a hash of its own; and unless the very records, or what
    /// says where they lie, were damaged, it exports what it did.
    #[test]
    fn ve_4_a_damaged_library_is_refused_or_known_to_be_another(damages in vec(damage(), 1..4)) {
        let mut bytes = LIBRARY.bytes.clone();
        let mut touched = Vec::new();
        damages.iter().for_each(|damage| apply(damage, &mut bytes, &mut touched));
        if let Ok(inspection) = Inspection::of("damaged.so", &bytes) {
            let is_another = inspection.content != ContentHash::of(&LIBRARY.bytes);
            prop_assert_eq!(is_another, bytes != LIBRARY.bytes);
            let decides = |range: &Range<usize>| {
                let deciding = &LIBRARY.telling[..DECIDING];
                deciding.iter().any(|known| range.start < known.end && known.start < range.end)
            };
            if !touched.iter().any(decides) {
                prop_assert_eq!(&inspection.exports, &LIBRARY.exports);
            }
        }
    }

    #[test]
    fn ve_4_a_library_cut_anywhere_is_refused(length in 0..LIBRARY.bytes.len()) {
        prop_assert!(Inspection::of("cut.so", &LIBRARY.bytes[..length]).is_err());
    }

    /// Bytes that begin like a library, and end early.
    #[test]
    fn ve_4_no_bytes_make_the_checks_panic(
        mut bytes in vec(any::<u8>(), 0..2_000),
        head in 0..200_usize,
    ) {
        let head = head.min(bytes.len());
        bytes[..head].copy_from_slice(&LIBRARY.bytes[..head]);
        prop_assert!(Inspection::of("random.so", &bytes).is_err());
    }
}
