//! One colour per thing, the same in every plot, for light pages and dark ones.

use plotters::style::RGBColor;

use crate::call::CallPath;

/// A colour on light paper, and its stand-in on dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hue {
    pub(super) light: RGBColor,
    dark: RGBColor,
}

const fn hue(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Hue {
    Hue { light: RGBColor(light.0, light.1, light.2), dark: RGBColor(dark.0, dark.1, dark.2) }
}

/// Text.
pub(super) const INK: Hue = hue((31, 35, 40), (230, 237, 243));
/// Text that matters less.
pub(super) const MUTED: Hue = hue((89, 99, 110), (145, 152, 161));
/// Lines behind everything.
pub(super) const GRID: Hue = hue((221, 226, 231), (52, 59, 67));

/// What something is compared with.
pub(super) const FLOOR: Hue = hue((138, 146, 155), (139, 148, 158));
pub(super) const BLUE: Hue = hue((36, 99, 209), (108, 164, 255));
pub(super) const TEAL: Hue = hue((13, 136, 122), (63, 197, 178));
pub(super) const ORANGE: Hue = hue((201, 98, 10), (245, 155, 75));
pub(super) const PURPLE: Hue = hue((130, 80, 223), (183, 148, 246));
pub(super) const GREEN: Hue = hue((42, 138, 62), (86, 194, 107));
pub(super) const GOLD: Hue = hue((176, 128, 0), (221, 181, 69));
pub(super) const PINK: Hue = hue((191, 75, 138), (242, 140, 192));
const BROWN: Hue = hue((138, 84, 60), (205, 150, 124));

/// Trees: the more files, the stronger.
const SIZES: [Hue; 5] = [
    hue((150, 192, 233), (56, 88, 128)),
    hue((104, 158, 217), (75, 118, 171)),
    hue((62, 122, 197), (104, 156, 217)),
    hue((35, 84, 163), (151, 194, 243)),
    hue((18, 44, 107), (208, 228, 255)),
];

/// Everything that may stand in a plot.
const ALL: [Hue; 17] = [
    INK, MUTED, GRID, FLOOR, BLUE, TEAL, ORANGE, PURPLE, GREEN, GOLD, PINK, BROWN, SIZES[0],
    SIZES[1], SIZES[2], SIZES[3], SIZES[4],
];

/// The steps of an edit, in their order.
pub(super) const STEPS: [Hue; 8] = [GOLD, BROWN, BLUE, TEAL, PURPLE, PINK, ORANGE, GREEN];

/// A tree of so many files.
pub(super) fn of_files(files: usize) -> Hue {
    SIZES[(files.max(1).ilog10() as usize).min(SIZES.len() - 1)]
}

/// A way to call.
pub(super) const fn of_call(path: CallPath) -> Hue {
    match path {
        CallPath::Raw => FLOOR,
        CallPath::Handle => BLUE,
        CallPath::Name => TEAL,
        CallPath::Locked => ORANGE,
        CallPath::Guard => PURPLE,
    }
}

/// What makes a picture fit a dark page: the colours are written into it as light ones.
pub(super) fn style() -> String {
    let swap = |hue: &Hue| {
        let (light, dark) = (hex(hue.light), hex(hue.dark));
        format!("svg [fill=\"{light}\"]{{fill:{dark}}}svg [stroke=\"{light}\"]{{stroke:{dark}}}")
    };
    let dark: String = ALL.iter().map(swap).collect();
    format!(
        "svg text{{font-family:system-ui,-apple-system,'Segoe UI',sans-serif}}\
         @media (prefers-color-scheme:dark){{{dark}}}"
    )
}

/// As plotters writes it.
fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}
