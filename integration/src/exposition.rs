//! Prometheus text, as numbers.

use std::collections::BTreeMap;

/// One sample.
#[derive(Debug, Clone)]
pub struct Sample {
    /// With suffixes (`_bucket`, `_sum`, `_count`).
    pub name: String,
    /// In any order.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// One answer of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// As they came.
    pub samples: Vec<Sample>,
    /// Kind of each family.
    pub kinds: BTreeMap<String, String>,
    /// Help of each family.
    pub help: BTreeMap<String, String>,
}

impl Exposition {
    /// Reads the text format 0.0.4.
    ///
    /// # Panics
    /// On a line that is not of it.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|l| !l.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("bad line {line:?}"));
                all.kinds.insert(name.to_owned(), kind.to_owned());
            } else if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                all.help.insert(name.to_owned(), help.to_owned());
            } else if !line.starts_with('#') {
                all.samples.push(Sample::parse(line));
            }
        }
        all
    }

    /// The sum of all samples of this name that carry these labels; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).map(|s| s.value).sum()
    }

    /// The samples of this name that carry these labels.
    pub fn matching<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> + 'a {
        self.samples
            .iter()
            .filter(move |s| s.name == name)
            .filter(move |s| labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|value| value == v)))
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let bad = || panic!("not a sample: {line:?}");
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(bad);
        let value = match value {
            "+Inf" => f64::INFINITY,
            other => other.parse().unwrap_or_else(|_| panic!("not a number: {line:?}")),
        };
        let Some((name, labels)) = series.split_once('{') else {
            return Self { name: series.to_owned(), labels: BTreeMap::new(), value };
        };
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("not a sample: {line:?}"));
        let labels = labels.split("\",").filter(|l| !l.is_empty()).map(|label| {
            let (key, value) = label.split_once("=\"").unwrap_or_else(|| panic!("not a label: {line:?}"));
            (key.to_owned(), value.trim_end_matches('"').to_owned())
        });
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}
