//! One figure to reach.

use crate::Samples;

use super::quantity::{Unit, bytes, share, time, times};

/// How the first table is read.
pub(super) const TEXT: &str = "Each is compared with a floor that was measured in the same run, sample by sample in \
    turn. A figure is a median unless it says otherwise; beside it stands between what nine of ten samples lie. A kilobyte has 1,024 bytes.";

/// The columns of the first table.
pub(super) const HEAD: [&str; 7] =
    ["figure", "floor", "measured", "ratio", "to reach", "", "command"];

/// A figure that the project set itself, and whether it is reached.
#[derive(Debug)]
pub(super) struct Figure {
    /// What it is about.
    pub(super) what: String,
    /// What it is compared with.
    pub(super) floor: Reading,
    pub(super) ours: Reading,
    pub(super) target: Target,
    /// What measures it again.
    pub(super) command: &'static str,
}

/// Something that was measured.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) what: String,
    pub(super) unit: Unit,
    /// What the figure is made of: the median unless it says otherwise.
    pub(super) value: f64,
    /// Between what nine of ten readings lie, or what else is known of its certainty.
    pub(super) spread: String,
}

impl Reading {
    /// The median of samples.
    pub(super) fn median(what: impl Into<String>, unit: Unit, samples: &Samples) -> Self {
        let spread = format!("{}, {} samples", unit.range(samples), samples.count());
        Self { what: what.into(), unit, value: samples.median(), spread }
    }

    /// One number.
    pub(super) fn one(
        what: impl Into<String>,
        unit: Unit,
        value: f64,
        spread: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), unit, value, spread: spread.into() }
    }

    pub(super) fn shown(&self) -> String {
        self.unit.show(self.value)
    }
}

/// How much it may be at most.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// So many times the floor.
    Times(f64),
    Seconds(f64),
    /// So many seconds more than the floor.
    SecondsMore(f64),
    Share(f64),
    Bytes(f64),
}

impl Figure {
    /// Ours as a multiple of the floor; `None` where the floor is nothing.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.floor.value > 0.0).then(|| self.ours.value / self.floor.value)
    }

    pub(super) fn is_met(&self) -> bool {
        match self.target {
            Target::Times(most) => self.ratio().is_some_and(|ratio| ratio <= most),
            Target::SecondsMore(most) => self.ours.value <= self.floor.value + most,
            Target::Seconds(most) | Target::Share(most) | Target::Bytes(most) => {
                self.ours.value <= most
            }
        }
    }

    /// A row of the table.
    pub(super) fn cells(&self) -> [String; 7] {
        let reading = |reading: &Reading| {
            format!("{}: {} ({})", reading.what, reading.shown(), reading.spread)
        };
        [
            self.what.clone(),
            reading(&self.floor),
            reading(&self.ours),
            self.ratio_shown(),
            self.target.shown(),
            self.verdict().to_owned(),
            format!("`{}`", self.command),
        ]
    }

    pub(super) fn ratio_shown(&self) -> String {
        self.ratio().map_or_else(|| "\u{2013}".to_owned(), times)
    }

    pub(super) fn verdict(&self) -> &'static str {
        if self.is_met() { "met" } else { "not met" }
    }
}

impl Target {
    pub(super) fn shown(self) -> String {
        let most = match self {
            Self::Times(most) => times(most),
            Self::Seconds(most) => time(most),
            Self::SecondsMore(most) => format!("floor + {}", time(most)),
            Self::Share(most) => share(most),
            Self::Bytes(most) => bytes(most),
        };
        format!("\u{2264} {most}")
    }
}
