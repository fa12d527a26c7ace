//! How long requests took: counts by duration, for quantiles with an error of less than 1 %.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Two significant digits: each count is within 1 % of its duration.
const DIGITS: u8 = 2;

/// Durations, in microseconds. Grows as they spread.
#[derive(Clone, Debug)]
pub(super) struct Durations(Histogram<u32>);

impl Default for Durations {
    fn default() -> Self {
        Self(Histogram::new(DIGITS).expect("invariant: two digits are within what a histogram can have"))
    }
}

impl Durations {
    /// One more.
    pub(super) fn add(&mut self, took: Duration) {
        self.0.record(micros(took)).expect("invariant: a histogram that grows takes every duration");
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.0.len()
    }

    /// In seconds; `None` of nothing.
    pub(super) fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| seconds(self.0.value_at_quantile(quantile)))
    }

    /// The longest, in seconds; `None` of nothing.
    pub(super) fn max(&self) -> Option<f64> {
        (!self.0.is_empty()).then(|| seconds(self.0.max()))
    }

    /// How many took longer than so many seconds.
    pub(super) fn longer_than(&self, than: f64) -> u64 {
        let than = micros(Duration::try_from_secs_f64(than).unwrap_or(Duration::MAX));
        self.0.len() - self.0.count_between(0, than)
    }
}

/// At least 1.
fn micros(took: Duration) -> u64 {
    // Two hours are as long as for ever; a bound keeps what grows with the longest small.
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX).clamp(1, 7_200_000_000)
}

fn seconds(micros: u64) -> f64 {
    super::statistics::float(micros) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_and_nothing_has_none() {
        let mut durations = Durations::default();
        assert_eq!((durations.quantile(0.5), durations.max(), durations.longer_than(0.0)), (None, None, 0));
        (1..=1_000).for_each(|n| durations.add(Duration::from_millis(n)));
        let p99 = durations.quantile(0.99).unwrap();
        assert!((p99 - 0.99).abs() < 0.01, "{p99}");
        assert!((durations.max().unwrap() - 1.0).abs() < 0.01);
        assert!(durations.longer_than(0.9).abs_diff(100) <= 10, "{}", durations.longer_than(0.9));
        durations.add(Duration::MAX);
        assert_eq!((durations.len(), durations.longer_than(7_000.0)), (1_001, 1));
    }
}
