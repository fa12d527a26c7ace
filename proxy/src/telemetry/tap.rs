//! Exchanges as they end, for those who watch: filtered where they end, at a bounded rate, and for nothing while nobody
//! watches.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use squall_telemetry::{TapEvent, TapFilter};
use tokio::sync::mpsc;

use crate::telemetry::notes::Finished;

/// Each watcher costs a look at every exchange.
const WATCHERS_MAX: usize = 16;
/// Lines that may wait for a slow watcher.
const BACKLOG_MAX: usize = 1024;
/// How often a watcher hears of what it misses.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Those who watch.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    watchers: ArcSwap<Vec<Arc<Watcher>>>,
    /// Held while the list changes.
    changing: Mutex<()>,
}

#[derive(Debug)]
struct Watcher {
    filter: TapFilter,
    lines: mpsc::Sender<String>,
    missed: AtomicU64,
    began: Instant,
    /// Which second this is since the beginning, and what was sent in it.
    second: AtomicU64,
}

/// One who watches, until it is dropped.
#[must_use = "it ends when it is dropped"]
pub struct Tap {
    taps: Arc<Taps>,
    watcher: Arc<Watcher>,
    lines: mpsc::Receiver<String>,
    tells: tokio::time::Interval,
    on_change: Box<dyn Fn() + Send>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("filter", &self.watcher.filter).finish_non_exhaustive()
    }
}

impl Taps {
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.load().is_empty()
    }

    /// Shows an exchange to those who want to see it.
    pub(crate) fn show(&self, finished: &Finished<'_>) {
        for watcher in self.watchers.load().iter().filter(|watcher| wants(&watcher.filter, finished)) {
            let is_sent = watcher.is_within_rate()
                && serde_json::to_string(&finished.line()).is_ok_and(|line| watcher.lines.try_send(line).is_ok());
            if !is_sent {
                watcher.missed.fetch_add(1, Relaxed);
            }
        }
    }

    /// Begins to watch, on a runtime; `on_change` is called when the list of those who watch changes. `None` when there are
    /// [`WATCHERS_MAX`] already.
    pub(crate) fn watch(self: &Arc<Self>, filter: TapFilter, on_change: Box<dyn Fn() + Send>) -> Option<Tap> {
        let (sender, lines) = mpsc::channel(BACKLOG_MAX);
        let (missed, second) = (AtomicU64::new(0), AtomicU64::new(0));
        let watcher = Arc::new(Watcher { filter, lines: sender, missed, began: Instant::now(), second });
        self.change(|watchers| (watchers.len() < WATCHERS_MAX).then(|| watchers.push(Arc::clone(&watcher))))?;
        on_change();
        let tells = tokio::time::interval_at((Instant::now() + TELL_INTERVAL).into(), TELL_INTERVAL);
        Some(Tap { taps: Arc::clone(self), watcher, lines, tells, on_change })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Arc<Watcher>>) -> T) -> T {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut watchers = self.watchers.load().to_vec();
        let result = change(&mut watchers);
        self.watchers.store(Arc::new(watchers));
        result
    }
}

impl Tap {
    /// Waits for the next event. Never ends; safe to drop.
    pub async fn next(&mut self) -> TapEvent {
        loop {
            tokio::select! {
                Some(line) = self.lines.recv() => return TapEvent::Exchange(line),
                _ = self.tells.tick() => {
                    let missed = self.watcher.missed.swap(0, Relaxed);
                    if missed > 0 {
                        return TapEvent::Missed(missed);
                    }
                }
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.change(|watchers| watchers.retain(|watcher| !Arc::ptr_eq(watcher, &self.watcher)));
        (self.on_change)();
    }
}

impl Watcher {
    /// Counts one more in this second. Two workers at the turn of a second may let one too many through.
    fn is_within_rate(&self) -> bool {
        let second = self.began.elapsed().as_secs();
        let before = self.second.load(Relaxed);
        let (is_same, sent) = (before >> 32 == second, before & u64::from(u32::MAX));
        let sent = if is_same { sent } else { 0 };
        let is_within = sent < u64::from(self.filter.rate_max);
        if is_within {
            self.second.store(second << 32 | (sent + 1), Relaxed);
        }
        is_within
    }
}

fn wants(filter: &TapFilter, finished: &Finished<'_>) -> bool {
    let TapFilter { rule, path, status, is_faulted, rate_max: _ } = filter;
    let has_status = |(first, last): &(u16, u16)| finished.status.is_some_and(|s| (*first..=*last).contains(&s));
    let is_of = |rule: &String| {
        finished.faults.iter().any(|fault| fault.rule == *rule)
            || finished.notes.shadows.iter().any(|shadow| shadow.as_str() == rule)
    };
    rule.as_ref().is_none_or(is_of)
        && path.as_ref().is_none_or(|path| finished.notes.path.starts_with(path.as_str()))
        && status.as_ref().is_none_or(has_status)
        && !(*is_faulted && finished.faults.is_empty())
}
#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn there_are_so_many_watchers_and_no_more() {
        let (taps, changes) = (Arc::<Taps>::default(), Arc::<AtomicU64>::default());
        let watch = || {
            let changes = Arc::clone(&changes);
            taps.watch(
                TapFilter::default(),
                Box::new(move || {
                    changes.fetch_add(1, Relaxed);
                }),
            )
        };
        let all: Vec<Tap> = std::iter::from_fn(watch).take(WATCHERS_MAX + 1).collect();
        assert_eq!((all.len(), changes.load(Relaxed)), (WATCHERS_MAX, WATCHERS_MAX as u64));
        drop(all);
        assert!(taps.is_empty());
        assert_eq!(changes.load(Relaxed), 2 * WATCHERS_MAX as u64);
    }

    #[test]
    fn a_second_has_so_many_places() {
        let filter = TapFilter { rate_max: 3, ..TapFilter::default() };
        let (missed, second) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut watcher = Watcher { filter, lines: mpsc::channel(1).0, missed, began: Instant::now(), second };
        let passed = || (0..10).filter(|_| watcher.is_within_rate()).count();
        assert_eq!((passed(), passed()), (3, 0));
        watcher.began = Instant::now().checked_sub(Duration::from_secs(1)).expect("the machine runs for a second");
        assert_eq!((0..10).filter(|_| watcher.is_within_rate()).count(), 3);
    }
}
