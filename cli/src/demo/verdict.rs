//! Is the hypothesis true? Pure: numbers in, verdict out.

use serde::Serialize;

use super::sample::Summary;
use crate::exit::Exit;

/// Fewer requests say nothing about a p99.
const REQUESTS_MIN: usize = 100;

/// What A promises its callers.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct SteadyState {
    /// Success ratio, 0 to 1: at least.
    pub(super) success_ratio_min: f64,
    /// 99th percentile of latency in seconds: below.
    pub(super) p99_seconds_below: f64,
}

/// The promise of the demo's A.
pub(super) const STEADY_STATE: SteadyState = SteadyState { success_ratio_min: 0.99, p99_seconds_below: 0.5 };

impl SteadyState {
    /// The promises that a phase broke; none when it was steady.
    pub(super) fn broken_by(&self, summary: &Summary) -> Vec<String> {
        let mut broken = Vec::new();
        if summary.success_ratio < self.success_ratio_min {
            let (is, min) = (summary.success_ratio * 100.0, self.success_ratio_min * 100.0);
            broken.push(format!("success ratio {is:.2} % is below {min:.0} %"));
        }
        if summary.p99_seconds >= self.p99_seconds_below {
            let (is, below) = (summary.p99_seconds * 1000.0, self.p99_seconds_below * 1000.0);
            broken.push(format!("p99 {is:.0} ms is not below {below:.0} ms"));
        }
        broken
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub(super) baseline: Summary,
    pub(super) fault: Summary,
    pub(super) recovery: Summary,
    /// Faults that the proxy counted while the rule was on.
    pub(super) injected: f64,
    /// Faults that the proxy counted after the rule was removed.
    pub(super) injected_after_rollback: f64,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// The hypothesis is true.
    Held,
    /// It is false.
    NotHeld,
    /// The experiment says nothing about it.
    Inconclusive,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::NotHeld => "NOT HELD",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }

    pub(super) fn exit(self) -> Exit {
        match self {
            Self::Held => Exit::Ok,
            Self::NotHeld => Exit::CheckFailed,
            Self::Inconclusive => Exit::Failure,
        }
    }
}

/// The verdict and its reasons. A fault that did not happen or a baseline that was bad proves nothing.
pub(super) fn judge(steady: &SteadyState, measured: &Measured) -> (Verdict, Vec<String>) {
    let mut doubts = Vec::new();
    if measured.injected <= 0.0 {
        doubts.push("no fault was injected".to_owned());
    }
    if measured.fault.requests < REQUESTS_MIN {
        doubts.push(format!("{} requests under fault are too few", measured.fault.requests));
    }
    doubts.extend(steady.broken_by(&measured.baseline).into_iter().map(|why| format!("before the fault: {why}")));
    if measured.injected_after_rollback > 0.0 {
        doubts.push(format!("{} faults were injected after the rollback", measured.injected_after_rollback));
    }
    doubts.extend(steady.broken_by(&measured.recovery).into_iter().map(|why| format!("after the rollback: {why}")));
    if !doubts.is_empty() {
        return (Verdict::Inconclusive, doubts);
    }
    let broken = steady.broken_by(&measured.fault);
    if broken.is_empty() {
        let summary = &measured.fault;
        let (ratio, p99) = (summary.success_ratio * 100.0, summary.p99_seconds * 1000.0);
        let why = format!("under fault the success ratio was {ratio:.2} % and p99 {p99:.0} ms");
        return (Verdict::Held, vec![why]);
    }
    (Verdict::NotHeld, broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(success_ratio: f64, p99_seconds: f64) -> Summary {
        Summary { requests: 1000, success_ratio, p99_seconds, ..Summary::default() }
    }

    fn measured() -> Measured {
        let (baseline, fault, recovery) = (summary(1.0, 0.005), summary(1.0, 0.155), summary(1.0, 0.005));
        Measured { baseline, fault, recovery, injected: 50.0, injected_after_rollback: 0.0 }
    }

    #[test]
    fn the_verdict_follows_the_numbers() {
        type Change = fn(&mut Measured);
        let cases: [(Change, Verdict); 9] = [
            (|_| (), Verdict::Held),
            (|m| m.fault.p99_seconds = 0.5, Verdict::NotHeld),
            (|m| m.fault.success_ratio = 0.9899, Verdict::NotHeld),
            (|m| m.fault.success_ratio = 0.99, Verdict::Held),
            (|m| m.injected = 0.0, Verdict::Inconclusive),
            (|m| m.fault.requests = 99, Verdict::Inconclusive),
            (|m| m.baseline.p99_seconds = 0.7, Verdict::Inconclusive),
            (|m| m.recovery.success_ratio = 0.5, Verdict::Inconclusive),
            (|m| m.injected_after_rollback = 1.0, Verdict::Inconclusive),
        ];
        for (index, (change, expected)) in cases.into_iter().enumerate() {
            let mut measured = measured();
            change(&mut measured);
            let (verdict, reasons) = judge(&STEADY_STATE, &measured);
            assert_eq!(verdict, expected, "case {index}");
            assert!(!reasons.is_empty(), "case {index}");
        }
        assert_eq!([Verdict::Held, Verdict::NotHeld, Verdict::Inconclusive].map(|v| v.exit() as u8), [0, 6, 1]);
    }
}
