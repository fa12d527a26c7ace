//! Rules by the paths and prefixes that they demand.

use std::collections::BTreeMap;

use crate::plan::RuleIndex;

/// A radix tree of paths and prefixes, so that a path that begins like no rule's is done with after the first bytes that
/// differ, however many rules there are.
#[derive(Debug, Default)]
pub(super) struct Paths {
    root: Node,
}

/// The rules that demand one text.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// As the whole path.
    pub(super) exact: Vec<RuleIndex>,
    /// As its beginning.
    pub(super) prefixed: Vec<RuleIndex>,
}

/// All paths that begin with the labels from the root to here.
#[derive(Debug, Default)]
struct Node {
    label: Box<[u8]>,
    /// Rules for this path alone.
    exact: Vec<RuleIndex>,
    /// Rules for this prefix (or the literal beginning of a glob) and for all that begin it, in order.
    prefixed: Vec<RuleIndex>,
    /// Sorted by the first byte of their labels, in which they differ.
    children: Vec<(u8, Node)>,
}

impl Paths {
    /// Rules by the text that they demand, each list in ascending order.
    pub(super) fn new(places: BTreeMap<String, Place>) -> Self {
        let places: Vec<_> = places.into_iter().map(|(text, place)| (text.into_bytes(), place)).collect();
        Self { root: Node::new(0, 0, &places, &[]) }
    }

    /// The rules for this path alone, and those for a beginning of it; both in ascending order.
    pub(super) fn find(&self, path: &str) -> [&[RuleIndex]; 2] {
        let (mut node, mut rest) = (&self.root, path.as_bytes());
        while let Some(child) = rest.first().and_then(|byte| node.child(*byte)) {
            let Some(after) = rest.strip_prefix(&*child.label) else { break };
            (node, rest) = (child, after);
        }
        [if rest.is_empty() { &node.exact } else { &[] }, &node.prefixed]
    }
}

impl Node {
    /// The node of what all `places` begin with, labelled with its bytes from `from` to `to`; its prefixes begin with
    /// those of its parent. `places` are sorted.
    fn new(from: usize, to: usize, places: &[(Vec<u8>, Place)], parent: &[RuleIndex]) -> Self {
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
