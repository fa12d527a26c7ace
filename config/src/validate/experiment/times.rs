//! How long an experiment and its parts take, and when it starts by itself.

use std::time::Duration;

use crate::defaults;
use crate::model::{MethodStep, Schedule};
use crate::spec::{ExperimentSpec, Scalar, ScheduleSpec};
use crate::units::format_duration;

use crate::report::Report;

/// In less nothing can be seen.
pub(super) const PHASE_MIN: Duration = Duration::from_secs(1);
/// More often nobody looks at what came of it.
const EVERY_MIN: Duration = Duration::from_secs(60);

/// What is known of them.
pub(super) struct Times {
    pub(super) baseline: Duration,
    pub(super) recovery: Duration,
    pub(super) rollback: Duration,
    pub(super) duration: Duration,
    pub(super) schedule: Option<Schedule>,
}

/// `method` is `None` when a step has a problem of its own: how long all takes is not known then.
pub(super) fn times(spec: &ExperimentSpec, method: Option<&[MethodStep]>, report: &mut Report) -> Times {
    let before = report.count();
    let phase = |path: &str, value: Option<&Scalar>, default: Duration, report: &mut Report| {
        value.and_then(|value| bounded(path, value, PHASE_MIN, report)).unwrap_or(default)
    };
    let baseline = phase("spec.baseline", spec.baseline.as_ref(), defaults::EXPERIMENT_BASELINE, report);
    let recovery = phase("spec.recovery", spec.recovery.as_ref(), defaults::EXPERIMENT_RECOVERY, report);
    let over = spec.rollback.as_ref().and_then(|rollback| rollback.over.as_ref());
    let rollback = over.and_then(|over| bounded("spec.rollback.over", over, Duration::ZERO, report));
    let rollback = rollback.unwrap_or(Duration::ZERO);
    let is_known = report.count() == before;
    let sum = method.filter(|_| is_known).map(|method| {
        let sum = method.iter().map(|step| in_force(step) + step.pause).sum::<Duration>();
        baseline + sum + rollback + recovery
    });
    if let Some(sum) = sum.filter(|sum| *sum > defaults::EXPERIMENT_MAX) {
        let detail = format!("with all its phases it takes {}", format_duration(sum));
        report.add("spec.method", detail, "shorten its parts to at most 24h together");
    }
    let duration = duration(spec.duration.as_ref(), sum, report);
    let schedule = spec.schedule.as_ref().and_then(|spec| schedule(spec, sum, report));
    Times { baseline, recovery, rollback, duration, schedule }
}

/// How long the rules of a step are in force.
pub(super) fn in_force(step: &MethodStep) -> Duration {
    step.ramp.map_or(Duration::ZERO, |ramp| ramp.over) + step.hold
}

/// A duration from `min` to a day.
pub(super) fn bounded(path: &str, value: &Scalar, min: Duration, report: &mut Report) -> Option<Duration> {
    let duration = report.duration(path, value)?;
    let (too, hint) = match duration {
        short if short < min => ("short", format!("write at least {}", format_duration(min))),
        long if long > defaults::EXPERIMENT_MAX => ("long", "write at most 24h".to_owned()),
        _ => return Some(duration),
    };
    report.add(path, format!("{} is too {too}", format_duration(duration)), hint);
    None
}

/// The longest that all of it may take.
fn duration(value: Option<&Scalar>, sum: Option<Duration>, report: &mut Report) -> Duration {
    const PATH: &str = "spec.duration";
    let sum = sum.unwrap_or_default();
    let usual = (sum + defaults::EXPERIMENT_SLACK).min(defaults::EXPERIMENT_MAX);
    let Some(duration) = value.and_then(|value| bounded(PATH, value, PHASE_MIN, report)) else { return usual };
    if duration < sum {
        let (duration, sum) = (format_duration(duration), format_duration(sum));
        let detail = format!("{duration} is shorter than its parts, which take {sum} together");
        report.add(PATH, detail, format!("write at least {sum}, or remove it"));
    }
    duration
}

fn schedule(spec: &ScheduleSpec, sum: Option<Duration>, report: &mut Report) -> Option<Schedule> {
    const HINT: &str = "write one of {at: 2026-12-01T10:00:00Z} and {every: 24h}";
    match (&spec.at, &spec.every) {
        (Some(at), None) => {
            let wrong = |_| {
                let hint = "write it as in RFC 3339 and in UTC, such as 2026-12-01T10:00:00Z";
                report.add("spec.schedule.at", format!("{at:?} is not a time"), hint);
            };
            humantime::parse_rfc3339(at.trim()).map_err(wrong).map(Schedule::At).ok()
        }
        (None, Some(value)) => every(value, sum, report).map(Schedule::Every),
        (None, None) => {
            report.add("spec.schedule", "it says nothing", HINT);
            None
        }
        (Some(_), Some(_)) => {
            report.add("spec.schedule", "at and every exclude each other", HINT);
            None
        }
    }
}

fn every(value: &Scalar, sum: Option<Duration>, report: &mut Report) -> Option<Duration> {
    const PATH: &str = "spec.schedule.every";
    let every = report.duration(PATH, value)?;
    let text = format_duration(every);
    if every < EVERY_MIN {
        report.add(PATH, format!("{text} is too short"), "write at least 1m");
        return None;
    }
    if every > defaults::EXPERIMENT_EVERY_MAX {
        report.add(PATH, format!("{text} is too long"), "write at most 365 days");
        return None;
    }
    if let Some(sum) = sum.filter(|sum| every <= *sum) {
        let sum = format_duration(sum);
        let detail = format!("{text} is not longer than its parts, which take {sum} together");
        report.add(PATH, detail, format!("write more than {sum}"));
        return None;
    }
    Some(every)
}
