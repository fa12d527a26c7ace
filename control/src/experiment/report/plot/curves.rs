//! Curves: points that are few enough to be drawn, with all peaks.

/// So many parts of the time at most are drawn; each has a highest and a lowest point.
const PARTS_MAX: usize = 360;
/// Shares need more requests than a second has: so many parts at most.
const SHARES_MAX: usize = 90;
/// No time and no value beyond this is drawn.
const LARGEST: f64 = 1e12;
/// What is less is nothing: there is no axis for it.
const SMALLEST: f64 = 1e-9;

/// How a curve looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Faulted,
    FaultedDashed,
    Control,
    ControlDashed,
    All,
    Bad,
}

impl Style {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Faulted => "curve stroke-faulted",
            Self::FaultedDashed => "curve dashed stroke-faulted",
            Self::Control => "curve stroke-control",
            Self::ControlDashed => "curve dashed stroke-control",
            Self::All => "curve stroke-all",
            Self::Bad => "curve stroke-bad",
        }
    }
}

/// A curve with gaps where nothing is known.
#[derive(Debug)]
pub(super) struct Curve<'n> {
    pub(super) name: &'n str,
    pub(super) style: Style,
    /// Time and value, both finite and not negative; `None` is a gap.
    pub(super) points: Vec<Option<(f64, f64)>>,
}

impl<'n> Curve<'n> {
    /// All points when there are few; of many the highest and the lowest of each part, so that no peak is lost.
    pub(super) fn peaks(name: &'n str, style: Style, points: impl Iterator<Item = (f64, Option<f64>)>) -> Self {
        let points: Vec<_> = points.map(|(at, value)| Some((drawable(at)?, drawable(value?)?))).collect();
        let part = points.len().div_ceil(PARTS_MAX).max(1);
        let points = if part <= 2 { points } else { points.chunks(part).flat_map(extremes).collect() };
        Self { name, style, points }
    }

    /// Of so many, in each part of the time.
    pub(super) fn shares(name: &'n str, style: Style, points: impl Iterator<Item = (f64, (u64, u64))>) -> Self {
        let points: Vec<_> = points.collect();
        let part = points.len().div_ceil(SHARES_MAX).max(1);
        let share = |part: &[(f64, (u64, u64))]| {
            let at = drawable(part.get(part.len() / 2)?.0)?;
            let some = part.iter().map(|(_, (some, _))| *some as f64).sum::<f64>();
            let all = part.iter().map(|(_, (_, all))| *all as f64).sum::<f64>();
            (all > 0.0).then(|| (at, (some / all).min(1.0)))
        };
        Self { name, style, points: points.chunks(part).map(share).collect() }
    }

    /// Without gaps.
    pub(super) fn known(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.points.iter().flatten().copied()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.known().map(|(_, value)| value)
    }
}

/// The lowest and the highest point in their order; a gap when all of it is one.
fn extremes(part: &[Option<(f64, f64)>]) -> Vec<Option<(f64, f64)>> {
    let known = || part.iter().flatten().copied();
    let lowest = known().min_by(|a, b| a.1.total_cmp(&b.1));
    let highest = known().max_by(|a, b| a.1.total_cmp(&b.1));
    match (lowest, highest) {
        (Some(low), Some(high)) if low.0 <= high.0 => vec![Some(low), Some(high)],
        (low, high) if low.is_some() => vec![high, low],
        _ => vec![None],
    }
}

/// Within what a picture can show; `None` for what is no number.
pub(super) fn drawable(value: f64) -> Option<f64> {
    value.is_finite().then(|| if value < SMALLEST { 0.0 } else { value.min(LARGEST) })
}

/// What a statement allows.
#[derive(Debug)]
pub(super) struct Bound<'n> {
    pub(super) name: &'n str,
    pub(super) value: f64,
}

impl<'n> Bound<'n> {
    /// `None` for what is no number.
    pub(super) fn new(name: &'n str, value: f64) -> Option<Self> {
        Some(Self { name, value: drawable(value)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peak_is_lost_among_many_points() {
        let points = (0..3600).map(|n| (f64::from(n), Some(if n == 1234 { 50.0 } else { 1.0 })));
        let curve = Curve::peaks("p99", Style::All, points);
        assert!(curve.points.len() <= 2 * PARTS_MAX, "{}", curve.points.len());
        assert!(curve.known().any(|point| point == (1234.0, 50.0)));
        assert!(curve.known().is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn what_is_no_number_is_a_gap() {
        let points =
            [(0.0, Some(1.0)), (1.0, None), (2.0, Some(f64::NAN)), (f64::INFINITY, Some(1.0)), (3.0, Some(-1.0))];
        let curve = Curve::peaks("p99", Style::All, points.into_iter());
        assert_eq!(curve.points, [Some((0.0, 1.0)), None, None, None, Some((3.0, 0.0))]);
    }

    #[test]
    fn a_share_of_nothing_is_a_gap() {
        let curve = Curve::shares("errors", Style::All, [(0.0, (1, 4)), (1.0, (0, 0))].into_iter());
        assert_eq!(curve.points, [Some((0.0, 0.25)), None]);
    }
}
