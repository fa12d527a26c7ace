//! Exact counts and distributions, with fixed seeds: a change here breaks the replay of reports.

use squall_config::model::Quantiles;

use super::*;
use crate::testing::percent;

fn picker(seed: u64, sample: &Sample, percentage: Percentage) -> Picker<'_> {
    Picker { seed, stream: stream_of("slow-b"), sample, percentage }
}

fn picked(seed: u64, sample: &Sample, share: f64, ordinals: std::ops::Range<u64>) -> usize {
    let picker = picker(seed, sample, percent(share));
    ordinals.filter(|n| picker.pick(*n).is_some()).count()
}

#[test]
fn stream_is_fnv_1a() {
    // Test vectors of the FNV reference code.
    assert_eq!(stream_of(""), 0xCBF2_9CE4_8422_2325);
    assert_eq!(stream_of("a"), 0xAF63_DC4C_8601_EC8C);
    assert_eq!(stream_of("foobar"), 0x8594_4171_F739_67E8);
}

#[test]
fn five_percent_of_20_000_for_fixed_seeds() {
    let counts = [1, 2, 3, 42].map(|seed| picked(seed, &Sample::Random, 5.0, 0..20_000));
    assert!(counts.iter().all(|count| (880..=1120).contains(count)), "{counts:?}");
    assert_eq!(counts, [1011, 978, 1046, 973]);
}

#[test]
fn golden_ordinals() {
    let picker = picker(42, &Sample::Random, percent(5.0));
    let fired: Vec<u64> = (0..).filter(|n| picker.pick(*n).is_some()).take(8).collect();
    assert_eq!(fired, [17, 35, 48, 51, 78, 106, 119, 188]);
}

#[test]
fn small_shares_are_exact_to_the_ppm() {
    assert_eq!(picked(7, &Sample::Random, 0.0001, 0..1_000_000), 0);
    assert_eq!(picked(7, &Sample::Exact, 0.0001, 0..1_000_000), 1);
    assert_eq!(picked(7, &Sample::Exact, 33.3333, 0..1_000_000), 333_333);
}

#[test]
fn exact_holds_in_every_window_of_100() {
    for share in [0, 1, 5, 10, 33, 50, 99, 100] {
        for start in [0, 1, 37, 99, 100, 999_950] {
            let count = picked(9, &Sample::Exact, f64::from(share), start..start + 100);
            assert_eq!(count, usize::try_from(share).unwrap(), "{share}% from {start}");
        }
    }
}

#[test]
fn exact_is_evenly_spread() {
    let exact = Sample::Exact;
    let picker = picker(9, &exact, percent(5.0));
    let turns: Vec<u64> = (0..2_000).filter(|n| picker.pick(*n).is_some()).collect();
    assert!(turns.windows(2).all(|pair| pair[1] - pair[0] == 20), "{turns:?}");
}

#[test]
fn exact_turns_of_two_rules_are_out_of_step() {
    let sample = Sample::Exact;
    let turn = |name| {
        let picker = Picker { seed: 1, stream: stream_of(name), sample: &sample, percentage: percent(1.0) };
        (0..100).find(|n| picker.pick(*n).is_some()).unwrap()
    };
    assert_ne!(turn("a"), turn("b"));
}

#[test]
fn first_and_every() {
    assert_eq!(picked(1, &Sample::First(3), 100.0, 0..100), 3);
    assert_eq!(picked(1, &Sample::First(3), 100.0, 3..100), 0);
    let every = Sample::Every(10);
    let tenth = picker(1, &every, Percentage::ALWAYS);
    let turns: Vec<u64> = (0..40).filter(|n| tenth.pick(*n).is_some()).collect();
    assert_eq!(turns, [9, 19, 29, 39]);
    assert_eq!(picked(1, &Sample::Every(0), 100.0, 0..100), 0);
    let half = picked(1, &Sample::Every(2), 50.0, 0..20_000);
    assert!((4_700..5_300).contains(&half), "{half}");
}

fn latencies(latency: &Latency, max: Duration) -> Vec<f64> {
    let mut stream = LatencyStream::new(latency.clone(), max, 2026);
    let mut values: Vec<f64> = (0..10_000).map(|_| stream.next_latency().as_secs_f64()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The Kolmogorov–Smirnov distance to a distribution function; 1.63/√n is passed by chance in 1 of 100 seeds.
fn assert_distribution(latency: &Latency, distribution: impl Fn(f64) -> f64) {
    let values = latencies(latency, Duration::from_secs(1_000_000));
    let n = 10_000.0;
    let distance = |(i, x): (u32, &f64)| {
        let expected = distribution(*x);
        (expected - f64::from(i) / n).abs().max((f64::from(i + 1) / n - expected).abs())
    };
    let worst = (0..).zip(&values).map(distance).fold(0.0, f64::max);
    assert!(worst < 1.63 / 100.0, "{latency:?}: distance {worst}");
}

/// Abramowitz and Stegun 7.1.26; off by less than 2e-7.
fn normal_below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * z.abs() / std::f64::consts::SQRT_2);
    let poly = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = poly.iter().fold(0.0, |sum, c| (sum + c) * t) * (-z * z / 2.0).exp() / 2.0;
    if z < 0.0 { tail } else { 1.0 - tail }
}

#[test]
fn latencies_follow_their_distributions() {
    let ms = Duration::from_millis;
    assert_distribution(&Latency::Uniform { min: ms(100), max: ms(300) }, |x| ((x - 0.1) / 0.2).clamp(0.0, 1.0));
    assert_distribution(&Latency::Normal { mean: ms(500), stddev: ms(50) }, |x| normal_below((x - 0.5) / 0.05));
    assert_distribution(&Latency::LogNormal { median: ms(200), sigma: 0.5 }, |x| normal_below((x / 0.2).ln() / 0.5));
    assert_distribution(&Latency::Exponential { mean: ms(100) }, |x| 1.0 - (-x / 0.1).exp());
    assert_distribution(&Latency::Pareto { scale: ms(50), shape: 1.5 }, |x| 1.0 - (0.05 / x).powf(1.5));
    let table = [(0.0, ms(0)), (0.5, ms(10)), (0.99, ms(2_000)), (1.0, ms(4_000))];
    assert_distribution(&Latency::Quantiles(Quantiles::new(table).unwrap()), |x| match x {
        ..0.01 => x / 0.01 * 0.5,
        ..2.0 => 0.5 + (x - 0.01) / 1.99 * 0.49,
        _ => 0.99 + (x - 2.0) / 2.0 * 0.01,
    });
}

#[test]
fn latencies_stay_within_zero_and_max() {
    let ms = Duration::from_millis;
    let wild = [
        Latency::Fixed(ms(9_000)),
        Latency::Uniform { min: ms(0), max: ms(9_000) },
        Latency::Normal { mean: ms(1), stddev: ms(5_000) },
        Latency::LogNormal { median: ms(1), sigma: 1_000.0 },
        Latency::Exponential { mean: ms(0) },
        Latency::Pareto { scale: ms(1), shape: 0.001 },
        Latency::Pareto { scale: ms(0), shape: 1.0 },
    ];
    for latency in wild {
        let values = latencies(&latency, ms(2_000));
        assert!(values[0] >= 0.0 && values[9_999] <= 2.0, "{latency:?}");
    }
}

#[test]
fn uniform_reaches_both_ends() {
    let us = Duration::from_micros;
    let values = latencies(&Latency::Uniform { min: us(1), max: us(3) }, us(3));
    assert!((values[0] - 1e-6).abs() < 1e-9 && (values[9_999] - 3e-6).abs() < 1e-9);
}

#[test]
fn same_seed_same_stream() {
    let latency = Latency::Exponential { mean: Duration::from_millis(10) };
    assert_eq!(latencies(&latency, Duration::from_secs(9)), latencies(&latency, Duration::from_secs(9)));
}
