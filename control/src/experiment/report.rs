//! What came of an experiment: everything that is worth keeping, as one value. All forms of the report are made from it.
//!
//! Times are seconds since the start of the run; durations are seconds; shares are from 0 to 1.

mod checks;
mod content;
mod facts;
mod format;
mod html;
mod journal;
mod junit;
mod markdown;
mod page;
mod plot;
mod postmortem;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod timeline;
mod wording;
mod xml;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use format::{ReportFormat, UnknownFormat};
pub(crate) use timeline::{TimelineEvent, TimelineKind};

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    /// Which program wrote it.
    pub(crate) squall_version: String,
    /// The name of the experiment.
    pub(crate) experiment: String,
    /// Of the process, from 1: tells runs of one experiment apart.
    pub(crate) run: u64,
    /// A line for people.
    pub(crate) title: String,
    /// What was expected, in words.
    pub(crate) hypothesis: String,
    /// Who answers for it.
    pub(crate) owner: Option<String>,
    /// Where more is said.
    pub(crate) links: Vec<String>,
    /// When it started (RFC 3339).
    pub(crate) started_at: String,
    /// When it ended; `None` while it runs.
    pub(crate) ended_at: Option<String>,
    /// What is concluded; `None` while it runs.
    pub(crate) verdict: Option<Verdict>,
    /// Why, the most important first.
    pub(crate) reasons: Vec<String>,
    /// Why it ended before its time, if it did.
    pub(crate) aborted: Option<Aborted>,
    /// How long each phase took, in order.
    pub(crate) phases: Vec<PhaseSpan>,
    /// The steady state, statement by statement.
    pub(crate) steady_state: Vec<SteadyStateReport>,
    /// What was injected, rule by rule.
    pub(crate) rules: Vec<RuleReport>,
    /// How calls to A were joined with those that A made of them.
    pub(crate) join: JoinReport,
    /// The calls to A, by what became of the calls that A made.
    pub(crate) groups: Groups,
    /// Whether the faulted group was harmed.
    pub(crate) harm: HarmReport,
    /// How A repeats calls.
    pub(crate) retries: RetryReport,
    /// Whether A stopped calling for a while.
    pub(crate) breaker: BreakerReport,
    /// Requests to A at once.
    pub(crate) queue: QueueReport,
    /// Calls to A by route, those with the most requests first.
    pub(crate) routes: Vec<RouteReport>,
    /// From the last fault to the steady state again; `None` when it did not come back, or was never left.
    pub(crate) recovery_seconds: Option<f64>,
    /// What happened, in order.
    pub(crate) timeline: Vec<TimelineEvent>,
    /// Traffic of A over time.
    pub(crate) series: Vec<SeriesPoint>,
    /// Some requests of the faulted group, to look at in other tools.
    pub(crate) exemplars: Vec<Exemplar>,
    /// The document of the experiment.
    pub(crate) document: Value,
}

/// What is concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The hypothesis is as true as before, and it could have been shown to be false.
    Held,
    /// It is false.
    Failed,
    /// Nothing can be said.
    Inconclusive,
}

impl Verdict {
    /// In capitals, for people.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Failed => "FAILED",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// Why an experiment ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aborted {
    /// Who or what ended it.
    pub(crate) by: AbortedBy,
    /// In words.
    pub(crate) reason: String,
    /// The longest that a fault was still in force after the reason came up, where that was measured.
    pub(crate) released_within_milliseconds: Option<u64>,
}

/// Who or what ended an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AbortedBy {
    /// Somebody asked for it.
    Stop,
    /// The kill switch, or whatever moved it.
    Halt,
    /// A guard of the experiment.
    Guard,
    /// The harm was beyond doubt.
    Harm,
    /// The steady state did not hold before anything was injected.
    Baseline,
    /// It took longer than it may.
    Duration,
    /// The process ended, or was started anew.
    Restart,
    /// Its rules could not be put in force.
    Refused,
}

/// A phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunPhase {
    /// It has not begun.
    Pending,
    /// Nothing is injected, all is watched.
    Baseline,
    /// Faults flow; also between two steps.
    Injecting,
    /// No more faults, until the steady state is back.
    Recovering,
    /// It ended in its time.
    Done,
    /// It ended before.
    Aborted,
}

impl RunPhase {
    /// The word of the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Baseline => "baseline",
            Self::Injecting => "injecting",
            Self::Recovering => "recovering",
            Self::Done => "done",
            Self::Aborted => "aborted",
        }
    }
}

/// When a phase was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhaseSpan {
    /// Which.
    pub(crate) phase: RunPhase,
    /// When it began.
    pub(crate) from: f64,
    /// When it ended.
    pub(crate) to: f64,
}

/// A statement about the steady state, and whether it held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SteadyStateReport {
    /// Its name.
    pub(crate) name: String,
    /// What it says, in words.
    pub(crate) statement: String,
    /// What a value of it is in, such as `s`, `%`; empty for plain numbers.
    pub(crate) unit: String,
    /// The bound in that unit, to draw it; `None` for probes.
    pub(crate) bound: Option<f64>,
    /// Before anything was injected.
    pub(crate) baseline: Held,
    /// While faults flowed.
    pub(crate) injecting: Held,
    /// After the last fault, at the end of recovery.
    pub(crate) recovering: Held,
    /// From when to when it was broken, since faults began to flow; the last may be open.
    pub(crate) broken: Vec<(f64, Option<f64>)>,
}

/// Whether a statement held in a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Held {
    /// `None`: nobody knows.
    pub(crate) held: Option<bool>,
    /// What was measured.
    pub(crate) value: Option<f64>,
    /// Of how many requests, where it is about requests.
    pub(crate) requests: Option<u64>,
    /// Why nobody knows, or what else went wrong.
    pub(crate) trouble: Option<String>,
}

/// A rule of the experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RuleReport {
    /// Its name.
    pub(crate) name: String,
    /// The step that it belongs to.
    pub(crate) step: String,
    /// `request` or `connection`.
    pub(crate) unit: String,
    /// Its full share in percent.
    pub(crate) percentage: f64,
    /// What matched.
    pub(crate) matched: u64,
    /// What got a fault.
    pub(crate) injected: u64,
    /// Faults, as the document says them.
    pub(crate) fault: Value,
}

/// How calls to A were joined with those that A made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct JoinReport {
    /// Calls to A that began while faults flowed, and of which everything was seen.
    pub(crate) requests: u64,
    /// Calls that A made, that a rule of the experiment matched.
    pub(crate) calls: u64,
    /// Those of them that were joined with a call to A.
    pub(crate) joined: u64,
    /// `joined` of `calls`; `None` without calls.
    pub(crate) share: Option<f64>,
    /// Calls to A whose ids Squall made.
    pub(crate) ids_added: u64,
    /// Exchanges that there was no room for.
    pub(crate) lost: u64,
    /// Whether groups can be compared request by request; else only phases are.
    pub(crate) is_usable: bool,
    /// When more exchanges came than the experiment wanted to look at: which share of the traces was looked at.
    pub(crate) sampled: Option<Sampled>,
}

/// Which share of the traces was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sampled {
    /// Of so many traces one, when the load was highest.
    pub(crate) one_in: u64,
    /// All calls to A, while faults flowed.
    pub(crate) requests_per_second: f64,
    /// Those of them that were looked at.
    pub(crate) joined_per_second: f64,
}

/// The calls to A, by what became of the calls that A made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Groups {
    /// At least one call was faulted.
    pub(crate) faulted: Group,
    /// A rule matched a call, and none was faulted.
    pub(crate) control: Group,
    /// No rule matched a call, while faults flowed (not between two steps): routes that do not need what was faulted.
    pub(crate) others: Group,
    /// All, before anything was injected.
    pub(crate) baseline: Group,
}

/// What became of some calls to A.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Group {
    /// How many.
    pub(crate) requests: u64,
    /// Answered as without a fault, and in time.
    pub(crate) absorbed: Share,
    /// Answered well, but later than 99 % of the control group, of the same route where that has enough requests.
    pub(crate) slower: Share,
    /// Answered with a fallback: it says so, or is of a shape or size that nearly no answer of the same route has without a
    /// fault.
    pub(crate) degraded: Share,
    /// Failed: an error, or no answer.
    pub(crate) propagated: Share,
    /// Failed, or took longer than the steady state allows.
    pub(crate) harmed: Share,
    /// What half of them took at most.
    pub(crate) p50: Option<f64>,
    /// What 90 % of them took at most.
    pub(crate) p90: Option<f64>,
    /// What 99 % of them took at most.
    pub(crate) p99: Option<f64>,
    /// The longest.
    pub(crate) max: Option<f64>,
}

/// A share with its 95 % confidence interval (Wilson).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Share {
    /// How many.
    pub(crate) count: u64,
    /// Of all.
    pub(crate) share: f64,
    /// The lower end of the interval.
    pub(crate) low: f64,
    /// The upper end.
    pub(crate) high: f64,
}

/// Whether the faulted group was harmed more than the control group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HarmReport {
    /// How it was told: `joined` (group against group), `phases` (injection against baseline) or empty (not at all).
    pub(crate) method: String,
    /// What the hypothesis allows beyond the control group.
    pub(crate) tolerated: f64,
    /// Harmed share of the faulted group less that of the control group.
    pub(crate) difference: Option<f64>,
    /// The lower end of its 95 % confidence interval (Newcombe).
    pub(crate) low: Option<f64>,
    /// The upper end.
    pub(crate) high: Option<f64>,
    /// The most evidence that there was against "no more than tolerated": an e-value, valid at any time; 20 and more is beyond
    /// doubt at 5 %.
    pub(crate) evidence: f64,
    /// Whether it is beyond doubt.
    pub(crate) is_called: bool,
    /// When it first was.
    pub(crate) called_at: Option<f64>,
    /// Whether it would have been beyond doubt, had each request of the faulted group been harmed.
    pub(crate) could_be_called: bool,
}

/// How A repeats calls to what was faulted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RetryReport {
    /// Calls for one request of the faulted group, on average.
    pub(crate) calls_faulted: Option<f64>,
    /// Calls for one request of the control group, on average.
    pub(crate) calls_control: Option<f64>,
    /// Calls for each distinct call of the faulted group, by those of the control group (by 1 where there is none). Not all
    /// calls are compared: requests that make many calls are faulted more often, which is no retry.
    pub(crate) amplification: Option<f64>,
    /// The lower end of its 95 % confidence interval, one-sided.
    pub(crate) amplification_low: Option<f64>,
    /// The most calls for one request.
    pub(crate) calls_max: u64,
    /// Requests of the faulted group with more than one try of the same call.
    pub(crate) retried: u64,
    /// From the end of a try to the next, by the number of the try: the median.
    pub(crate) gaps: Vec<f64>,
    /// How the gaps are: `none`, `fixed`, `growing`, `irregular`; empty when there were too few.
    pub(crate) spacing: String,
    /// Tries again of calls that are not safe to repeat.
    pub(crate) unsafe_retries: u64,
}

/// Whether A stopped calling while it was still asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BreakerReport {
    /// Times without calls, from and to, longer than chance explains.
    pub(crate) open: Vec<(f64, f64)>,
    /// From the last fault to the first call after it, when it was open then.
    pub(crate) recovered_after: Option<f64>,
}

/// Requests to A at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct QueueReport {
    /// On average before anything was injected.
    pub(crate) baseline_mean: Option<f64>,
    /// At most.
    pub(crate) baseline_max: Option<u64>,
    /// On average while faults flowed.
    pub(crate) injecting_mean: Option<f64>,
    /// At most.
    pub(crate) injecting_max: Option<u64>,
}

/// Calls to A of one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RouteReport {
    /// Method and the first segments of the path.
    pub(crate) route: String,
    /// Whether rules matched calls that A made for it.
    pub(crate) uses_faulted: bool,
    /// How many there were before anything was injected.
    pub(crate) baseline_requests: u64,
    /// How many of them were harmed.
    pub(crate) baseline_harmed: u64,
    /// A quantile of what they took.
    pub(crate) baseline_p99: Option<f64>,
    /// How many there were while faults flowed.
    pub(crate) injecting_requests: u64,
    /// How many of them were harmed.
    pub(crate) injecting_harmed: u64,
    /// A quantile of what they took.
    pub(crate) injecting_p99: Option<f64>,
    /// Whether it fared worse, beyond doubt.
    pub(crate) suffered: bool,
}

/// Traffic of A in one second; estimated, where [`JoinReport::sampled`] says that a share was looked at. Those of the groups are
/// counted in any case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SeriesPoint {
    /// The beginning of that second.
    pub(crate) at: f64,
    /// Calls to A that ended.
    pub(crate) requests: u64,
    /// Those that failed.
    pub(crate) failed: u64,
    /// What half of them took at most.
    pub(crate) p50: Option<f64>,
    /// What 99 % of them took at most.
    pub(crate) p99: Option<f64>,
    /// At the end of that second, calls to A that are under way.
    pub(crate) in_flight: u64,
    /// Calls to A of the faulted group.
    pub(crate) faulted: u64,
    /// Those that failed.
    pub(crate) faulted_failed: u64,
    /// What half of them took at most.
    pub(crate) faulted_p50: Option<f64>,
    /// What 99 % of them took at most.
    pub(crate) faulted_p99: Option<f64>,
    /// Calls to A of the control group.
    pub(crate) control: u64,
    /// Those that failed.
    pub(crate) control_failed: u64,
    /// What half of them took at most.
    pub(crate) control_p50: Option<f64>,
    /// What 99 % of them took at most.
    pub(crate) control_p99: Option<f64>,
    /// Calls that A made.
    pub(crate) calls: u64,
    /// Those that a rule of the experiment faulted.
    pub(crate) calls_faulted: u64,
}

/// A request of the faulted group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Exemplar {
    /// To look for in a trace store, 32 hexadecimal digits; empty when it had none.
    pub(crate) trace_id: String,
    /// `absorbed`, `slower`, `degraded` or `propagated`.
    pub(crate) ending: String,
    /// Its route.
    pub(crate) route: String,
    /// The status of the answer.
    pub(crate) status: Option<u16>,
    /// What it took.
    pub(crate) seconds: f64,
    /// How many calls A made for it.
    pub(crate) calls: u64,
}
