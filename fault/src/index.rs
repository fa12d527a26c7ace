//! Finds the rules that a request can match without looking at the others.

mod headers;
mod paths;

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName};
use squall_config::model::{Match, ValueMatch};
use squall_config::pattern::Pattern;

use self::headers::{Headers, NAMES_MAX};
use self::paths::{Paths, Place};
use crate::plan::RuleIndex;

/// Rules of one listener by something that they demand: a path, its beginning, or the value of a header field. Each rule
/// is in exactly one place; the places that a request leads to are walked merged, in the order of the rules.
///
/// The rest, which demands none of these, is looked at for each request.
#[derive(Debug, Default)]
pub(crate) struct Index {
    paths: Paths,
    headers: Headers,
    anywhere: Vec<RuleIndex>,
}

/// What a request must look like for a rule to match; necessary, not sufficient.
#[derive(Debug, PartialEq, Eq)]
enum Demand<'a> {
    Path(String),
    Prefix(String),
    Header(&'a HeaderName, &'a str),
    Nothing,
}

impl<'a> Demand<'a> {
    fn of(matches: &'a Match) -> Self {
        match (&matches.path, &matches.grpc) {
            (Some(Pattern::Exact(path)), _) => Self::Path(path.clone()),
            (Some(Pattern::Prefix(prefix)), _) => Self::prefix(prefix, matches),
            (Some(Pattern::Glob(glob)), _) => {
                let text = glob.glob().glob();
                Self::prefix(&text[..text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len())], matches)
            }
            (None, Some(grpc)) => match (&grpc.service, &grpc.method) {
                (Some(service), Some(method)) => Self::Path(format!("/{service}/{method}")),
                (Some(service), None) => Self::Prefix(format!("/{service}/")),
                (None, _) => Self::header(matches),
            },
            (Some(Pattern::Regex(_)) | None, _) => Self::header(matches),
        }
    }

    /// Nearly all paths begin with a slash: that alone tells nothing.
    fn prefix(text: &str, matches: &'a Match) -> Self {
        if matches!(text, "" | "/") { Self::header(matches) } else { Self::Prefix(text.to_owned()) }
    }

    fn header(matches: &'a Match) -> Self {
        let exact = matches.headers.iter().find_map(|(name, value)| match value {
            ValueMatch::Pattern(Pattern::Exact(value)) => Some((name, value)),
            _ => None,
        });
        exact.map_or(Self::Nothing, |(name, value)| Self::Header(name, value))
    }
}

impl Index {
    /// Indexes rules given in ascending order.
    pub(crate) fn new<'a>(rules: impl Iterator<Item = (RuleIndex, &'a Match)>) -> Self {
        let (mut index, mut places) = (Self::default(), BTreeMap::<String, Place>::new());
        for (rule, matches) in rules {
            match Demand::of(matches) {
                Demand::Path(path) => places.entry(path).or_default().exact.push(rule),
                Demand::Prefix(prefix) => places.entry(prefix).or_default().prefixed.push(rule),
                Demand::Header(name, value) if index.headers.add(name, value, rule) => {}
                Demand::Header(..) | Demand::Nothing => index.anywhere.push(rule),
            }
        }
        index.paths = Paths::new(places);
        index
    }

    /// The rules that a request of this path, with these header fields, can match; in ascending order.
    pub(crate) fn candidates<'a>(&'a self, path: &str, headers: &'a HeaderMap) -> Candidates<'a> {
        let mut candidates = Candidates { lists: [&[]; LISTS_MAX], n_lists: 0 };
        let of_path = self.paths.find(path).into_iter();
        for list in of_path.chain([&self.anywhere[..]]).chain(self.headers.find(headers)).filter(|l| !l.is_empty()) {
            candidates.lists[candidates.n_lists] = list;
            candidates.n_lists += 1;
        }
        candidates
    }
}

/// Two of a path, the rest, and one for each name of a header field.
const LISTS_MAX: usize = 3 + NAMES_MAX;

/// Merges ascending lists.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    lists: [&'a [RuleIndex]; LISTS_MAX],
    n_lists: usize,
}

impl Iterator for Candidates<'_> {
    type Item = RuleIndex;

    fn next(&mut self) -> Option<RuleIndex> {
        let lists = &mut self.lists[..self.n_lists];
        let list = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first)
    }
}
