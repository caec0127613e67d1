//! What was measured: many readings of one thing, and what is said of them.

use std::time::Duration;

/// Readings of one thing: seconds, bytes, or shares.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Never empty, in ascending order.
    sorted: Vec<f64>,
}

impl Samples {
    /// Of plain numbers.
    ///
    /// # Panics
    ///
    /// When there are none: nothing can be said of them.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        assert!(!sorted.is_empty(), "nothing was measured");
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// Of times, in seconds.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[must_use]
    pub fn of_times(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(times.into_iter().map(|time| time.as_secs_f64()))
    }

    /// The value that a share of the readings does not exceed: 0.5 is the median. Between two readings it is interpolated.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        let place = share.clamp(0.0, 1.0) * (self.sorted.len() - 1) as f64;
        let below = self.sorted[place.floor() as usize];
        let above = self.sorted[place.ceil() as usize];
        below + (above - below) * place.fract()
    }

    /// The middle one.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The average: for what was read at evenly spread moments of a period.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sorted.iter().sum::<f64>() / self.sorted.len() as f64
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.sorted.len()
    }
}

/// What something is called, and its seconds.
pub type Named = (String, Samples);

/// Things that do the same.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// A name for files and links.
    pub id: &'static str,
    /// What they do.
    pub title: &'static str,
    /// What all are compared with.
    pub floor: Named,
    /// This project's.
    pub ours: Vec<Named>,
    /// Others'.
    pub peers: Vec<Named>,
}

impl Comparison {
    /// Of readings in this order: the floor, so many of ours, and the others.
    ///
    /// # Panics
    ///
    /// When there are fewer readings.
    #[must_use]
    pub fn new(
        id: &'static str,
        title: &'static str,
        readings: impl IntoIterator<Item = Named>,
        ours: usize,
    ) -> Self {
        let mut readings = readings.into_iter();
        let floor = readings.next().expect("the floor comes first");
        let ours = readings.by_ref().take(ours).collect();
        Self { id, title, floor, ours, peers: readings.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_the_readings() {
        let samples = Samples::new([4.0, 1.0, 2.0, 3.0]);
        let quantiles = [0.0, 0.5, 1.0, 2.0].map(|share| samples.quantile(share));
        assert_eq!(quantiles, [1.0, 2.5, 4.0, 4.0]);
        assert_eq!((samples.mean(), samples.count()), (2.5, 4));
    }
}
