//! Documents and reports on disk, where a state directory keeps them: `experiment.NAME.json` and `report.NAME.RUN.json`. A report
//! without a verdict is one of a run that did not come to its end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use squall_config::model::Name;
use squall_config::parse_value;
use squall_config::spec::ExperimentDocument;

use super::report::Report;
use crate::directory::{Damaged, Directory};

/// The directory, when there is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive(Option<Arc<Directory>>);

/// What an earlier process left.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// By name.
    pub(crate) documents: BTreeMap<String, ExperimentDocument>,
    /// By name and run.
    pub(crate) reports: BTreeMap<String, BTreeMap<u64, Report>>,
    /// Files that were damaged.
    pub(crate) damaged: Vec<Damaged>,
}

/// What a file of the directory is.
enum Kind<'a> {
    Document(&'a str),
    Report(&'a str, u64),
}

impl Archive {
    /// In this directory.
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        Self(Some(directory))
    }

    /// Reads all that is there. A damaged file is set aside. Blocks.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(crate) fn load(&self) -> io::Result<Left> {
        let mut left = Left::default();
        let Some(directory) = &self.0 else { return Ok(left) };
        for entry in std::fs::read_dir(directory.path())? {
            let Ok(file) = entry?.file_name().into_string() else { continue };
            let Some(kind) = kind(&file) else { continue };
            let read = match kind {
                Kind::Document(name) => document(directory, &file).map(|document| {
                    left.documents.insert(name.to_owned(), document);
                }),
                Kind::Report(name, run) => json::<Report>(directory, &file).map(|report| {
                    left.reports.entry(name.to_owned()).or_default().insert(run, report);
                }),
            };
            if let Err(why) = read {
                left.damaged.push(directory.set_aside(&file, why)?);
            }
        }
        Ok(left)
    }

    /// Keeps a document. Blocks.
    ///
    /// # Errors
    /// What the system says; then the file is as it was.
    pub(crate) fn keep_document(&self, name: &Name, document: &ExperimentDocument) -> io::Result<()> {
        let Some(directory) = &self.0 else { return Ok(()) };
        directory.write(&document_file(name.as_str()), &serde_json::to_vec_pretty(document)?)
    }

    /// Keeps a report. Blocks.
    ///
    /// # Errors
    /// What the system says; then the file is as it was.
    pub(crate) fn keep_report(&self, report: &Report) -> io::Result<()> {
        let Some(directory) = &self.0 else { return Ok(()) };
        directory.write(&report_file(&report.experiment, report.run), &serde_json::to_vec_pretty(report)?)
    }

    /// Removes a document and these reports of it. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove(&self, name: &str, runs: impl Iterator<Item = u64>) -> io::Result<()> {
        let Some(directory) = &self.0 else { return Ok(()) };
        directory.remove(&document_file(name))?;
        self.remove_reports(name, runs)
    }

    /// Removes these reports. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn remove_reports(&self, name: &str, mut runs: impl Iterator<Item = u64>) -> io::Result<()> {
        let Some(directory) = &self.0 else { return Ok(()) };
        runs.try_for_each(|run| directory.remove(&report_file(name, run)))
    }
}

fn document_file(name: &str) -> String {
    format!("experiment.{name}.json")
}

fn report_file(name: &str, run: u64) -> String {
    format!("report.{name}.{run}.json")
}

fn kind(file: &str) -> Option<Kind<'_>> {
    let stem = file.strip_suffix(".json")?;
    if let Some(name) = stem.strip_prefix("experiment.") {
        return Name::new(name).is_ok().then_some(Kind::Document(name));
    }
    let (name, run) = stem.strip_prefix("report.")?.rsplit_once('.')?;
    Name::new(name).is_ok().then_some(Kind::Report(name, run.parse().ok()?))
}

fn json<T: DeserializeOwned>(directory: &Directory, file: &str) -> Result<T, String> {
    let content = directory.read(file).map_err(|error| error.to_string())?.unwrap_or_default();
    serde_json::from_slice(&content).map_err(|error| error.to_string())
}

fn document(directory: &Directory, file: &str) -> Result<ExperimentDocument, String> {
    parse_value(&json(directory, file)?).map_err(|problems| problems.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_again_and_damage_is_set_aside() {
        let parent = tempfile::tempdir().unwrap();
        let archive = Archive::new(Arc::new(Directory::take(parent.path()).unwrap()));
        let document: ExperimentDocument =
            parse_value(&serde_json::json!({"kind": "Experiment", "metadata": {"name": "a.1"}})).unwrap();
        let name = Name::new("a.1").unwrap();
        archive.keep_document(&name, &document).unwrap();
        for run in [1, 12] {
            archive.keep_report(&Report { experiment: "a.1".to_owned(), run, ..Report::default() }).unwrap();
        }
        let left = archive.load().unwrap();
        assert_eq!(left.documents.into_iter().collect::<Vec<_>>(), [("a.1".to_owned(), document)]);
        assert_eq!(left.reports["a.1"].keys().copied().collect::<Vec<_>>(), [1, 12]);

        for (file, content) in
            [("experiment.b.json", "{"), ("report.b.3.json", "7"), ("experiment.c.json", "{\"x\": 1}")]
        {
            std::fs::write(parent.path().join(file), content).unwrap();
        }
        let left = archive.load().unwrap();
        assert_eq!((left.damaged.len(), left.documents.len()), (3, 1));
        assert!(archive.load().unwrap().damaged.is_empty(), "what was set aside is not read again");
        archive.remove("a.1", [1, 12].into_iter()).unwrap();
        let left = archive.load().unwrap();
        assert!(left.documents.is_empty() && left.reports.is_empty());
    }
}
