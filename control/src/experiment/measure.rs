//! What a condition on the traffic comes to between two moments.

use squall_config::model::{Bound, Condition, Measure, QueryCondition};

use super::report::Held;
use crate::guards::traffic::{Sums, differences, failures, slower};

/// Two moments, and what was between them.
pub(super) struct Measured<'a> {
    pub(super) before: &'a Sums,
    pub(super) now: &'a Sums,
    pub(super) seconds: f64,
    /// Requests at once, on average.
    pub(super) in_flight: f64,
    /// Upper bounds of the buckets of durations.
    pub(super) bounds: &'a [f64],
}

/// Whether it holds that what must not be was not. With fewer requests than `minimum` nobody knows.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "far below 2^52"
)]
pub(super) fn measure(broken: &Measure, measured: &Measured<'_>, minimum: u64) -> Held {
    let Measured { before, now, seconds, in_flight, bounds } = measured;
    let few = |requests: u64| Held {
        requests: Some(requests),
        trouble: Some(format!("{requests} requests are too few, {minimum} are needed")),
        ..Held::default()
    };
    match broken {
        Measure::ErrorRate { above, .. } => {
            let requests = failures(before, now);
            match requests.share() {
                Some(share) if requests.all >= minimum as f64 => Held {
                    held: Some(share <= f64::from(above.ppm()) / 1e6),
                    value: Some(share * 100.0),
                    requests: Some(requests.all as u64),
                    trouble: None,
                },
                _ => few(requests.all as u64),
            }
        }
        Measure::Latency { quantile, above, .. } => {
            let counts = differences(&before.durations, &now.durations);
            let requests = slower(&counts, bounds, *above);
            let beyond = f64::from(quantile.beyond.ppm()) / 1e6;
            match requests.share() {
                Some(share) if requests.all >= minimum as f64 => Held {
                    held: Some(share <= beyond),
                    value: value_at(&counts, bounds, 1.0 - beyond),
                    requests: Some(requests.all as u64),
                    trouble: None,
                },
                _ => few(requests.all as u64),
            }
        }
        Measure::InFlight(bound) => {
            Held { held: Some(!bound.is_broken_by(*in_flight)), value: Some(*in_flight), ..Held::default() }
        }
        Measure::RequestRate(bound) if *seconds > 0.0 => {
            let ended = now.ended.saturating_sub(before.ended);
            let rate = ended as f64 / seconds;
            let held = Some(!bound.is_broken_by(rate));
            Held { held, value: Some(rate), requests: Some(ended), trouble: None }
        }
        Measure::RequestRate(_) => Held::default(),
    }
}

/// The value that so large a share lies below: by the straight line in its bucket; in the last one, which has no end, where it
/// begins.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn value_at(counts: &[u64], bounds: &[f64], share: f64) -> Option<f64> {
    let rank = counts.iter().sum::<u64>() as f64 * share;
    let mut below = 0.0;
    for (index, count) in counts.iter().enumerate() {
        let count = *count as f64;
        let low = if index == 0 { 0.0 } else { bounds[index - 1] };
        if count > 0.0 && below + count >= rank {
            let high = bounds.get(index).copied().unwrap_or(low);
            return Some(low + (high - low) * ((rank - below) / count).clamp(0.0, 1.0));
        }
        below += count;
    }
    None
}

/// What values of a condition are in.
pub(super) fn unit(condition: &Condition) -> &'static str {
    match condition {
        Condition::Traffic(traffic) => match traffic.measure {
            Measure::ErrorRate { .. } => "%",
            Measure::Latency { .. } => "s",
            Measure::InFlight(_) => "requests",
            Measure::RequestRate(_) => "requests/s",
        },
        Condition::Query(_) => "",
        Condition::Probe(_) => "status",
    }
}

/// Its bound in that unit.
pub(super) fn bound(condition: &Condition) -> Option<f64> {
    let number = |bound: Bound| match bound {
        Bound::Above(number) | Bound::Below(number) => number,
    };
    match condition {
        Condition::Traffic(traffic) => Some(match &traffic.measure {
            Measure::ErrorRate { above, .. } => f64::from(above.ppm()) / 1e4,
            Measure::Latency { above, .. } => above.as_secs_f64(),
            Measure::InFlight(bound) | Measure::RequestRate(bound) => number(*bound),
        }),
        Condition::Query(QueryCondition { bound, .. }) => Some(number(*bound)),
        Condition::Probe(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_in_their_bucket() {
        let bounds = [0.01, 0.1, 1.0];
        assert_eq!(value_at(&[100, 0, 0, 0], &bounds, 0.5), Some(0.005));
        assert!((value_at(&[50, 50, 0, 0], &bounds, 0.75).unwrap() - 0.055).abs() < 1e-9);
        assert_eq!(value_at(&[0, 0, 0, 7], &bounds, 0.99), Some(1.0));
        assert_eq!(value_at(&[0, 0, 0, 0], &bounds, 0.99), None);
        assert_eq!(value_at(&[99, 0, 1, 0], &bounds, 0.99).unwrap(), 0.01);
    }
}
