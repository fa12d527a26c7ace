//! Chance, without a source of chance: every draw is a pure function of (seed, rule, ordinal).
//!
//! Each decision gets a small generator of its own, so that no rule's outcome depends on another rule, on the
//! thread that decides, or on how many values an earlier decision took. Its first value picks or passes; the
//! following ones are latencies, in the order of the rule's faults.

use std::time::Duration;

use rand::Rng;
use rand_distr::{Distribution, Exp, LogNormal, Normal, Pareto};
use rand_pcg::Pcg32;

use squall_config::model::{Latency, Sample};
use squall_config::units::Percentage;

const PPM_WHOLE: u64 = 1_000_000;

/// 2^64 divided by the golden ratio: the increment of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64: a bijection in which every input bit moves half of the output bits.
fn scramble(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// One number from three; for fixed `seed` and `stream`, different ordinals never give the same one.
pub(crate) fn mix(seed: u64, stream: u64, ordinal: u64) -> u64 {
    let key = scramble(scramble(seed.wrapping_add(GOLDEN)) ^ stream);
    scramble(key.wrapping_add(ordinal.wrapping_mul(GOLDEN)))
}

/// The stream of a rule: the hash of its name. Fixed for ever: a seed in a report replays on later versions.
pub(crate) fn stream_of(name: &str) -> u64 {
    hash(name.bytes())
}

/// FNV-1a, 64 bits: the same on every machine.
pub(crate) fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, step)
}

/// The values of one decision.
#[derive(Debug)]
pub(crate) struct Draw {
    generator: Pcg32,
}

impl Draw {
    fn new(seed: u64, stream: u64, ordinal: u64) -> Self {
        Self { generator: Pcg32::new(mix(seed, stream, ordinal), stream) }
    }

    /// Whether the next value falls below the percentage.
    pub(crate) fn falls_below(&mut self, percentage: Percentage) -> bool {
        is_below(self.generator.next_u64(), percentage)
    }

    /// A latency of at most `max`.
    pub(crate) fn latency(&mut self, of: &Latency, max: Duration) -> Duration {
        latency(&mut self.generator, of, max).min(max)
    }

    /// The seed of a generator that makes bytes or sizes.
    pub(crate) fn seed(&mut self) -> u32 {
        self.generator.next_u32()
    }
}

/// Whether a value falls below the percentage: never at 0 %, always at 100 %, and a value that falls below p falls
/// below every q ≥ p. Integers throughout: value / 2^64 < ppm / 10^6.
fn is_below(value: u64, percentage: Percentage) -> bool {
    u128::from(value) * u128::from(PPM_WHOLE) < u128::from(percentage.ppm()) << 64
}

/// A rule's randomness and share: all that picking needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picker<'a> {
    pub(crate) seed: u64,
    pub(crate) stream: u64,
    pub(crate) sample: &'a Sample,
    pub(crate) percentage: Percentage,
}

impl Picker<'_> {
    /// Whether the exchange with this ordinal (from 0) is picked; if so, the draw for its latencies.
    pub(crate) fn pick(&self, ordinal: u64) -> Option<Draw> {
        if !self.is_eligible(ordinal) {
            return None;
        }
        let mut draw = Draw::new(self.seed, self.stream, ordinal);
        let falls_below = draw.falls_below(self.percentage);
        let is_picked = match self.sample {
            Sample::Exact => self.is_exact_turn(ordinal),
            Sample::Random | Sample::First(_) | Sample::Every(_) | Sample::Sticky(_) | Sample::Attempt(_) => {
                falls_below
            }
        };
        is_picked.then_some(draw)
    }

    /// Whether a sticky share is for this key. The seed, the rule's name and the key decide, and nothing else.
    pub(crate) fn is_for(&self, key: u64) -> bool {
        is_below(mix(self.seed, self.stream, key), self.percentage)
    }

    /// The draw for the latencies of something that was picked otherwise.
    pub(crate) fn draw(&self, ordinal: u64) -> Draw {
        let mut draw = Draw::new(self.seed, self.stream, ordinal);
        // The first value picks or passes, here too.
        let _ = draw.falls_below(self.percentage);
        draw
    }

    fn is_eligible(&self, ordinal: u64) -> bool {
        match *self.sample {
            Sample::Random | Sample::Exact | Sample::Sticky(_) | Sample::Attempt(_) => true,
            Sample::First(n) => ordinal < n,
            Sample::Every(n) => ordinal.checked_rem(n).is_some_and(|rest| rest == n - 1),
        }
    }

    /// Error diffusion (Bresenham): every ordinal adds ppm, each overflow of a million is a turn. Any 100 ordinals
    /// in a row hold exactly p turns when p is whole, any 1,000,000 do for every p. The starting phase comes from
    /// the seed, so that two rules with the same percentage do not hit the same exchanges.
    fn is_exact_turn(&self, ordinal: u64) -> bool {
        let ppm = u64::from(self.percentage.ppm());
        let phase = mix(self.seed, self.stream, u64::MAX) % PPM_WHOLE;
        let error = ((ordinal % PPM_WHOLE) * ppm + phase) % PPM_WHOLE;
        error + ppm >= PPM_WHOLE
    }
}

/// Draws latencies for the chunks of one delayed stream; the n-th draw depends on the seed alone.
#[derive(Debug)]
pub struct LatencyStream {
    latency: Latency,
    max: Duration,
    draw: Draw,
}

impl LatencyStream {
    /// A stream of draws of `latency`, the same for the same seed.
    pub fn new(latency: Latency, max: Duration, seed: u64) -> Self {
        Self { latency, max, draw: Draw::new(seed, 0, 0) }
    }

    /// The next latency, at most `max`.
    pub fn next_latency(&mut self) -> Duration {
        self.draw.latency(&self.latency, self.max)
    }
}

/// A value of the distribution. What no `Duration` can hold counts as `max`; negative values count as zero, as do
/// all values of a distribution whose parameters make no sense (validation lets none through).
fn latency(generator: &mut Pcg32, latency: &Latency, max: Duration) -> Duration {
    let seconds = match latency {
        Latency::Fixed(fixed) => return *fixed,
        Latency::Uniform { min, max } => return uniform(generator, *min, *max),
        Latency::Quantiles(table) => return table.at(unit(generator)),
        Latency::Normal { mean, stddev } => sample(generator, Normal::new(mean.as_secs_f64(), stddev.as_secs_f64())),
        Latency::LogNormal { median, sigma } => sample(generator, LogNormal::new(median.as_secs_f64().ln(), *sigma)),
        Latency::Exponential { mean } => sample(generator, Exp::new(mean.as_secs_f64().recip())),
        Latency::Pareto { scale, shape } => sample(generator, Pareto::new(scale.as_secs_f64(), *shape)),
    };
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(max)
}

/// Evenly from 0 up to but not including 1: the 53 bits that a double holds exactly.
#[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
fn unit(generator: &mut Pcg32) -> f64 {
    (generator.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn sample<D: Distribution<f64>, E>(generator: &mut Pcg32, distribution: Result<D, E>) -> f64 {
    distribution.map_or(0.0, |distribution| distribution.sample(generator))
}

/// Every microsecond from `min` to `max`, both included, is as likely (but for a share below 2^-28).
fn uniform(generator: &mut Pcg32, min: Duration, max: Duration) -> Duration {
    let span_us = u64::try_from(max.saturating_sub(min).as_micros()).unwrap_or(u64::MAX - 1);
    let offset_us = (u128::from(generator.next_u64()) * (u128::from(span_us) + 1)) >> 64;
    min + Duration::from_micros(u64::try_from(offset_us).unwrap_or(span_us))
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
