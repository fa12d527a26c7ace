//! Whether the faulted group is harmed more than the control group, at any time: a sequential test that may be looked at
//! after each request and ended as soon as it says so, without finding harm where there is none more often than promised.
//!
//! The evidence is an e-value: under the hypothesis that the share of harmed requests is at most `tolerated` higher in the
//! faulted group, its expectation is at most 1 at any time, so by Ville's inequality it ever reaches 20 in at most one of 20
//! experiments. It is that of Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow
//! for optional stopping" (2021; J. Stat. Plan. Inference 230, 2024), for two coins: the product over blocks of what is
//! expected (by earlier blocks only) over the point of the hypothesis that is nearest to it in Kullback and Leibler's
//! divergence, weighted with how many of the block are of each group. A block is one request of the faulted group with those
//! of the control group since the one before.
//!
//! The product of the ratios of a block expects at most 1 under each point of the hypothesis: its logarithm there is concave,
//! is 0 at the nearest point, and rises from there in no direction within a convex hypothesis, since nothing in it is
//! nearer.
//!
//! Requests are compared within a stratum, which is a route: routes differ in how often their calls are faulted, as well as in
//! how often they fail anyhow, and the one must not look like a cause of the other.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::statistics::{Count, Difference, float, weighted_difference};

/// At and beyond this, harm is called: 1 of 20 is 5 %.
pub(super) const ENOUGH: f64 = 20.0;

/// More of the control group in one block bring little; the others of them are only learnt from.
const CONTROLS_MAX: u64 = 50;

/// How many requests what is assumed at first weighs as much as: half of it harmed. From the paper, which finds it best in the
/// worst case.
const PRIOR: f64 = 0.18;

/// How many requests of a stratum what is known of all strata weighs as much as.
const POOLED: f64 = 2.0;

/// The evidence so far.
#[derive(Debug)]
pub(super) struct Evidence {
    tolerated: f64,
    log: f64,
    log_max: f64,
    pooled: Pair,
    strata: HashMap<u16, Stratum, RandomState>,
}

/// Requests of both groups.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    faulted: Count,
    control: Count,
}

#[derive(Debug, Default)]
struct Stratum {
    /// In earlier blocks.
    past: Pair,
    /// Of the control group, for the block that is not complete.
    block: Count,
    /// Beyond what a block takes.
    more: Count,
}

impl Evidence {
    /// None yet. `tolerated` is a share.
    pub(super) fn new(tolerated: f64) -> Self {
        debug_assert!((0.0..=1.0).contains(&tolerated), "a share");
        Self { tolerated, log: 0.0, log_max: 0.0, pooled: Pair::default(), strata: HashMap::default() }
    }

    /// A request of the control group.
    pub(super) fn control(&mut self, stratum: u16, is_harmed: bool) {
        let stratum = self.strata.entry(stratum).or_default();
        let part = if stratum.block.all < CONTROLS_MAX { &mut stratum.block } else { &mut stratum.more };
        part.add(is_harmed);
    }

    /// A request of the faulted group, which completes a block.
    pub(super) fn faulted(&mut self, stratum: u16, is_harmed: bool) {
        let stratum = self.strata.entry(stratum).or_default();
        let control = expected(stratum.past.control, self.pooled.control);
        let faulted = expected(stratum.past.faulted, self.pooled.faulted);
        let block = std::mem::take(&mut stratum.block);
        if block.all > 0 && faulted > control + self.tolerated {
            self.log += growth(Expected { control, faulted }, self.tolerated, block, is_harmed);
            self.log_max = self.log_max.max(self.log);
        }
        let more = std::mem::take(&mut stratum.more);
        for pair in [&mut stratum.past, &mut self.pooled] {
            pair.faulted.add(is_harmed);
            for seen in [block, more] {
                pair.control.all += seen.all;
                pair.control.bad += seen.bad;
            }
        }
        debug_assert!(self.log.is_finite() && self.log_max >= self.log.max(0.0));
    }

    /// The largest e-value that there was: that a sequence of them ever becomes large is as unlikely as that one is (Ville).
    pub(super) fn value(&self) -> f64 {
        self.log_max.clamp(-500.0, 500.0).exp()
    }

    /// Whether it was ever beyond doubt.
    pub(super) fn is_called(&self) -> bool {
        self.log_max >= ENOUGH.ln()
    }

    /// How much larger the share of harmed requests is in the faulted group, with its 95 % confidence interval. The control
    /// group is weighted to the routes of the faulted group; those that have no control are left out.
    pub(super) fn difference(&self) -> Option<Difference> {
        weighted_difference(self.strata.values().map(|Stratum { past, block, more }| {
            let all = past.control.all + block.all + more.all;
            (past.faulted, Count { all, bad: past.control.bad + block.bad + more.bad })
        }))
    }
}

/// The share to expect in a stratum.
fn expected(own: Count, pooled: Count) -> f64 {
    let pooled = (float(pooled.bad) + PRIOR) / (float(pooled.all) + 2.0 * PRIOR);
    (float(own.bad) + POOLED * pooled) / (float(own.all) + POOLED)
}

/// What is expected of the two groups.
#[derive(Clone, Copy, Debug)]
struct Expected {
    control: f64,
    faulted: f64,
}

/// The logarithm of what a block multiplies the evidence with.
fn growth(expected: Expected, tolerated: f64, control: Count, is_harmed: bool) -> f64 {
    let nearest = nearest(expected, tolerated, float(control.all));
    let ratio = |expected: f64, null: f64| ((expected / null).ln(), ((1.0 - expected) / (1.0 - null)).ln());
    let (control_bad, control_good) = ratio(expected.control, nearest.control);
    let (faulted_bad, faulted_good) = ratio(expected.faulted, nearest.faulted);
    let of_control = float(control.bad) * control_bad + float(control.all - control.bad) * control_good;
    of_control + if is_harmed { faulted_bad } else { faulted_good }
}

/// The point of the hypothesis's edge, where the shares differ by `tolerated`, that is nearest to what is expected. The
/// distance is convex along the edge: its slope is cut in halves.
fn nearest(expected: Expected, tolerated: f64, controls: f64) -> Expected {
    let slope = |share: f64, of: f64| (share - of) / (share * (1.0 - share));
    let (mut low, mut high) = (0.0, 1.0 - tolerated);
    for _ in 0..60 {
        let control = f64::midpoint(low, high);
        let sum = controls * slope(control, expected.control) + slope(control + tolerated, expected.faulted);
        // At the very end of the range the slope is no number; what is left of the range is nothing then.
        if sum < 0.0 {
            low = control;
        } else {
            high = control;
        }
    }
    let control = f64::midpoint(low, high);
    Expected { control, faulted: control + tolerated }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
