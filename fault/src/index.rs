//! Finds the rules that a path can match without looking at the others.

use std::collections::{BTreeMap, HashMap};

use squall_config::model::Match;
use squall_config::pattern::Pattern;

/// Rules of one listener by what their path condition demands. Each rule is in exactly one place, and the places of
/// one path are walked merged, in the order of the rules; 10,000 rules for other paths cost one hash look-up.
#[derive(Debug, Default)]
pub(crate) struct PathIndex {
    /// Rules for one path alone.
    exact: HashMap<Box<str>, Vec<u16>>,
    /// Rules for a prefix (or the literal beginning of a glob), sorted by prefix.
    prefixes: Vec<PrefixNode>,
    /// Rules without a path condition, or with one that begins anyhow.
    anywhere: Vec<u16>,
}

#[derive(Debug)]
struct PrefixNode {
    prefix: Box<str>,
    /// The longest other prefix that begins this one.
    parent: Option<usize>,
    /// Rules of this prefix and of all its parents, in order.
    rules: Vec<u16>,
}

/// What a path must look like for a rule to match; necessary, not sufficient.
#[derive(Debug, PartialEq, Eq)]
enum Demand {
    Exact(String),
    Prefix(String),
    Anything,
}

impl Demand {
    fn of(matches: &Match) -> Self {
        match (&matches.path, &matches.grpc) {
            (Some(Pattern::Exact(path)), _) => Self::Exact(path.clone()),
            (Some(Pattern::Prefix(prefix)), _) => Self::prefix(prefix),
            (Some(Pattern::Glob(glob)), _) => {
                let text = glob.glob().glob();
                Self::prefix(&text[..text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len())])
            }
            (Some(Pattern::Regex(_)), _) => Self::Anything,
            (None, Some(grpc)) => match (&grpc.service, &grpc.method) {
                (Some(service), Some(method)) => Self::Exact(format!("/{service}/{method}")),
                (Some(service), None) => Self::Prefix(format!("/{service}/")),
                (None, _) => Self::Anything,
            },
            (None, None) => Self::Anything,
        }
    }

    fn prefix(text: &str) -> Self {
        if text.is_empty() { Self::Anything } else { Self::Prefix(text.to_owned()) }
    }
}

impl PathIndex {
    /// Indexes rules given in ascending order.
    pub(crate) fn new<'a>(rules: impl Iterator<Item = (u16, &'a Match)>) -> Self {
        let mut index = Self::default();
        let mut prefixes: BTreeMap<String, Vec<u16>> = BTreeMap::new();
        for (rule, matches) in rules {
            match Demand::of(matches) {
                Demand::Exact(path) => index.exact.entry(path.into()).or_default().push(rule),
                Demand::Prefix(prefix) => prefixes.entry(prefix).or_default().push(rule),
                Demand::Anything => index.anywhere.push(rule),
            }
        }
        for (prefix, rules) in prefixes {
            index.push_prefix(prefix, rules);
        }
        index
    }

    /// Prefixes come in ascending order, so the parent is the one before or one of its parents.
    fn push_prefix(&mut self, prefix: String, mut rules: Vec<u16>) {
        let parent = self.longest_prefix(self.prefixes.len().checked_sub(1), &prefix);
        if let Some(parent) = parent {
            rules.extend_from_slice(&self.prefixes[parent].rules);
            rules.sort_unstable();
        }
        self.prefixes.push(PrefixNode { prefix: prefix.into(), parent, rules });
    }

    /// The node, or the nearest of its parents, that begins `path`.
    fn longest_prefix(&self, mut node: Option<usize>, path: &str) -> Option<usize> {
        while let Some(at) = node {
            if path.starts_with(&*self.prefixes[at].prefix) {
                return node;
            }
            node = self.prefixes[at].parent;
        }
        None
    }

    /// The rules that this path can match, in ascending order.
    pub(crate) fn candidates(&self, path: &str) -> Candidates<'_> {
        // What begins `path` sorts at or before it, and everything between the two begins the same way: so all
        // prefixes of `path` are the last node at or before it or parents of that.
        let last = self.prefixes.partition_point(|node| *node.prefix <= *path).checked_sub(1);
        let prefixed = self.longest_prefix(last, path).map_or(&[][..], |node| &self.prefixes[node].rules);
        let exact = if self.exact.is_empty() { None } else { self.exact.get(path) };
        Candidates { lists: [exact.map_or(&[], Vec::as_slice), prefixed, &self.anywhere] }
    }
}

/// Merges ascending lists.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    lists: [&'a [u16]; 3],
}

impl Iterator for Candidates<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let (list, rule) =
            self.lists.iter().enumerate().filter_map(|(i, l)| l.first().map(|r| (i, *r))).min_by_key(|c| c.1)?;
        self.lists[list] = &self.lists[list][1..];
        Some(rule)
    }
}
