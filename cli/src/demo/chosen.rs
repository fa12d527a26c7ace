//! The experiment that the demo runs: one that comes with Squall, or a file.

use std::path::Path;
use std::time::Duration;

use squall_config::spec::{ExperimentDocument, ExperimentSpec, Scalar};
use squall_config::{Problems, parse_experiment_text};

use crate::exit::Failure;
use crate::source;

/// Those that come with Squall, by name.
const READY_MADE: [(&str, &str); 3] = [
    ("slow-dependency", include_str!("../../../config/experiments/slow-dependency.yaml")),
    ("instance-loss", include_str!("../../../config/experiments/instance-loss.yaml")),
    ("card-authorisation", include_str!("../../../config/experiments/card-authorisation.yaml")),
];

/// An experiment, and how it is told.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    pub(super) document: ExperimentDocument,
    pub(super) name: String,
    pub(super) hypothesis: String,
    /// What is steady, in words.
    pub(super) steady_state: String,
    /// The names of its rules.
    pub(super) rules: Vec<String>,
}

impl Chosen {
    /// The experiment of this name, or of this file.
    pub(super) fn load(name: &str) -> Result<Self, Failure> {
        let file = Path::new(name);
        let text = match READY_MADE.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => (*text).to_owned(),
            None if file.exists() => source::read(file)?,
            None => {
                let known = READY_MADE.map(|(known, _)| known).join(", ");
                let why = format!("there is no file {name}, and no experiment of that name; there are: {known}");
                return Err(Failure::new(crate::exit::Exit::Usage, why));
            }
        };
        Self::parse(&text).map_err(|problems| source::invalid(file, &problems))
    }

    fn parse(text: &str) -> Result<Self, Problems> {
        let document = parse_experiment_text(text)?;
        let empty = ExperimentSpec::default();
        let spec = document.spec.as_ref().unwrap_or(&empty);
        let steady_state = spec.steady_state.iter().filter_map(|statement| {
            let condition = statement.condition.as_ref()?;
            let subject = condition.metric.as_deref().or(condition.query.as_deref()).or(condition.probe.as_deref())?;
            let bound = match (&condition.below, &condition.above) {
                (Some(below), _) => format!(" below {below}"),
                (None, Some(above)) => format!(" above {above}"),
                (None, None) => String::new(),
            };
            Some(format!("{subject}{bound}"))
        });
        Ok(Self {
            name: document.metadata.as_ref().map_or_else(String::new, |metadata| metadata.name.clone()),
            hypothesis: spec.hypothesis.clone().unwrap_or_default(),
            steady_state: steady_state.collect::<Vec<_>>().join(", "),
            rules: spec.method.iter().flat_map(|step| step.rules.iter().map(|rule| rule.name.clone())).collect(),
            document,
        })
    }

    /// This experiment, of one step, within so much time. The shortest phase that there may be is a second.
    pub(super) fn within(mut self, bound: Duration) -> Self {
        let length = |share: f64| Some(Scalar::Text(format!("{}ms", bound.mul_f64(share).as_millis().max(1000))));
        if let Some(spec) = &mut self.document.spec {
            (spec.baseline, spec.recovery) = (length(BASELINE), length(RECOVERY));
            for step in &mut spec.method {
                let ramp_share = if step.ramp.is_some() { INJECTION / 4.0 } else { 0.0 };
                step.hold = length(INJECTION - ramp_share);
                if let Some(ramp) = &mut step.ramp {
                    ramp.over = length(ramp_share);
                }
            }
        }
        self
    }
}

/// How much of the time each phase gets; the rest is for what is around them.
const BASELINE: f64 = 0.22;
const INJECTION: f64 = 0.46;
const RECOVERY: f64 = 0.17;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_come_with_squall_fit_to_the_demo() {
        let text =
            super::super::scene::configuration("127.0.0.1:1".parse().unwrap(), &["127.0.0.1:2".parse().unwrap(); 3]);
        let configuration = text.replace("instance: \"3\"", "instance: \"2\"");
        let against = squall_config::parse_text(&configuration).unwrap();
        for (name, _) in READY_MADE {
            let chosen = Chosen::load(name).unwrap();
            assert_eq!(chosen.name, name);
            assert!(!chosen.steady_state.is_empty() && !chosen.rules.is_empty());
            squall_config::validate_experiment(&chosen.document, &against).unwrap();
        }
        assert!(Chosen::load("slow-b").unwrap_err().text().contains("instance-loss"));
    }

    #[test]
    fn the_phases_fit_into_the_time_even_when_it_is_short() {
        let around = Duration::from_millis(700);
        assert!(Duration::from_secs(6).mul_f64(BASELINE + INJECTION + RECOVERY) + around <= Duration::from_secs(6));
    }
}
