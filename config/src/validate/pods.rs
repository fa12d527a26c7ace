//! Pods of a cluster: selectors by the rules of Kubernetes.

use crate::model::{LabelCondition, Name, Pods, Selector};
use crate::spec::{LabelConditionSpec, LabelSelectorSpec, PodsSpec};
use crate::units::Percentage;

use crate::report::Report;

/// Nobody reads a selector of more.
const CONDITIONS_MAX: usize = 100;
/// The longest prefix of a label's name: a DNS name.
const PREFIX_LENGTH_MAX: usize = 253;

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

const OPERATORS: [(&str, Operator); 4] = [
    ("In", Operator::In),
    ("NotIn", Operator::NotIn),
    ("Exists", Operator::Exists),
    ("DoesNotExist", Operator::DoesNotExist),
];

pub(crate) fn pods(path: &str, spec: &PodsSpec, report: &mut Report) -> Pods {
    let selector = spec.selector.as_ref().map(|spec| selector(&format!("{path}.selector"), spec, report));
    let percentage = spec.percentage.as_ref();
    let percentage = percentage.and_then(|value| report.percentage(&format!("{path}.percentage"), value));
    Pods { selector: selector.unwrap_or_default(), percentage: percentage.unwrap_or(Percentage::ALWAYS) }
}

fn selector(path: &str, spec: &LabelSelectorSpec, report: &mut Report) -> Selector {
    let n = spec.match_labels.len() + spec.match_expressions.len();
    if n > CONDITIONS_MAX {
        report.add(path, format!("{n} conditions are too many"), format!("write at most {CONDITIONS_MAX}"));
    }
    let mut conditions = Vec::new();
    for (key, value) in &spec.match_labels {
        let path = format!("{path}.matchLabels.{key}");
        is_key(&path, key, report);
        is_value(&path, value, report);
        conditions.push(LabelCondition::In(key.clone(), vec![value.clone()]));
    }
    let expressions = spec.match_expressions.iter().enumerate();
    conditions.extend(
        expressions.filter_map(|(at, spec)| condition(&format!("{path}.matchExpressions[{at}]"), spec, report)),
    );
    Selector(conditions)
}

fn condition(path: &str, spec: &LabelConditionSpec, report: &mut Report) -> Option<LabelCondition> {
    is_key(&format!("{path}.key"), &spec.key, report);
    let at = format!("{path}.operator");
    let operator = report.required(&at, spec.operator.as_ref(), "write In, NotIn, Exists or DoesNotExist")?;
    let operator = report.word(&at, operator, &OPERATORS)?;
    let takes_values = matches!(operator, Operator::In | Operator::NotIn);
    let at = format!("{path}.values");
    match (takes_values, spec.values.is_empty()) {
        (true, true) => report.add(&at, "missing", "write at least one value, or use Exists or DoesNotExist"),
        (false, false) => report.add(&at, "this operator takes no values", "remove them, or use In or NotIn"),
        _ => {}
    }
    for (index, value) in spec.values.iter().enumerate() {
        is_value(&format!("{at}[{index}]"), value, report);
    }
    let (key, values) = (spec.key.clone(), spec.values.clone());
    Some(match operator {
        Operator::In => LabelCondition::In(key, values),
        Operator::NotIn => LabelCondition::NotIn(key, values),
        Operator::Exists => LabelCondition::Exists(key),
        Operator::DoesNotExist => LabelCondition::DoesNotExist(key),
    })
}

/// Notes what cannot be the name of a label: an optional DNS name and `/`, and at most 63 characters.
fn is_key(path: &str, key: &str, report: &mut Report) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_dns = |prefix: &str| {
        !prefix.is_empty()
            && prefix.len() <= PREFIX_LENGTH_MAX
            && prefix.split('.').all(|part| {
                let is_edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
                let bytes = part.as_bytes();
                let is_inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
                is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(is_inner)
            })
    };
    if name.is_empty() || !is_label_text(name) || !prefix.is_none_or(is_dns) {
        report.add(path, format!("{key:?} is not the name of a label"), "write one such as app or example.com/app");
    }
}

fn is_value(path: &str, value: &str, report: &mut Report) {
    if !value.is_empty() && !is_label_text(value) {
        let hint = "write at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends";
        report.add(path, format!("{value:?} is not the value of a label"), hint);
    }
}

fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_inner = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    bytes.len() <= Name::LENGTH_MAX && is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(is_inner)
}
