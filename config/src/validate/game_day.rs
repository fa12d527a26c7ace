//! Game days: the document alone; its experiments are checked when they are known.

use crate::problem::Problems;
use crate::report::Report;
use crate::spec::GameDayDocument;

use super::experiment::{kind, name};

const KIND: &str = "GameDay";
/// A day has no more hours.
const EXPERIMENTS_MAX: usize = 100;

/// Checks a game day.
///
/// # Errors
/// Every problem, without positions.
pub(crate) fn validate_game_day(document: &GameDayDocument) -> Result<(), Problems> {
    const PATH: &str = "spec.experiments";
    let mut report = Report::default();
    kind(&document.api_version, (&document.kind, KIND), &mut report);
    name(document.metadata.as_ref(), &mut report);
    let experiments = document.spec.as_ref().map_or(&[][..], |spec| &spec.experiments[..]);
    match experiments.len() {
        0 => report.add(PATH, "missing", "name the files of experiments, such as [{file: slow-b.yaml}]"),
        n if n > EXPERIMENTS_MAX => {
            report.add(PATH, format!("{n} experiments are too many"), format!("write at most {EXPERIMENTS_MAX}"));
        }
        _ => {}
    }
    for (index, _) in experiments.iter().enumerate().filter(|(_, experiment)| experiment.file.is_empty()) {
        report.add(format!("{PATH}[{index}].file"), "missing", "name the file of an experiment");
    }
    report.into_result()
}

#[cfg(test)]
mod tests {
    use crate::load_game_day_text;

    #[test]
    fn a_game_day_needs_a_name_and_experiments() {
        let good = "apiVersion: squall.dev/v1alpha1\nkind: GameDay\nmetadata: {name: june}\n\
                    spec: {title: June, experiments: [{file: a.yaml, announce: Now.}, {file: b.yaml}]}\n";
        let document = load_game_day_text(good).unwrap();
        assert_eq!(document.spec.unwrap().experiments[1].file, "b.yaml");
        for (from, to, path) in [
            ("GameDay", "Experiment", "kind"),
            ("{name: june}", "{}", "metadata.name"),
            ("{file: b.yaml}", "{}", "spec.experiments[1].file"),
            ("[{file: a.yaml, announce: Now.}, {file: b.yaml}]", "[]", "spec.experiments"),
        ] {
            let problems = load_game_day_text(&good.replace(from, to)).unwrap_err();
            assert_eq!(problems.0.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), [path], "{to}");
            assert!(problems.0[0].line.is_some() || path.starts_with("metadata"), "{problems}");
        }
        assert!(
            load_game_day_text("kind: GameDay\nspec: {experiment: []}")
                .unwrap_err()
                .to_string()
                .contains("experiments")
        );
    }
}
