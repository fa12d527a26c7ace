//! What a controller ordered, on the board of the experiments.

use squall_config::model::Name;
use squall_config::spec::ExperimentDocument;

use super::board::{EXPERIMENTS_MAX, Entry, ExperimentBoard, Refusal};

impl ExperimentBoard {
    /// Puts an experiment there that a controller ordered.
    ///
    /// # Errors
    /// There is one of that name, or there are too many.
    pub(crate) fn put_ordered(&self, name: &Name, document: ExperimentDocument) -> Result<(), Refusal> {
        let mut entries = self.entries();
        if entries.len() >= EXPERIMENTS_MAX {
            return Err(Refusal::TooMany);
        }
        if entries.contains_key(name.as_str()) {
            return Err(Refusal::Running);
        }
        entries.insert(name.to_string(), Entry { is_ordered: true, ..Entry::new(document) });
        Ok(())
    }

    /// The names of those that a controller ordered.
    pub(crate) fn ordered(&self) -> Vec<String> {
        self.entries().iter().filter(|(_, entry)| entry.is_ordered).map(|(name, _)| name.clone()).collect()
    }

    /// Whether a controller ordered it.
    pub(super) fn is_ordered(&self, name: &str) -> bool {
        self.entries().get(name).is_some_and(|entry| entry.is_ordered)
    }

    /// Asks for the end of all that a controller ordered.
    pub(crate) fn stop_ordered(&self, reason: &str) {
        for name in self.ordered() {
            // One that has ended cannot be stopped.
            let _not_running = self.stop(&name, reason);
        }
    }

    /// Takes one off the board that a controller ordered, unless a run is under way.
    pub(crate) fn remove_ordered(&self, name: &str) -> Option<Entry> {
        let mut entries = self.entries();
        let is_idle = entries.get(name).is_some_and(|entry| entry.is_ordered && !entry.is_busy());
        is_idle.then(|| entries.remove(name)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::tests::experiment;

    #[test]
    fn what_is_ordered_is_for_the_controller_to_change() {
        let (board, name) = (ExperimentBoard::default(), experiment().name);
        board.put_ordered(&name, ExperimentDocument::default()).unwrap();
        assert_eq!(board.put_ordered(&name, ExperimentDocument::default()), Err(Refusal::Running));
        assert_eq!(board.put(&name, ExperimentDocument::default(), None), Err(Refusal::Ordered));
        assert_eq!(board.remove(name.as_str()), Err(Refusal::Ordered));
        board.ask(experiment()).unwrap();
        assert!(board.remove_ordered(name.as_str()).is_none(), "it is under way");
        board.stop_ordered("silent");
        let run = board.take_asked().pop().unwrap().run;
        let stop = board.show(name.as_str(), crate::experiment::report::RunPhase::Baseline, None).stop;
        assert_eq!(stop.map(|aborted| aborted.reason).as_deref(), Some("silent"));
        let report = crate::experiment::report::Report { experiment: name.to_string(), run, ..Default::default() };
        board.end(std::sync::Arc::new(report), None);
        assert!(board.remove_ordered(name.as_str()).is_some() && board.ordered().is_empty());
        board.put(&name, ExperimentDocument::default(), None).unwrap();
        assert!(board.remove_ordered(name.as_str()).is_none(), "that one is ours");
    }
}
