//! How much of the same traffic rules can reach together.
//!
//! What one request can match is a set of rules of which no two exclude each other; so no request is reached by more than
//! the greatest sum over such sets. Three rules of which no two exclude each other need not have a request in common: what is
//! let through is within the limit, and what is refused almost always is not.

use crate::model::{Listener, Name, Rule};
use crate::report::Report;
use crate::units::Percentage;

use super::context::Context;

/// So many rules of a listener are compared with each other; of more the plain sum counts. A million comparisons of some
/// tens of nanoseconds.
const COMPARED_MAX: usize = 1000;

/// A search that takes more steps than this ends with what there might be: some tens of microseconds each.
const STEPS_MAX: usize = 5000;

/// A problem names no more rules than this.
const NAMED_MAX: usize = 5;

/// Whether a rule could do anything to some kind of the traffic of a listener.
type CanHit = fn(&Rule, &Listener) -> bool;

/// Each is faulted by rules of its own, and its share is a share of its own.
const KINDS: [(&str, CanHit); 4] = [
    ("requests", |rule, listener| rule.can_hit_http(listener.protocol)),
    ("connections", |rule, listener| rule.can_hit_tcp(listener.protocol)),
    ("tunnels", |rule, listener| rule.can_hit_tunnel(listener.protocol)),
    ("handshakes", |rule, listener| listener.ends_tls() && rule.can_hit_handshakes()),
];

/// Notes rules that can match the same traffic and together reach more of it than `limits.percentage_max`. Each set is noted
/// once, at the last of its rules. The list at `path` begins with rule `first`; what those before reach is not its problem.
pub(crate) fn union(rules: &[Rule], (path, first): (&str, usize), context: &Context<'_>, report: &mut Report) {
    let bounds = &context.limits.blast_radius;
    if bounds.percentage_max == Percentage::ALWAYS {
        return;
    }
    let mut noted: Vec<Vec<usize>> = Vec::new();
    for listener in context.listeners {
        for cluster in clusters(listener).filter(|cluster| !bounds.protected.has_cluster(cluster)) {
            for (kind, can_hit) in KINDS {
                let here = rules
                    .iter()
                    .enumerate()
                    .filter(|(_, rule)| rule.injects() && can_meet(rule, listener, cluster) && can_hit(rule, listener));
                let Some(mut crowd) = beyond(here.collect(), bounds.percentage_max) else { continue };
                crowd.sort_unstable();
                let place = crowd.last().and_then(|last| last.checked_sub(first)).map(|at| format!("{path}[{at}]"));
                // A rule that is beyond the limit alone has its own problem.
                if let Some(place) = place.filter(|_| crowd.len() > 1 && !noted.contains(&crowd)) {
                    note(&place, rules, &crowd, (listener, kind, bounds.percentage_max), report);
                    noted.push(crowd);
                }
            }
        }
    }
}

/// All that traffic of the listener can go to, each once.
fn clusters(listener: &Listener) -> impl Iterator<Item = &Name> {
    let others: std::collections::BTreeSet<&Name> = listener.server_names.clusters().collect();
    std::iter::once(&listener.cluster).chain(others.into_iter().filter(|other| **other != listener.cluster))
}

fn can_meet(rule: &Rule, listener: &Listener, cluster: &Name) -> bool {
    let matches = &rule.matches;
    matches.listener.as_ref().is_none_or(|name| *name == listener.name)
        && matches.direction.is_none_or(|direction| direction == listener.direction)
        && matches.cluster.as_ref().is_none_or(|name| name == cluster)
}

fn note(
    place: &str,
    rules: &[Rule],
    crowd: &[usize],
    (listener, kind, max): (&Listener, &str, Percentage),
    report: &mut Report,
) {
    let named = crowd.iter().rev().take(NAMED_MAX).rev();
    let named = named.map(|at| format!("{:?} ({})", rules[*at].name.as_str(), rules[*at].reach()));
    let mut named = named.collect::<Vec<_>>().join(", ");
    if crowd.len() > NAMED_MAX {
        named.push_str(&format!(" and {} before them", crowd.len() - NAMED_MAX));
    }
    let sum = crowd.iter().map(|at| u64::from(rules[*at].reach().ppm())).sum::<u64>().min(1_000_000);
    let sum = u32::try_from(sum).ok().and_then(Percentage::from_ppm).unwrap_or(Percentage::ALWAYS);
    let listener = listener.name.as_str();
    report.add(
        format!("{place}.percentage"),
        format!("together {named} can reach {sum} of the {kind} of listener {listener:?}, more than limits.percentage_max {max}"),
        "lower a percentage, let the matches exclude each other (as by path or method), disable one, try it with mode: shadow, \
         or raise the limit",
    );
}

/// Rules that may match the same, with a sum above `max`; `None` when there are none such.
fn beyond(mut rules: Vec<(usize, &Rule)>, max: Percentage) -> Option<Vec<usize>> {
    rules.retain(|(_, rule)| rule.reach() > Percentage::NEVER);
    // The greatest first, so that the first of a class is its greatest.
    rules.sort_by_key(|(_, rule)| std::cmp::Reverse(rule.reach()));
    let weights: Vec<u64> = rules.iter().map(|(_, rule)| u64::from(rule.reach().ppm())).collect();
    let max = u64::from(max.ppm());
    if weights.iter().sum::<u64>() <= max {
        return None;
    }
    if rules.len() > COMPARED_MAX {
        return Some(rules.iter().map(|(at, _)| *at).collect());
    }
    let can_meet = |a: usize, b: usize| !rules[a].1.matches.excludes(&rules[b].1.matches);
    let mut search = Search { together: Together::new(rules.len(), can_meet), weights, max, n_steps: 0 };
    let crowd = search.crowd(&Set::full(rules.len()), &[])?;
    Some(crowd.into_iter().map(|rule| rules[rule].0).collect())
}

/// Numbers of rules, as bits.
#[derive(Clone)]
struct Set(Vec<u64>);

impl Set {
    fn empty(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)])
    }

    fn full(n: usize) -> Self {
        let mut all = Self::empty(n);
        (0..n).for_each(|rule| all.add(rule));
        all
    }

    fn add(&mut self, rule: usize) {
        self.0[rule / 64] |= 1 << (rule % 64);
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    fn rules(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .enumerate()
            .flat_map(|(at, word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| at * 64 + bit))
    }
}

/// For each rule those that can match together with it.
struct Together(Vec<Set>);

impl Together {
    fn new(n: usize, can: impl Fn(usize, usize) -> bool) -> Self {
        let mut sets = vec![Set::empty(n); n];
        for a in 0..n {
            for b in (0..a).filter(|b| can(a, *b)) {
                sets[a].add(b);
                sets[b].add(a);
            }
        }
        Self(sets)
    }
}

/// Looks for rules that can match together, pair by pair, and whose sum is above the limit (branch and bound).
struct Search {
    together: Together,
    /// In descending order.
    weights: Vec<u64>,
    max: u64,
    n_steps: usize,
}

impl Search {
    /// Such a set of `chosen` and some of `candidates`, each of which can match together with all chosen ones. When that takes
    /// too long, the greatest sum that there might be counts.
    fn crowd(&mut self, candidates: &Set, chosen: &[usize]) -> Option<Vec<usize>> {
        let sum: u64 = chosen.iter().map(|rule| self.weights[*rule]).sum();
        if sum > self.max {
            return Some(chosen.to_vec());
        }
        // Those of one class exclude each other: of each class the greatest counts, which is its first.
        let classes = self.classes(candidates);
        let mut room = self.max - sum;
        let mut harmless = Set::empty(self.weights.len());
        let mut rest = Vec::new();
        for class in &classes {
            match room.checked_sub(self.weights[class[0]]) {
                Some(left) if rest.is_empty() => {
                    room = left;
                    class.iter().for_each(|rule| harmless.add(*rule));
                }
                _ => rest.extend_from_slice(class),
            }
        }
        if !rest.is_empty() {
            self.n_steps += 1;
            if self.n_steps > STEPS_MAX {
                return Some(chosen.iter().copied().chain(classes.iter().map(|class| class[0])).collect());
            }
        }
        // The harmless ones are not enough: any such set has one of the rest.
        for rule in rest {
            let fewer = harmless.and(&self.together.0[rule]);
            let crowd = self.crowd(&fewer, &[chosen, &[rule]].concat());
            if crowd.is_some() {
                return crowd;
            }
            harmless.add(rule);
        }
        None
    }

    fn classes(&self, candidates: &Set) -> Vec<Vec<usize>> {
        let mut classes: Vec<(Set, Vec<usize>)> = Vec::new();
        for rule in candidates.rules() {
            let class = match classes.iter().position(|(members, _)| !members.meets(&self.together.0[rule])) {
                Some(at) => at,
                None => {
                    classes.push((Set::empty(self.weights.len()), Vec::new()));
                    classes.len() - 1
                }
            };
            classes[class].0.add(rule);
            classes[class].1.push(rule);
        }
        classes.into_iter().map(|(_, members)| members).collect()
    }
}

#[cfg(test)]
#[path = "union_tests.rs"]
mod tests;
