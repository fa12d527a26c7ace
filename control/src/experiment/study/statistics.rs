//! Intervals and tests for shares.

use crate::experiment::report::Share;

/// Of the normal distribution: 95 % lie within.
const Z: f64 = 1.959_963_984_540_054;

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) all: u64,
    pub(super) bad: u64,
}

impl Count {
    /// One more.
    pub(super) fn add(&mut self, is_bad: bool) {
        self.all += 1;
        self.bad += u64::from(is_bad);
    }

    /// `None` of nothing.
    pub(super) fn share(self) -> Option<f64> {
        (self.all > 0).then(|| float(self.bad) / float(self.all))
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// `count` of `all` with its 95 % confidence interval (Wilson 1927).
pub(in crate::experiment) fn share(count: u64, all: u64) -> Share {
    if all == 0 {
        return Share { count, share: 0.0, low: 0.0, high: 1.0 };
    }
    let share = float(count) / float(all);
    let Interval { low, high } = wilson(Proportion { share, of: float(all) });
    Share { count, share, low, high }
}

/// A share of so many, which need not be a whole number.
#[derive(Clone, Copy, Debug)]
struct Proportion {
    share: f64,
    of: f64,
}

/// The ends of a confidence interval.
#[derive(Clone, Copy, Debug)]
struct Interval {
    low: f64,
    high: f64,
}

/// How much larger one share is than another, with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Difference {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// The interval of a share.
fn wilson(Proportion { share, of }: Proportion) -> Interval {
    let z2 = Z * Z / of;
    let middle = (share + z2 / 2.0) / (1.0 + z2);
    let half = (share * (1.0 - share) * z2 + z2 * z2 / 4.0).max(0.0).sqrt() / (1.0 + z2);
    Interval { low: (middle - half).max(0.0).min(share), high: (middle + half).min(1.0).max(share) }
}

/// The difference of two shares, `a` less `b`, with its 95 % confidence interval (Newcombe 1998, method 10: from the two
/// intervals of Wilson); `None` when one is a share of nothing.
fn difference(a: Proportion, b: Proportion) -> Option<Difference> {
    if a.of <= 0.0 || b.of <= 0.0 {
        return None;
    }
    let (of_a, of_b) = (wilson(a), wilson(b));
    let value = a.share - b.share;
    let low = value - (a.share - of_a.low).hypot(of_b.high - b.share);
    let high = value + (of_a.high - a.share).hypot(b.share - of_b.low);
    Some(Difference { value, low, high })
}

/// [`difference`] of strata, each with a count of both, where the second of each weighs as much as the first, so that both are
/// alike in what they are made of. Strata that only one has are left out. The weighted share counts as one of so many as have
/// its variance.
pub(super) fn weighted_difference(strata: impl Iterator<Item = (Count, Count)>) -> Option<Difference> {
    let (mut first, mut second, mut variance) = (Count::default(), 0.0, 0.0);
    for (a, b) in strata.filter(|(a, _)| a.all > 0) {
        let Some(share) = b.share() else { continue };
        first.all += a.all;
        first.bad += a.bad;
        second += float(a.all) * share;
        variance += float(a.all).powi(2) / float(b.all);
    }
    let all = float(first.all);
    let second = Proportion { share: second / all, of: all * all / variance };
    difference(Proportion { share: first.share()?, of: all }, second)
}

/// How likely at least so many more of the bad ones are in `a` than in `b` by chance alone: Fisher's exact test, one-sided.
pub(super) fn fisher(a: Count, b: Count) -> f64 {
    let (all, bad) = (a.all + b.all, a.bad + b.bad);
    let chosen = |n: u64, k: u64| ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k);
    let total = chosen(all, bad);
    let last = a.all.min(bad);
    let mut sum = 0.0;
    for k in a.bad..=last {
        if bad - k > b.all {
            continue;
        }
        let term = (chosen(a.all, k) + chosen(b.all, bad - k) - total).exp();
        sum += term;
        // Behind the middle the terms fall ever faster.
        if term < sum * 1e-12 {
            break;
        }
    }
    sum.min(1.0)
}

/// By Stirling's series, with an error below 1e-9 from 10 on.
fn ln_factorial(n: u64) -> f64 {
    if n < 10 {
        return (2..=n).map(float).product::<f64>().ln();
    }
    let n = float(n);
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    n * n.ln() - n + 0.5 * (std::f64::consts::TAU * n).ln() + series
}

/// What a share is not above, but with the probability `error` (Chernoff's bound, which holds for every number of cases).
pub(super) fn upper_bound(count: Count, error: f64) -> f64 {
    let Some(share) = count.share() else { return 1.0 };
    let enough = -error.ln() / float(count.all);
    let (mut low, mut high) = (share, 1.0);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if divergence(share, middle) < enough {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Kullback and Leibler's divergence of a coin that falls with `p` from one with `q`.
fn divergence(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{Binomial, DiscreteCDF, Hypergeometric};

    use super::*;

    fn of(share: f64, of: f64) -> Proportion {
        Proportion { share, of }
    }

    fn is_near(a: f64, b: f64, error: f64) {
        assert!((a - b).abs() <= error, "{a} and {b}");
    }

    #[test]
    fn intervals_are_those_of_the_literature() {
        // Newcombe 1998, the first example of his table II: 56/70 and 48/80.
        let found = difference(of(56.0 / 70.0, 70.0), of(48.0 / 80.0, 80.0)).unwrap();
        is_near(found.value, 0.2, 1e-9);
        is_near(found.low, 0.0524, 5e-5);
        is_near(found.high, 0.3339, 5e-5);
        // Wilson for 81 of 263, from Newcombe's paper on one share.
        let s = share(81, 263);
        is_near(s.low, 0.2553, 5e-5);
        is_near(s.high, 0.3662, 5e-5);
        assert_eq!((share(0, 10).low, share(10, 10).high, share(0, 0).high), (0.0, 1.0, 1.0));
        assert_eq!(difference(of(0.0, 0.0), of(0.5, 3.0)), None);
    }

    #[test]
    fn strata_are_weighted_and_one_alone_is_as_without() {
        let count = |all, bad| Count { all, bad };
        let one = weighted_difference([(count(70, 56), count(80, 48))].into_iter());
        assert_eq!(one, difference(of(0.8, 70.0), of(0.6, 80.0)));
        // The same shares in each stratum: no difference, though the sums differ much.
        let strata = [(count(900, 270), count(100, 30)), (count(50, 0), count(950, 0)), (count(7, 7), count(0, 0))];
        let found = weighted_difference(strata.into_iter()).unwrap();
        is_near(found.value, 0.0, 1e-9);
        assert!((-0.2..-0.05).contains(&found.low) && (0.05..0.2).contains(&found.high), "{found:?}");
        assert_eq!(weighted_difference(std::iter::empty()), None);
    }

    #[test]
    fn the_exact_test_is_the_tail_of_the_hypergeometric_distribution() {
        for (a, bad_a, b, bad_b) in
            [(10, 5, 12, 1), (100, 3, 1900, 20), (2000, 40, 30_000, 300), (5, 0, 5, 0), (5, 5, 5, 5), (1, 1, 9, 0)]
        {
            let own = fisher(Count { all: a, bad: bad_a }, Count { all: b, bad: bad_b });
            let theirs = Hypergeometric::new(a + b, bad_a + bad_b, a).unwrap();
            let tail = if bad_a == 0 { 1.0 } else { theirs.sf(bad_a - 1) };
            is_near(own, tail, 1e-7);
        }
    }

    #[test]
    fn a_share_beyond_its_upper_bound_is_as_unlikely_as_said() {
        for (all, bad) in [(500, 0), (500, 3), (40, 20), (10_000, 80)] {
            let bound = upper_bound(Count { all, bad }, 0.025);
            let chance = Binomial::new(bound, all).unwrap().cdf(bad);
            assert!(chance <= 0.025 + 1e-9, "{all} {bad}: {chance}");
            assert!(bound < Count { all, bad }.share().unwrap() + 3.0 / float(all).sqrt(), "{bound}");
        }
        assert_eq!(upper_bound(Count::default(), 0.025), 1.0);
    }
}
