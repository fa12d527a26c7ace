//! Where values stand, and which of them are written beside the plot.

use super::curves::{Bound, Curve};

/// A range that is more than so many times as high as low is drawn by its logarithm.
const LOGARITHMIC_FROM: f64 = 50.0;
/// So many ticks at most.
const TICKS_MAX: usize = 8;
/// From the smallest that is drawn by its logarithm: an hour is 3,600,000 of them.
const FLOOR_MIN: f64 = 1e-6;

/// How an axis goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// By the logarithm.
    Logarithmic,
}

impl Scale {
    /// By the logarithm when the longest duration is far from the shortest.
    pub(super) fn of_durations(curves: &[Curve<'_>], bounds: &[Bound<'_>]) -> Self {
        let all = curves.iter().flat_map(Curve::values).chain(bounds.iter().map(|bound| bound.value));
        let positive: Vec<f64> = all.filter(|value| *value > 0.0).map(|value| value.max(FLOOR_MIN)).collect();
        let low = positive.iter().copied().fold(f64::INFINITY, f64::min);
        let high = positive.iter().copied().fold(0.0, f64::max);
        if high > low * LOGARITHMIC_FROM { Self::Logarithmic } else { Self::Linear }
    }
}

/// An axis: from where to where, and its ticks.
#[derive(Debug)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// For finite values; with none of them it goes from 0 to 1.
    pub(super) fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values {
            high = high.max(value);
            low = if value > 0.0 { low.min(value.max(FLOOR_MIN)) } else { low };
        }
        match scale {
            Scale::Logarithmic if low < high => Self::logarithmic(low, high),
            _ => Self::linear(if high > 0.0 { high } else { 1.0 }),
        }
    }

    /// Seconds of a run.
    pub(super) fn of_time(end: f64) -> Self {
        let end = if end > 0.0 { end } else { 1.0 };
        let steps = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0];
        let fits = |step: &f64| end / step <= TICKS_MAX as f64;
        let step = steps.into_iter().find(fits).unwrap_or_else(|| nice_step(end));
        let step = if end < 1.0 { nice_step(end) } else { step };
        Self { scale: Scale::Linear, low: 0.0, high: end, ticks: multiples(step, end) }
    }

    fn linear(most: f64) -> Self {
        let step = nice_step(most);
        let high = (most / step).ceil() * step;
        Self { scale: Scale::Linear, low: 0.0, high, ticks: multiples(step, high) }
    }

    /// Whole powers of ten at its ends; for few of them also twice and five times each.
    fn logarithmic(low: f64, high: f64) -> Self {
        let (first, last) = (low.log10().floor(), high.log10().ceil());
        let first = if first < last { first } else { last - 1.0 };
        let decades = last - first;
        let powers = std::iter::successors(Some(first), |power| Some(power + 1.0)).take_while(|power| *power <= last);
        let factors: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 3.0] };
        let every = if decades > 2.0 * TICKS_MAX as f64 { 3 } else { 1 };
        let ticks = powers.step_by(every).flat_map(|power| factors.iter().map(move |f| f * 10_f64.powf(power)));
        let high = 10_f64.powf(last);
        Self {
            scale: Scale::Logarithmic,
            low: 10_f64.powf(first),
            high,
            ticks: ticks.filter(|t| *t <= high * 1.01).collect(),
        }
    }

    /// From 0 at its low end to 1 at its high end.
    pub(super) fn place(&self, value: f64) -> f64 {
        let part = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => {
                let (low, high) = (self.low.log10(), self.high.log10());
                (value.max(self.low).log10() - low) / (high - low)
            }
        };
        part.clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, so that about five of them make `most`.
fn nice_step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

fn multiples(step: f64, end: f64) -> Vec<f64> {
    (0..=TICKS_MAX + 2).map(|n| n as f64 * step).take_while(|value| *value <= end * 1.001).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::new(Scale::Linear, [87.0].into_iter()).ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(Axis::new(Scale::Linear, std::iter::empty()).place(1.0), 1.0);
        assert_eq!(Axis::of_time(95.0).ticks, [0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0]);
        let log = Axis::new(Scale::Logarithmic, [0.012, 2.4].into_iter());
        assert_eq!(log.ticks.len(), 7, "{log:?}");
        assert!((log.place(0.1) - 1.0 / 3.0).abs() < 1e-9, "{log:?}");
    }

    #[test]
    fn every_size_has_a_place() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for most in [1e-12, 1e-6, 1.0, 3.0, 1e12] {
                let axis = Axis::new(scale, [most / 1000.0, most].into_iter());
                assert!(axis.ticks.len() >= 2 && axis.ticks.len() <= 24, "{most} {axis:?}");
                assert!(
                    [0.0, most / 2.0, most, -5.0].into_iter().all(|v| (0.0..=1.0).contains(&axis.place(v))),
                    "{axis:?}"
                );
            }
        }
    }
}
