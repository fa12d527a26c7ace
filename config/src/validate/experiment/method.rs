//! What goes wrong: steps, one after the other.

use std::collections::HashMap;
use std::time::Duration;

use crate::defaults;
use crate::model::{MethodStep, Ramp, Rule, StepRule};
use crate::report::Report;
use crate::spec::{ConfigSpec, RampSpec, RuleSpec, StepSpec};
use crate::units::{Percentage, format_duration};

use super::super::context::Context;
use super::super::rules;
use super::super::union::union;
use super::times::{PHASE_MIN, bounded, in_force};
use super::words::line;

/// A report of more is read by nobody.
const STEPS_MAX: usize = 50;
/// In less time rules are not in force everywhere.
const STAGE_MIN: Duration = Duration::from_millis(100);

/// What the rules of an experiment meet.
pub(super) struct Surroundings<'a> {
    context: &'a Context<'a>,
    /// Where each name of a rule was first.
    names: HashMap<&'a str, String>,
    /// Of the configuration, as far as they are valid. While a step is checked its own stand behind them.
    rules: Vec<Rule>,
    /// How many rules the configuration has.
    n_rules: usize,
}

impl<'a> Surroundings<'a> {
    /// Those of an experiment of this name. Its own rules, should it be running, are not in its way.
    pub(super) fn new(against: &'a ConfigSpec, experiment: &str, context: &'a Context<'a>) -> Self {
        let is_own = |rule: &RuleSpec| rule.experiment.as_deref() == Some(experiment);
        let others: Vec<RuleSpec> = against.rules.iter().filter(|rule| !is_own(rule)).cloned().collect();
        let names = against.rules.iter().filter(|rule| !is_own(rule)).map(|rule| rule.name.as_str());
        Self {
            context,
            names: names.map(|name| (name, "a rule of the configuration".to_owned())).collect(),
            rules: rules::each("rules", &others, context, &mut Report::default()),
            n_rules: others.len(),
        }
    }
}

pub(super) fn method<'a>(
    specs: &'a [StepSpec],
    surroundings: &mut Surroundings<'a>,
    report: &mut Report,
) -> Vec<MethodStep> {
    const PATH: &str = "spec.method";
    match specs.len() {
        0 => report.add(PATH, "missing", "write at least one step: {rules: [...], hold: 1m}"),
        n if n > STEPS_MAX => {
            report.add(PATH, format!("{n} steps are too many"), format!("write at most {STEPS_MAX}"));
        }
        _ => {}
    }
    let steps = specs.iter().take(STEPS_MAX).enumerate();
    steps.filter_map(|(index, spec)| step(&format!("{PATH}[{index}]"), spec, surroundings, report)).collect()
}

fn step<'a>(
    path: &str,
    spec: &'a StepSpec,
    surroundings: &mut Surroundings<'a>,
    report: &mut Report,
) -> Option<MethodStep> {
    let at = |field: &str| format!("{path}.{field}");
    let before = report.count();
    if let Some(name) = &spec.name {
        line(&at("name"), name, report);
    }
    let rules = step_rules(&at("rules"), &spec.rules, surroundings, report);
    let ramp = spec.ramp.as_ref().and_then(|spec| ramp(&at("ramp"), spec, &rules, report));
    let hold = report
        .required(&at("hold"), spec.hold.as_ref(), "write how long the rules are in force, such as hold: 1m")
        .and_then(|value| bounded(&at("hold"), value, PHASE_MIN, report));
    let pause = spec.pause.as_ref().and_then(|value| bounded(&at("pause"), value, Duration::ZERO, report));
    let names = || rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
    let name = spec.name.clone().unwrap_or_else(names);
    let step = MethodStep { name, rules, ramp, hold: hold?, pause: pause.unwrap_or_default() };
    (report.count() == before).then_some(step)
}

fn step_rules<'a>(
    path: &str,
    specs: &'a [RuleSpec],
    surroundings: &mut Surroundings<'a>,
    report: &mut Report,
) -> Vec<StepRule> {
    let Surroundings { context, names, rules: all, n_rules } = surroundings;
    if specs.is_empty() {
        report.add(path, "missing", "write what is injected, such as {name: slow, percentage: 5, fault: {delay: 2s}}");
    }
    let (n, max) = (*n_rules + specs.len(), context.limits.rules_max);
    if n > max {
        let detail = format!("with those of the configuration {n} rules are more than limits.rules_max {max}");
        report.add(path, detail, "remove some, or raise the limit");
    }
    are_new(path, specs, names, report);
    let bare: Vec<RuleSpec> = specs.iter().map(|spec| RuleSpec { ttl: None, ..spec.clone() }).collect();
    let rules = rules::each(path, &bare, context, report);
    for (index, spec) in specs.iter().enumerate() {
        let before = report.count();
        is_for_experiments(&format!("{path}[{index}]"), spec, report);
        if !spec.name.is_empty() {
            report.label_since(before, &format!("rule {:?}", spec.name));
        }
    }
    if rules.len() < specs.len() {
        return Vec::new();
    }
    let n_others = all.len();
    all.extend(rules);
    union(all, (path, n_others), context, report);
    let own = all.split_off(n_others);
    let step_rule =
        |(rule, spec): (Rule, &RuleSpec)| StepRule { name: rule.name, spec: spec.clone(), percentage: rule.percentage };
    own.into_iter().zip(specs).map(step_rule).collect()
}

/// Notes names that another rule has, be it in another step: the report tells rules apart by them.
fn are_new<'a>(path: &str, specs: &'a [RuleSpec], names: &mut HashMap<&'a str, String>, report: &mut Report) {
    for (index, spec) in specs.iter().enumerate().filter(|(_, spec)| !spec.name.is_empty()) {
        let before = report.count();
        let path = format!("{path}[{index}]");
        if let Some(first) = names.get(spec.name.as_str()) {
            report.add(format!("{path}.name"), format!("the name is taken by {first}"), "rename one of them");
        } else {
            names.insert(&spec.name, path.clone());
        }
        report.label_since(before, &format!("rule {:?}", spec.name));
    }
}

/// Notes what a rule may say in the configuration, and not here.
fn is_for_experiments(path: &str, spec: &RuleSpec, report: &mut Report) {
    if spec.ttl.is_some() {
        let hint = "remove it: hold says how long it is in force";
        report.add(format!("{path}.ttl"), "a rule of an experiment ends with its step", hint);
    }
    if spec.enabled.is_some() {
        let hint = "remove it; to leave the rule out, remove the rule";
        report.add(format!("{path}.enabled"), "a rule of an experiment is enabled during its step", hint);
    }
    if spec.mode.as_deref() == Some("shadow") {
        let hint = "remove it; a dry run tells what the experiment would do";
        report.add(format!("{path}.mode"), "in shadow mode nothing is injected that could show anything", hint);
    }
    let share = spec.percentage.as_ref().and_then(|share| share.to_string().parse().ok());
    if share == Some(Percentage::NEVER) {
        report.add(format!("{path}.percentage"), "0% injects nothing", "write a share above 0");
    }
}

fn ramp(path: &str, spec: &RampSpec, rules: &[StepRule], report: &mut Report) -> Option<Ramp> {
    let at = |field: &str| format!("{path}.{field}");
    let stages = report.count_or(&at("stages"), spec.stages, 2..=100, defaults::RAMP_STAGES);
    let stages = u32::try_from(stages).ok()?;
    let over = report.required(&at("over"), spec.over.as_ref(), "write how long all stages take, such as over: 30s");
    let over = over.and_then(|value| bounded(&at("over"), value, Duration::ZERO, report));
    let shortest = STAGE_MIN * stages;
    if let Some(over) = over.filter(|over| *over < shortest) {
        let detail = format!("{} is too short for {stages} stages", format_duration(over));
        report.add(at("over"), detail, format!("write at least {}, or fewer stages", format_duration(shortest)));
    }
    let from = spec.from.as_ref().and_then(|value| report.percentage(&at("from"), value));
    if from == Some(Percentage::NEVER) {
        report.add(at("from"), "0% injects nothing", "write a share above 0, or remove it");
    }
    let least = rules.iter().min_by_key(|rule| rule.percentage);
    if let (Some(from), Some(rule)) = (from, least.filter(|rule| from > Some(rule.percentage))) {
        let detail = format!("{from} is above the {} of rule {:?}", rule.percentage, rule.name.as_str());
        report.add(at("from"), detail, format!("write at most {}", rule.percentage));
    }
    Some(Ramp { from, over: over?, stages })
}

/// Notes steps whose rules are in force for longer than any rule may live.
pub(super) fn ends_in_time(method: &[MethodStep], rollback: Duration, context: &Context<'_>, report: &mut Report) {
    let Some(longest) = context.limits.blast_radius.ttl_max else { return };
    for (index, step) in method.iter().enumerate() {
        let falls = if index + 1 == method.len() { rollback } else { Duration::ZERO };
        let lives = in_force(step) + falls;
        if lives > longest {
            let (lives, longest) = (format_duration(lives), format_duration(longest));
            let detail = format!("its rules are in force for {lives}, which exceeds limits.ttl_max {longest}");
            report.add(format!("spec.method[{index}].hold"), detail, "shorten the step, or raise the limit");
        }
    }
}
