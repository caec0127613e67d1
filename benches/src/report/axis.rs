//! Where a value stands on a picture.

/// One axis of a plot.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// What is counted, with its unit.
    pub(super) name: String,
    is_log: bool,
    low: f64,
    high: f64,
    /// Values with what is written beside them.
    pub(super) ticks: Vec<(f64, String)>,
}

/// How many decades an axis may span with ticks at 2 and 5 as well.
const FINE_DECADES_MAX: f64 = 2.4;

impl Axis {
    /// A logarithmic axis around all values that are positive.
    pub(super) fn log(
        name: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
        label: impl Fn(f64) -> String,
    ) -> Self {
        let (low, high) = range(values.into_iter().filter(|value| *value > 0.0));
        let is_fine = (high / low).log10() < FINE_DECADES_MAX;
        let steps: &[f64] = if is_fine { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = low.log10().floor() as i32 - 1..=high.log10().ceil() as i32 + 1;
        let all: Vec<f64> = decades
            .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
            .collect();
        // A little tolerance: 10^-3 is not quite a thousandth.
        let first = all.iter().rposition(|tick| *tick <= low * 1.000_001).unwrap_or(0);
        let last = all.iter().position(|tick| *tick >= high * 0.999_999).unwrap_or(all.len() - 1);
        let last = last.max(first + 1);
        let ticks = all[first..=last].iter().map(|tick| (*tick, label(*tick))).collect();
        Self { name: name.into(), is_log: true, low: all[first], high: all[last], ticks }
    }

    /// A logarithmic axis with these ticks and no others, and a little room at both ends.
    pub(super) fn listed(name: impl Into<String>, ticks: Vec<(f64, String)>) -> Self {
        let (low, high) = range(ticks.iter().map(|(value, _)| *value));
        let room = if high > low { (high / low).powf(0.04) } else { 2.0 };
        Self { name: name.into(), is_log: true, low: low / room, high: high * room, ticks }
    }

    /// A linear axis from 0, or from below it.
    pub(super) fn linear(
        name: impl Into<String>,
        values: impl IntoIterator<Item = f64>,
        steps: &[f64],
        label: impl Fn(f64) -> String,
    ) -> Self {
        let (low, high) = range(values);
        let (low, high) = (low.min(0.0), high.max(steps[0]));
        // The first step of which six cover the range.
        let fits = |step: &&f64| (high - low) / **step <= 6.0;
        let step = steps.iter().find(fits).or(steps.last()).expect("there are steps");
        let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
        let ticks: Vec<_> =
            (first..=last).map(|n| n as f64 * step).map(|tick| (tick, label(tick))).collect();
        let (low, high) = (first as f64 * step, last as f64 * step);
        Self { name: name.into(), is_log: false, low, high, ticks }
    }

    /// From 0 at the low end to 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        place.clamp(0.0, 1.0)
    }
}

/// The least and the greatest; 1 and 10 when there is nothing.
fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let found = values.into_iter().fold(None, |range: Option<(f64, f64)>, value| {
        Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    });
    found.unwrap_or((1.0, 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<f64> {
        axis.ticks.iter().map(|(value, _)| (value * 1e9).round() / 1e9).collect()
    }

    #[test]
    fn ticks_enclose_the_values() {
        let label = |value: f64| value.to_string();
        assert_eq!(
            ticks(&Axis::log("", [0.003, 40.0, 0.0], label)),
            [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
        );
        assert_eq!(ticks(&Axis::log("", [1.3, 27.0], label)), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        assert_eq!(
            ticks(&Axis::linear("", [-1.0, 11.0], &[1.0, 5.0], label)),
            [-5.0, 0.0, 5.0, 10.0, 15.0]
        );
        let axis = Axis::log("", [1.0, 100.0], label);
        assert_eq!([1.0, 10.0, 100.0].map(|value| axis.place(value)), [0.0, 0.5, 1.0]);
    }
}
