//! The experiments that there are, how each is, and what came of their runs; what the API and the runner share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use squall_config::model::{Experiment, Name, Schedule};
use squall_config::spec::ExperimentDocument;
use tokio::sync::Notify;

use super::archive::{Archive, Left};
use super::report::{Aborted, AbortedBy, Report, RunPhase, Verdict};
use crate::directory::Damaged;
use crate::text::rfc3339;

/// More experiments are refused.
pub(crate) const EXPERIMENTS_MAX: usize = 200;

/// Of each experiment the reports of so many runs are kept.
const REPORTS_MAX: usize = 20;

/// All experiments.
#[derive(Debug, Default)]
pub(crate) struct ExperimentBoard {
    entries: Mutex<BTreeMap<String, Entry>>,
    /// The runner has something to do.
    pub(super) wake: Notify,
    pub(crate) archive: Archive,
    /// Files that were damaged.
    pub(crate) damaged: Vec<Damaged>,
}

/// One experiment.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) document: ExperimentDocument,
    /// When it starts by itself.
    pub(crate) next: Option<SystemTime>,
    pub(crate) state: State,
    /// By run, the last one last.
    pub(crate) reports: BTreeMap<u64, Arc<Report>>,
    /// The number of the last run.
    pub(crate) last_run: u64,
    /// Whether a controller ordered it: nobody else changes it, and nothing of it outlives the process.
    pub(crate) is_ordered: bool,
}

/// How an experiment is.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Nothing is under way.
    Idle,
    /// A run is under way, or asked for.
    Running(Live),
}

/// A run under way, as those see it that ask for it.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    /// What the runner has yet to begin with.
    asked: Option<Box<Experiment>>,
    pub(crate) run: u64,
    pub(crate) phase: RunPhase,
    /// What is known until now.
    pub(crate) report: Arc<Report>,
    /// Somebody wants it to end.
    pub(crate) stop: Option<Aborted>,
    /// What people noted, to be taken into its report.
    pub(crate) notes: Vec<String>,
}

/// A run that the runner has yet to begin.
pub(super) struct Asked {
    /// Its number.
    pub(super) run: u64,
    pub(super) experiment: Experiment,
    pub(super) document: ExperimentDocument,
}

/// What people want of a run under way.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// It is to end.
    pub(super) stop: Option<Aborted>,
    /// For its report.
    pub(super) notes: Vec<String>,
}

/// Why something cannot be done with an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is none of that name.
    Unknown,
    /// It is running.
    Running,
    /// It is not running.
    NotRunning,
    /// There are too many.
    TooMany,
    /// A controller ordered it.
    Ordered,
}

impl Entry {
    /// One that has not run.
    pub(crate) fn new(document: ExperimentDocument) -> Self {
        Self { document, next: None, state: State::Idle, reports: BTreeMap::new(), last_run: 0, is_ordered: false }
    }

    /// Whether a run is under way, or asked for.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// The phase of the run under way; else how the last one ended, or `idle`.
    pub(crate) fn phase(&self) -> &'static str {
        match &self.state {
            State::Running(live) => live.phase.as_str(),
            State::Idle => match self.report(None) {
                None => "idle",
                Some(report) if report.aborted.is_some() => RunPhase::Aborted.as_str(),
                Some(_) => RunPhase::Done.as_str(),
            },
        }
    }

    /// The report of a run, or of the last one; of the one under way what is known until now.
    pub(crate) fn report(&self, run: Option<u64>) -> Option<Arc<Report>> {
        match (&self.state, run) {
            (State::Running(live), None) => Some(Arc::clone(&live.report)),
            (State::Running(live), Some(run)) if run == live.run => Some(Arc::clone(&live.report)),
            (_, Some(run)) => self.reports.get(&run).cloned(),
            (_, None) => self.reports.last_key_value().map(|(_, report)| Arc::clone(report)),
        }
    }
}

impl ExperimentBoard {
    /// With what an earlier process left. Runs that it did not end have ended with it. Gives how many those are. Blocks.
    pub(crate) fn load(archive: Archive) -> std::io::Result<Self> {
        let Left { documents, reports, damaged } = archive.load()?;
        let mut entries: BTreeMap<String, Entry> =
            documents.into_iter().map(|(name, document)| (name, Entry::new(document))).collect();
        for (name, reports) in reports {
            let Some(entry) = entries.get_mut(&name) else { continue };
            for (run, mut report) in reports {
                if report.verdict.is_none() {
                    end_with_process(&mut report);
                    archive.keep_report(&report)?;
                    tracing::warn!(
                        experiment = name,
                        run,
                        "a run from before the start did not come to its end; it is aborted"
                    );
                }
                entry.last_run = entry.last_run.max(run);
                entry.reports.insert(run, Arc::new(report));
            }
        }
        Ok(Self { entries: Mutex::new(entries), wake: Notify::new(), archive, damaged })
    }

    /// All, by name.
    pub(crate) fn all(&self) -> BTreeMap<String, Entry> {
        self.entries().clone()
    }

    /// One.
    pub(crate) fn get(&self, name: &str) -> Option<Entry> {
        self.entries().get(name).cloned()
    }

    /// Puts a document there; gives whether it is a new one.
    ///
    /// # Errors
    /// A run is under way, or a controller ordered it, or there are too many.
    pub(crate) fn put(
        &self,
        name: &Name,
        document: ExperimentDocument,
        schedule: Option<Schedule>,
    ) -> Result<bool, Refusal> {
        let mut entries = self.entries();
        if entries.len() >= EXPERIMENTS_MAX && !entries.contains_key(name.as_str()) {
            return Err(Refusal::TooMany);
        }
        let is_new = !entries.contains_key(name.as_str());
        let entry = entries.entry(name.to_string()).or_insert_with(|| Entry::new(document.clone()));
        if entry.is_ordered {
            return Err(Refusal::Ordered);
        }
        if entry.is_busy() {
            return Err(Refusal::Running);
        }
        entry.document = document;
        entry.next = schedule.and_then(|schedule| first_start(schedule, SystemTime::now()));
        drop(entries);
        self.wake.notify_one();
        Ok(is_new)
    }

    /// Removes an experiment with its reports; gives their numbers.
    ///
    /// # Errors
    /// There is none, or a run is under way, or a controller ordered it.
    pub(crate) fn remove(&self, name: &str) -> Result<Vec<u64>, Refusal> {
        let mut entries = self.entries();
        let entry = entries.get(name).ok_or(Refusal::Unknown)?;
        if entry.is_ordered {
            return Err(Refusal::Ordered);
        }
        if entry.is_busy() {
            return Err(Refusal::Running);
        }
        Ok(entries.remove(name).map(|entry| entry.reports.into_keys().collect()).unwrap_or_default())
    }

    /// Asks for a run. The runner begins it at once.
    ///
    /// # Errors
    /// There is none, or a run is under way.
    pub(crate) fn ask(&self, experiment: Experiment) -> Result<(), Refusal> {
        let mut entries = self.entries();
        let entry = entries.get_mut(experiment.name.as_str()).ok_or(Refusal::Unknown)?;
        if entry.is_busy() {
            return Err(Refusal::Running);
        }
        entry.last_run += 1;
        // From now on there is a report without a verdict: nobody takes that of the run before for this one's.
        let report = super::run::first_report(&experiment, &entry.document, entry.last_run);
        entry.state = State::Running(Live {
            asked: Some(Box::new(experiment)),
            run: entry.last_run,
            phase: RunPhase::Pending,
            report: Arc::new(report),
            stop: None,
            notes: Vec::new(),
        });
        drop(entries);
        self.wake.notify_one();
        Ok(())
    }

    /// Asks for the end of a run.
    ///
    /// # Errors
    /// There is none, or no run is under way.
    pub(crate) fn stop(&self, name: &str, reason: &str) -> Result<(), Refusal> {
        let mut entries = self.entries();
        let entry = entries.get_mut(name).ok_or(Refusal::Unknown)?;
        match &mut entry.state {
            State::Idle => return Err(Refusal::NotRunning),
            State::Running(live) => {
                let reason = if reason.is_empty() { "somebody stopped it".to_owned() } else { reason.to_owned() };
                live.stop.get_or_insert(Aborted { by: AbortedBy::Stop, reason, released_within_milliseconds: None });
            }
        }
        drop(entries);
        self.wake.notify_one();
        Ok(())
    }

    /// Ends a run for a reason of Squall's own, if it is under way.
    pub(super) fn stop_by(&self, name: &str, aborted: Aborted) {
        if let Some(Entry { state: State::Running(live), .. }) = self.entries().get_mut(name) {
            live.stop.get_or_insert(aborted);
        }
    }

    /// Notes something for the report of a run.
    ///
    /// # Errors
    /// There is none, or no run is under way.
    pub(crate) fn note(&self, name: &str, text: String) -> Result<(), Refusal> {
        match self.entries().get_mut(name).ok_or(Refusal::Unknown)? {
            Entry { state: State::Running(live), .. } => live.notes.push(text),
            _ => return Err(Refusal::NotRunning),
        }
        Ok(())
    }

    /// Names of the experiments with a run under way or asked for.
    pub(crate) fn busy(&self) -> Vec<String> {
        self.entries().iter().filter(|(_, entry)| entry.is_busy()).map(|(name, _)| name.clone()).collect()
    }

    /// Takes over what was asked for.
    pub(super) fn take_asked(&self) -> Vec<Asked> {
        let mut asked = Vec::new();
        for entry in self.entries().values_mut() {
            let State::Running(live) = &mut entry.state else { continue };
            if let Some(experiment) = live.asked.take() {
                live.phase = RunPhase::Baseline;
                asked.push(Asked { run: live.run, experiment: *experiment, document: entry.document.clone() });
            }
        }
        asked
    }

    /// Shows how a run is; gives what somebody wants of it.
    pub(super) fn show(&self, name: &str, phase: RunPhase, report: Option<Arc<Report>>) -> Wishes {
        match self.entries().get_mut(name) {
            Some(Entry { state: State::Running(live), .. }) => {
                live.phase = phase;
                live.report = report.unwrap_or_else(|| Arc::clone(&live.report));
                Wishes { stop: live.stop.clone(), notes: std::mem::take(&mut live.notes) }
            }
            _ => Wishes::default(),
        }
    }

    /// A run has come to its end. Gives the numbers of reports that are too old to be kept.
    pub(super) fn end(&self, report: Arc<Report>, schedule: Option<Schedule>) -> Vec<u64> {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(&report.experiment) else { return Vec::new() };
        entry.state = State::Idle;
        if let (Some(Schedule::Every(every)), None) = (schedule, entry.next) {
            entry.next = SystemTime::now().checked_add(every);
        }
        entry.reports.insert(report.run, report);
        let mut old = Vec::new();
        while entry.reports.len() > REPORTS_MAX {
            old.extend(entry.reports.pop_first().map(|(run, _)| run));
        }
        old
    }

    /// Experiments whose time has come; each is given out once.
    pub(super) fn take_due(&self, now: SystemTime) -> Vec<(String, ExperimentDocument)> {
        let mut due = Vec::new();
        for (name, entry) in self.entries().iter_mut() {
            if entry.next.is_some_and(|next| next <= now) && !entry.is_busy() {
                entry.next = None;
                due.push((name.clone(), entry.document.clone()));
            }
        }
        due
    }

    /// When an experiment that repeats starts again, after a start that was refused.
    pub(super) fn put_off(&self, name: &str, schedule: Option<Schedule>) {
        if let (Some(Schedule::Every(every)), Some(entry)) = (schedule, self.entries().get_mut(name)) {
            entry.next = SystemTime::now().checked_add(every);
        }
    }

    /// Sets when experiments of an earlier process start by themselves.
    pub(super) fn set_schedules(&self, schedule: impl Fn(&ExperimentDocument) -> Option<Schedule>) {
        for entry in self.entries().values_mut() {
            entry.next = schedule(&entry.document).and_then(|schedule| first_start(schedule, SystemTime::now()));
        }
    }

    /// The next start by itself.
    pub(super) fn next_start(&self) -> Option<SystemTime> {
        self.entries().values().filter(|entry| !entry.is_busy()).filter_map(|entry| entry.next).min()
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time that has passed is not made up for.
fn first_start(schedule: Schedule, now: SystemTime) -> Option<SystemTime> {
    match schedule {
        Schedule::At(at) => (at > now).then_some(at),
        Schedule::Every(every) => now.checked_add(every),
    }
}

fn end_with_process(report: &mut Report) {
    let reason = "Squall ended while it was running; its faults ended with it".to_owned();
    report.reasons = vec![reason.clone()];
    report.aborted = Some(Aborted { by: AbortedBy::Restart, reason, released_within_milliseconds: None });
    report.verdict = Some(Verdict::Inconclusive);
    report.ended_at = Some(rfc3339(SystemTime::now()));
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
