//! The status of an Experiment: pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use squall_orders::ExperimentReport;

use crate::crds::{Conditions, ExperimentStatus, PodVerdict, Says};
use crate::fleet::Share;

pub(super) const PENDING: &str = "Pending";
pub(super) const RUNNING: &str = "Running";
pub(super) const FINISHED: &str = "Finished";
pub(super) const REFUSED: &str = "Refused";

const HELD: &str = "held";
const FAILED: &str = "failed";
const INCONCLUSIVE: &str = "inconclusive";
/// Phases in which a run has ended.
const ENDED: [&str; 2] = ["done", "aborted"];

/// More reasons are in the reports of the sidecars.
const REASONS_MAX: usize = 10;
/// A longer reason is cut.
const REASON_CHARS_MAX: usize = 300;

/// What is seen of a run.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Of connected participants: what they say of the experiment, if anything.
    pub(super) reports: Vec<(String, Option<ExperimentReport>)>,
    /// Participants that follow their present orders, so that what they say is of this run.
    pub(super) follow: Vec<String>,
    /// Why no faults may flow.
    pub(super) halted: Option<String>,
    /// Participants that may go on; `None` when that is not known.
    pub(super) hit: Option<Vec<String>>,
    /// Whether who is not connected is gone.
    pub(super) are_back: bool,
    /// So long a run takes at most.
    pub(super) longest: Duration,
}

/// The status that comes next, and what its conditions say.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) status: ExperimentStatus,
    /// Why it is not valid.
    refused: Option<String>,
    /// Whom one that waits would get.
    share: Share,
}

impl Next {
    /// It is not valid.
    pub(super) fn refused(problems: String) -> Self {
        Self { refused: Some(problems), ..Self::in_phase(REFUSED, ExperimentStatus::default()) }
    }

    /// It waits.
    pub(super) fn pending(share: Share) -> Self {
        Self { share, ..Self::in_phase(PENDING, ExperimentStatus::default()) }
    }

    /// It goes on.
    pub(super) fn running(status: ExperimentStatus) -> Self {
        Self::in_phase(RUNNING, status)
    }

    /// It stays as it is.
    pub(super) fn finished(status: ExperimentStatus) -> Self {
        Self::in_phase(FINISHED, status)
    }

    fn in_phase(phase: &str, status: ExperimentStatus) -> Self {
        let status = ExperimentStatus { phase: phase.to_owned(), ..status };
        Self { status, refused: None, share: Share::default() }
    }

    /// One that waits starts, if there is anybody to run it.
    pub(super) fn start(&mut self, name: impl Fn(&str) -> String, now: Timestamp) {
        if self.share.hit.is_empty() {
            return;
        }
        let pod = |uid: &String| PodVerdict {
            name: name(uid),
            uid: uid.clone(),
            phase: "pending".to_owned(),
            ..PodVerdict::default()
        };
        self.status.pods = self.share.hit.iter().map(pod).collect();
        self.status.pods_total = u32::try_from(self.status.pods.len()).unwrap_or(u32::MAX);
        self.status.started_at = Some(micro(now));
        self.status.phase = RUNNING.to_owned();
    }

    /// Takes in what is seen of a run; it ends when it has ended everywhere.
    pub(super) fn look(&mut self, seen: &Seen, now: Timestamp) {
        let status = &mut self.status;
        let started = status.started_at.as_ref().map_or(now, |started| started.0);
        let is_overdue = started.checked_add(seen.longest).is_ok_and(|latest| now > latest);
        for pod in status.pods.iter_mut().filter(|pod| !has_ended(pod)) {
            look_at(pod, seen);
            if is_overdue && !has_ended(pod) {
                end(pod, "it did not end in time");
            }
        }
        status.injected_total = status.pods.iter().map(|pod| pod.injected).fold(0, u64::saturating_add);
        if status.pods.iter().all(has_ended) {
            status.phase = FINISHED.to_owned();
            status.ended_at = Some(micro(now));
            status.verdict = verdict(&status.pods).to_owned();
            status.reasons = reasons(&status.pods, &status.verdict);
        }
    }

    /// With conditions.
    pub(super) fn told(self, mut conditions: Conditions, generation: Option<i64>, now: Timestamp) -> ExperimentStatus {
        let Self { status, refused, share } = self;
        let is_valid = refused.is_none();
        let mut set = |type_, status: bool, reason, message| {
            conditions.set(type_, now, generation, Says { status: Some(status), reason, message });
        };
        set("Accepted", is_valid, if is_valid { "Valid" } else { "Invalid" }, refused.unwrap_or_default());
        let (is_selected, reason, message) = match status.phase.as_str() {
            REFUSED => (false, REFUSED, String::new()),
            PENDING if share.halted.is_some() => (false, "Halted", share.halted.unwrap_or_default()),
            PENDING if share.matched == 0 => (false, "NoPods", "no connected sidecar matches".to_owned()),
            PENDING if share.wanted == 0 => (false, "NothingOfThem", "the share of pods is 0%".to_owned()),
            PENDING if share.hit.is_empty() => {
                (false, "MaxPodsHit", "others hit as many pods as --max-pods-hit allows".to_owned())
            }
            _ => (true, "PodsSelected", String::new()),
        };
        set("Selected", is_selected, reason, message);
        let is_finished = status.phase == FINISHED;
        let message = if is_finished { status.verdict.clone() } else { String::new() };
        set("Finished", is_finished, if is_finished { "Ended" } else { "NotEnded" }, message);
        ExperimentStatus { observed_generation: generation, conditions, ..status }
    }
}

/// The pods in which a run has not ended.
pub(super) fn unfinished(status: &ExperimentStatus) -> Vec<String> {
    status.pods.iter().filter(|pod| !has_ended(pod)).map(|pod| pod.uid.clone()).collect()
}

fn has_ended(pod: &PodVerdict) -> bool {
    ENDED.contains(&pod.phase.as_str())
}

fn look_at(pod: &mut PodVerdict, seen: &Seen) {
    if let Some(halted) = &seen.halted {
        return end(pod, halted);
    }
    let Some((_, report)) = seen.reports.iter().find(|(uid, _)| *uid == pod.uid) else {
        if seen.are_back {
            end(pod, "the pod is gone");
        }
        return;
    };
    if seen.hit.as_ref().is_some_and(|hit| !hit.contains(&pod.uid)) {
        return end(pod, "stopped: more pods would be hit than --max-pods-hit allows");
    }
    // Before it follows these orders it may speak of the run before.
    let Some(report) = report.as_ref().filter(|_| seen.follow.contains(&pod.uid)) else { return };
    if let Some(problem) = &report.problem {
        return end(pod, problem);
    }
    pod.phase.clone_from(&report.phase);
    pod.injected = report.injected;
    if has_ended(pod) {
        pod.verdict = Some(report.verdict.clone().unwrap_or_else(|| INCONCLUSIVE.to_owned()));
        pod.reason = short(&report.reasons.join("; "));
    }
}

/// It ends without having shown anything.
fn end(pod: &mut PodVerdict, why: &str) {
    pod.phase = "aborted".to_owned();
    pod.verdict = Some(INCONCLUSIVE.to_owned());
    pod.reason = short(why);
}

fn short(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One failure is a failure; what is not known anywhere is not known.
fn verdict(pods: &[PodVerdict]) -> &'static str {
    let is = |pod: &PodVerdict, verdict: &str| pod.verdict.as_deref() == Some(verdict);
    if pods.iter().any(|pod| is(pod, FAILED)) {
        FAILED
    } else if !pods.is_empty() && pods.iter().all(|pod| is(pod, HELD)) {
        HELD
    } else {
        INCONCLUSIVE
    }
}

/// Of the pods that made the verdict.
fn reasons(pods: &[PodVerdict], verdict: &str) -> Vec<String> {
    let makers = pods.iter().filter(|pod| pod.verdict.as_deref() == Some(verdict) && !pod.reason.is_empty());
    makers.take(REASONS_MAX).map(|pod| format!("pod {}: {}", pod.name, pod.reason)).collect()
}

/// As precise as it will be read again.
fn micro(now: Timestamp) -> MicroTime {
    MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn started() -> Next {
        let hit = vec!["a".to_owned(), "b".to_owned()];
        let mut next = Next::pending(Share { matched: 3, wanted: 2, hit, halted: None });
        next.start(|uid| format!("pod-{uid}"), at(0));
        Next::running(next.told(Conditions::default(), Some(1), at(0)))
    }

    fn said(phase: &str, verdict: Option<&str>, reason: &str) -> Option<ExperimentReport> {
        Some(ExperimentReport {
            phase: phase.to_owned(),
            verdict: verdict.map(str::to_owned),
            reasons: vec![reason.to_owned()],
            injected: 7,
            ..ExperimentReport::default()
        })
    }

    fn seen(a: Option<ExperimentReport>, b: Option<ExperimentReport>) -> Seen {
        let all = vec!["a".to_owned(), "b".to_owned()];
        Seen {
            reports: vec![("a".to_owned(), a), ("b".to_owned(), b)],
            follow: all.clone(),
            hit: Some(all),
            are_back: true,
            longest: Duration::from_secs(100),
            halted: None,
        }
    }

    #[test]
    fn it_starts_with_who_is_there_and_ends_when_all_have() {
        let mut run = started();
        assert_eq!((run.status.phase.as_str(), run.status.pods_total, unfinished(&run.status).len()), (RUNNING, 2, 2));
        run.look(&seen(said("baseline", None, ""), None), at(5));
        assert_eq!(run.status.pods[0].phase, "baseline");
        let early = Seen { follow: vec!["b".to_owned()], ..seen(said("done", Some(HELD), "of the run before"), None) };
        run.look(&early, at(6));
        assert_eq!(run.status.pods[0].phase, "baseline");
        run.look(&seen(said("done", Some(HELD), "all was well"), said("injecting", None, "")), at(7));
        assert_eq!((run.status.phase.as_str(), unfinished(&run.status)), (RUNNING, vec!["b".to_owned()]));
        run.look(&seen(None, said("done", Some(HELD), "all was well")), at(8));
        assert_eq!((run.status.phase.as_str(), run.status.verdict.as_str()), (FINISHED, HELD));
        assert_eq!((run.status.injected_total, run.status.reasons.len()), (14, 2));
        let told = run.told(Conditions::default(), Some(1), at(8));
        assert!(told.conditions.is_true("Finished") && told.conditions.is_true("Accepted"));
    }

    #[test]
    fn one_failure_is_a_failure_and_what_is_not_known_is_not_known() {
        for (a, b, expected) in [
            (HELD, FAILED, FAILED),
            (INCONCLUSIVE, FAILED, FAILED),
            (HELD, INCONCLUSIVE, INCONCLUSIVE),
            (INCONCLUSIVE, INCONCLUSIVE, INCONCLUSIVE),
            (HELD, HELD, HELD),
        ] {
            let mut run = started();
            run.look(&seen(said("done", Some(a), "x"), said("done", Some(b), "y")), at(5));
            assert_eq!(run.status.verdict, expected, "{a} and {b}");
        }
    }

    #[test]
    fn what_keeps_a_pod_from_ending_by_itself_ends_it() {
        let both = || seen(said("baseline", None, ""), said("done", Some(HELD), ""));
        let gone = Seen { reports: vec![("b".to_owned(), said("done", Some(HELD), ""))], ..both() };
        let halted = Seen { halted: Some("ClusterHalt x".to_owned()), ..both() };
        let beyond = Seen { hit: Some(vec!["b".to_owned()]), ..both() };
        let mut problem = both();
        problem.reports[0].1.as_mut().unwrap().problem = Some("there is no cluster \"b\"".to_owned());
        for (seen, seconds, why) in [
            (gone, 5, "the pod is gone"),
            (halted, 5, "ClusterHalt x"),
            (beyond, 5, "--max-pods-hit"),
            (problem, 5, "no cluster"),
            (both(), 101, "in time"),
        ] {
            let mut run = started();
            run.look(&seen, at(seconds));
            assert_eq!((run.status.phase.as_str(), run.status.verdict.as_str()), (FINISHED, INCONCLUSIVE), "{why}");
            assert!(run.status.reasons[0].contains(why), "{:?}", run.status.reasons);
        }
        let mut run = started();
        run.look(&Seen { are_back: false, hit: None, reports: Vec::new(), ..both() }, at(5));
        assert_eq!(run.status.phase, RUNNING, "they may still come back");
    }

    #[test]
    fn one_that_nobody_can_run_waits_and_says_why() {
        for (share, reason) in [
            (Share::default(), "NoPods"),
            (Share { matched: 3, wanted: 3, ..Share::default() }, "MaxPodsHit"),
            (Share { matched: 3, ..Share::default() }, "NothingOfThem"),
            (Share { halted: Some("x".to_owned()), ..Share::default() }, "Halted"),
        ] {
            let mut next = Next::pending(share);
            next.start(str::to_owned, at(0));
            let told = serde_json::to_value(next.told(Conditions::default(), Some(1), at(0))).unwrap();
            assert_eq!((&told["phase"], &told["conditions"][1]["reason"]), (&PENDING.into(), &reason.into()));
        }
        let refused = Next::refused("spec.method: missing".to_owned()).told(Conditions::default(), Some(1), at(0));
        assert!(refused.phase == REFUSED && !refused.conditions.is_true("Accepted"));
        assert_eq!(short(&"é".repeat(400)).chars().count(), REASON_CHARS_MAX + 1);
    }
}
