//! What came of an experiment: everything that is worth keeping, as one value. All forms of the report are made from it.
//!
//! Times are seconds since the start of the run; durations are seconds; shares are from 0 to 1.

mod checks;
mod content;
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
mod wording;
mod xml;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use format::{ReportFormat, UnknownFormat};

/// The report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Which program wrote it.
    pub squall_version: String,
    /// The name of the experiment.
    pub experiment: String,
    /// Of the process, from 1: tells runs of one experiment apart.
    pub run: u64,
    /// A line for people.
    pub title: String,
    /// What was expected, in words.
    pub hypothesis: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Where more is said.
    pub links: Vec<String>,
    /// When it started (RFC 3339).
    pub started_at: String,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<String>,
    /// What is concluded; `None` while it runs.
    pub verdict: Option<Verdict>,
    /// Why, the most important first.
    pub reasons: Vec<String>,
    /// Why it ended before its time, if it did.
    pub aborted: Option<Aborted>,
    /// How long each phase took, in order.
    pub phases: Vec<PhaseSpan>,
    /// The steady state, statement by statement.
    pub steady_state: Vec<SteadyStateReport>,
    /// What was injected, rule by rule.
    pub rules: Vec<RuleReport>,
    /// How calls to A were joined with those that A made of them.
    pub join: JoinReport,
    /// The calls to A, by what became of the calls that A made.
    pub groups: Groups,
    /// Whether the faulted group was harmed.
    pub harm: HarmReport,
    /// How A repeats calls.
    pub retries: RetryReport,
    /// Whether A stopped calling for a while.
    pub breaker: BreakerReport,
    /// Requests to A at once.
    pub queue: QueueReport,
    /// Calls to A by route, those with the most requests first.
    pub routes: Vec<RouteReport>,
    /// From the last fault to the steady state again; `None` when it did not come back, or was never left.
    pub recovery_seconds: Option<f64>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEvent>,
    /// Traffic of A over time.
    pub series: Vec<SeriesPoint>,
    /// Some requests of the faulted group, to look at in other tools.
    pub exemplars: Vec<Exemplar>,
    /// The document of the experiment.
    pub document: Value,
}

/// What is concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The hypothesis is as true as before, and it could have been shown to be false.
    Held,
    /// It is false.
    Failed,
    /// Nothing can be said.
    Inconclusive,
}

impl Verdict {
    /// In capitals, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Failed => "FAILED",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// Why an experiment ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aborted {
    /// Who or what ended it.
    pub by: AbortedBy,
    /// In words.
    pub reason: String,
    /// The longest that a fault was still in force after the reason came up, where that was measured.
    pub released_within_milliseconds: Option<u64>,
}

/// Who or what ended an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortedBy {
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
pub enum Phase {
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

impl Phase {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
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
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: f64,
}

/// A statement about the steady state, and whether it held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SteadyStateReport {
    /// Its name.
    pub name: String,
    /// What it says, in words.
    pub statement: String,
    /// What a value of it is in, such as `s`, `%`; empty for plain numbers.
    pub unit: String,
    /// The bound in that unit, to draw it; `None` for probes.
    pub bound: Option<f64>,
    /// Before anything was injected.
    pub baseline: Held,
    /// While faults flowed.
    pub injecting: Held,
    /// After the last fault, at the end of recovery.
    pub recovering: Held,
    /// From when to when it was broken, since faults began to flow; the last may be open.
    pub broken: Vec<(f64, Option<f64>)>,
}

/// Whether a statement held in a phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// `None`: nobody knows.
    pub held: Option<bool>,
    /// What was measured.
    pub value: Option<f64>,
    /// Of how many requests, where it is about requests.
    pub requests: Option<u64>,
    /// Why nobody knows, or what else went wrong.
    pub trouble: Option<String>,
}

/// A rule of the experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleReport {
    /// Its name.
    pub name: String,
    /// The step that it belongs to.
    pub step: String,
    /// `request` or `connection`.
    pub unit: String,
    /// Its full share in percent.
    pub percentage: f64,
    /// What matched.
    pub matched: u64,
    /// What got a fault.
    pub injected: u64,
    /// Faults, as the document says them.
    pub fault: Value,
}

/// How calls to A were joined with those that A made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinReport {
    /// Calls to A that began while faults flowed, and of which everything was seen.
    pub requests: u64,
    /// Calls that A made, that a rule of the experiment matched.
    pub calls: u64,
    /// Those of them that were joined with a call to A.
    pub joined: u64,
    /// `joined` of `calls`; `None` without calls.
    pub share: Option<f64>,
    /// Calls to A whose ids Squall made.
    pub ids_added: u64,
    /// Exchanges that there was no room for.
    pub lost: u64,
    /// Whether groups can be compared request by request; else only phases are.
    pub is_usable: bool,
    /// When more exchanges came than the experiment wanted to look at: which share of the traces was looked at.
    pub sampled: Option<Sampled>,
}

/// Which share of the traces was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampled {
    /// Of so many traces one, when the load was highest.
    pub one_in: u64,
    /// All calls to A, while faults flowed.
    pub requests_per_second: f64,
    /// Those of them that were looked at.
    pub joined_per_second: f64,
}

/// The calls to A, by what became of the calls that A made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Groups {
    /// At least one call was faulted.
    pub faulted: Group,
    /// A rule matched a call, and none was faulted.
    pub control: Group,
    /// No rule matched a call, while faults flowed (not between two steps): routes that do not need what was faulted.
    pub others: Group,
    /// All, before anything was injected.
    pub baseline: Group,
}

/// What became of some calls to A.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// How many.
    pub requests: u64,
    /// Answered as without a fault, and in time.
    pub absorbed: Share,
    /// Answered well, but later than 99 % of the control group, of the same route where that has enough requests.
    pub slower: Share,
    /// Answered with a fallback: it says so, or is of a shape or size that nearly no answer of the same route has without a
    /// fault.
    pub degraded: Share,
    /// Failed: an error, or no answer.
    pub propagated: Share,
    /// Failed, or took longer than the steady state allows.
    pub harmed: Share,
    /// Quantiles of what they took.
    pub p50: Option<f64>,
    /// The same.
    pub p90: Option<f64>,
    /// The same.
    pub p99: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
}

/// A share with its 95 % confidence interval (Wilson).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Share {
    /// How many.
    pub count: u64,
    /// Of all.
    pub share: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Whether the faulted group was harmed more than the control group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HarmReport {
    /// How it was told: `joined` (group against group), `phases` (injection against baseline) or empty (not at all).
    pub method: String,
    /// What the hypothesis allows beyond the control group.
    pub tolerated: f64,
    /// Harmed share of the faulted group less that of the control group.
    pub difference: Option<f64>,
    /// The lower end of its 95 % confidence interval (Newcombe).
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// The most evidence that there was against "no more than tolerated": an e-value, valid at any time; 20 and more is beyond
    /// doubt at 5 %.
    pub evidence: f64,
    /// Whether it is beyond doubt.
    pub is_called: bool,
    /// When it first was.
    pub called_at: Option<f64>,
    /// Whether it would have been beyond doubt, had each request of the faulted group been harmed.
    pub could_be_called: bool,
}

/// How A repeats calls to what was faulted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RetryReport {
    /// Calls for one request of the faulted group, on average.
    pub calls_faulted: Option<f64>,
    /// The same of the control group.
    pub calls_control: Option<f64>,
    /// Calls for each distinct call of the faulted group, by those of the control group (by 1 where there is none). Not all
    /// calls are compared: requests that make many calls are faulted more often, which is no retry.
    pub amplification: Option<f64>,
    /// The lower end of its 95 % confidence interval, one-sided.
    pub amplification_low: Option<f64>,
    /// The most calls for one request.
    pub calls_max: u64,
    /// Requests of the faulted group with more than one try of the same call.
    pub retried: u64,
    /// From the end of a try to the next, by the number of the try: the median.
    pub gaps: Vec<f64>,
    /// How the gaps are: `none`, `fixed`, `growing`, `irregular`; empty when there were too few.
    pub spacing: String,
    /// Tries again of calls that are not safe to repeat.
    pub unsafe_retries: u64,
}

/// Whether A stopped calling while it was still asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BreakerReport {
    /// Times without calls, from and to, longer than chance explains.
    pub open: Vec<(f64, f64)>,
    /// From the last fault to the first call after it, when it was open then.
    pub recovered_after: Option<f64>,
}

/// Requests to A at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueReport {
    /// On average before anything was injected.
    pub baseline_mean: Option<f64>,
    /// At most.
    pub baseline_max: Option<u64>,
    /// On average while faults flowed.
    pub injecting_mean: Option<f64>,
    /// At most.
    pub injecting_max: Option<u64>,
}

/// Calls to A of one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteReport {
    /// Method and the first segments of the path.
    pub route: String,
    /// Whether rules matched calls that A made for it.
    pub uses_faulted: bool,
    /// How many there were before anything was injected.
    pub baseline_requests: u64,
    /// How many of them were harmed.
    pub baseline_harmed: u64,
    /// A quantile of what they took.
    pub baseline_p99: Option<f64>,
    /// How many there were while faults flowed.
    pub injecting_requests: u64,
    /// How many of them were harmed.
    pub injecting_harmed: u64,
    /// A quantile of what they took.
    pub injecting_p99: Option<f64>,
    /// Whether it fared worse, beyond doubt.
    pub suffered: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEvent {
    /// When.
    pub at: f64,
    /// One word: `phase`, `rules`, `guard`, `steady_state`, `harm`, `note`, `stop`.
    pub kind: String,
    /// In words.
    pub text: String,
}

/// Traffic of A in one second; estimated, where [`JoinReport::sampled`] says that a share was looked at. Those of the groups are
/// counted in any case.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SeriesPoint {
    /// The beginning of that second.
    pub at: f64,
    /// Calls to A that ended.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// A quantile of what they took.
    pub p50: Option<f64>,
    /// The same.
    pub p99: Option<f64>,
    /// At the end of that second, calls to A that are under way.
    pub in_flight: u64,
    /// Calls to A of the faulted group.
    pub faulted: u64,
    /// Those that failed.
    pub faulted_failed: u64,
    /// A quantile of what they took.
    pub faulted_p50: Option<f64>,
    /// The same.
    pub faulted_p99: Option<f64>,
    /// Calls to A of the control group.
    pub control: u64,
    /// Those that failed.
    pub control_failed: u64,
    /// A quantile of what they took.
    pub control_p50: Option<f64>,
    /// The same.
    pub control_p99: Option<f64>,
    /// Calls that A made.
    pub calls: u64,
    /// Those that a rule of the experiment faulted.
    pub calls_faulted: u64,
}

/// A request of the faulted group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Exemplar {
    /// To look for in a trace store, 32 hexadecimal digits; empty when it had none.
    pub trace_id: String,
    /// `absorbed`, `slower`, `degraded` or `propagated`.
    pub ending: String,
    /// Its route.
    pub route: String,
    /// The status of the answer.
    pub status: Option<u16>,
    /// What it took.
    pub seconds: f64,
    /// How many calls A made for it.
    pub calls: u64,
}
