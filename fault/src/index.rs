//! Finds the rules that a path can match without looking at the others.

use std::collections::BTreeMap;

use squall_config::model::Match;
use squall_config::pattern::Pattern;

/// Rules of one listener by what their path condition demands. Each rule is in exactly one place, and the places of
/// one path are walked merged, in the order of the rules.
///
/// Paths and prefixes make up one radix tree, so that a request whose path begins like no rule's is done with after
/// the first bytes that differ, however many rules there are.
#[derive(Debug, Default)]
pub(crate) struct PathIndex {
    root: Node,
    /// Rules without a path condition, or with one that begins anyhow.
    anywhere: Vec<u16>,
}

/// All paths that begin with the labels from the root to here.
#[derive(Debug, Default)]
struct Node {
    label: Box<[u8]>,
    /// Rules for this path alone.
    exact: Vec<u16>,
    /// Rules for this prefix (or the literal beginning of a glob) and for all that begin it, in order.
    prefixed: Vec<u16>,
    /// Sorted by the first byte of their labels, in which they differ.
    children: Vec<(u8, Node)>,
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
        let (mut places, mut anywhere) = (BTreeMap::<String, Place>::new(), Vec::new());
        for (rule, matches) in rules {
            match Demand::of(matches) {
                Demand::Exact(path) => places.entry(path).or_default().exact.push(rule),
                Demand::Prefix(prefix) => places.entry(prefix).or_default().prefixed.push(rule),
                Demand::Anything => anywhere.push(rule),
            }
        }
        let places: Vec<_> = places.into_iter().map(|(text, place)| (text.into_bytes(), place)).collect();
        Self { root: Node::new(0, 0, &places, &[]), anywhere }
    }

    /// The rules that this path can match, in ascending order.
    pub(crate) fn candidates(&self, path: &str) -> Candidates<'_> {
        let (mut node, mut rest) = (&self.root, path.as_bytes());
        while let Some(child) = rest.first().and_then(|byte| node.child(*byte)) {
            let Some(after) = rest.strip_prefix(&*child.label) else { break };
            (node, rest) = (child, after);
        }
        let exact = if rest.is_empty() { &node.exact[..] } else { &[] };
        Candidates { lists: [exact, &node.prefixed, &self.anywhere] }
    }
}

/// The rules of one path or prefix.
#[derive(Debug, Default)]
struct Place {
    exact: Vec<u16>,
    prefixed: Vec<u16>,
}

impl Node {
    /// The node of what all `places` begin with, labelled with its bytes from `from` to `to`; its prefixes begin with
    /// those of its parent. `places` are sorted.
    fn new(from: usize, to: usize, places: &[(Vec<u8>, Place)], parent: &[u16]) -> Self {
        let (own, below) = places.split_at(usize::from(places.first().is_some_and(|(text, _)| text.len() == to)));
        let mut node =
            Self { label: places.first().map_or(&[][..], |(text, _)| &text[from..to]).into(), ..Self::default() };
        node.prefixed.extend_from_slice(parent);
        for (_, place) in own {
            node.exact.extend_from_slice(&place.exact);
            node.prefixed.extend_from_slice(&place.prefixed);
            node.prefixed.sort_unstable();
        }
        for group in below.chunk_by(|a, b| a.0[to] == b.0[to]) {
            let (Some((first, _)), Some((last, _))) = (group.first(), group.last()) else { continue };
            // Sorted: what the first and the last have in common, all between them have too.
            let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            node.children.push((first[to], Self::new(to, common, group, &node.prefixed)));
        }
        node
    }

    fn child(&self, byte: u8) -> Option<&Self> {
        match &self.children[..] {
            [(only, child)] => (*only == byte).then_some(child),
            children => children.binary_search_by_key(&byte, |(first, _)| *first).ok().map(|at| &children[at].1),
        }
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
