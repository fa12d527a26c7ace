//! Rules by the header value that they demand.

use std::collections::HashMap;

use http::header::{HeaderMap, HeaderName};

use crate::plan::RuleIndex;

/// So many names are looked up for each request at most; rules that demand others are found without an index.
pub(super) const NAMES_MAX: usize = 4;

/// Rules by name and value.
#[derive(Debug, Default)]
pub(super) struct Headers(Vec<(HeaderName, Values)>);

/// The rules that demand a value of one field.
#[derive(Debug, Default)]
struct Values {
    by_value: HashMap<String, Vec<RuleIndex>>,
    /// All of them, for requests that have the field more than once.
    all: Vec<RuleIndex>,
}

impl Headers {
    /// Adds a rule, which must be greater than those before; whether there was room for its name.
    pub(super) fn add(&mut self, name: &HeaderName, value: &str, rule: RuleIndex) -> bool {
        let at = match self.0.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None if self.0.len() == NAMES_MAX => return false,
            None => {
                self.0.push((name.clone(), Values::default()));
                self.0.len() - 1
            }
        };
        let values = &mut self.0[at].1;
        values.by_value.entry(value.to_owned()).or_default().push(rule);
        values.all.push(rule);
        true
    }

    /// For each name the rules that the request can match, in ascending order.
    pub(super) fn find<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a [RuleIndex]> {
        self.0.iter().filter_map(|(name, values)| {
            let mut found = headers.get_all(name).iter();
            match (found.next(), found.next()) {
                (None, _) => None,
                (Some(one), None) => {
                    let text = std::str::from_utf8(one.as_bytes()).ok()?;
                    values.by_value.get(text).map(Vec::as_slice)
                }
                (Some(_), Some(_)) => Some(&values.all[..]),
            }
        })
    }
}
