//! Which endpoint is next, among those that may be: pure, but for the turns that it moves on.

use std::cell::Cell;

/// What balancing keeps of one endpoint on one worker.
#[derive(Debug)]
pub(crate) struct Turn {
    weight: u32,
    /// Of the round robin: how much of its turn it has saved up.
    saved: Cell<i64>,
    /// Exchanges or connections that it has from this worker.
    pub(crate) open: Cell<u32>,
}

impl Turn {
    pub(crate) fn new(weight: u32) -> Self {
        debug_assert!(weight > 0, "validated");
        Self { weight, saved: Cell::new(0), open: Cell::new(0) }
    }
}

/// In turn, evenly interleaved by weight (the algorithm of nginx's upstream module: everyone saves its weight, and who has
/// saved most is taken and pays what all saved). Who may not be next saves nothing.
pub(crate) fn round_robin<'a>(turns: impl Iterator<Item = (usize, &'a Turn)>) -> Option<usize> {
    let (mut best, mut total): (Option<(usize, &Turn)>, i64) = (None, 0);
    for (index, turn) in turns {
        total += i64::from(turn.weight);
        turn.saved.set(turn.saved.get() + i64::from(turn.weight));
        if best.is_none_or(|(_, best)| turn.saved.get() > best.saved.get()) {
            best = Some((index, turn));
        }
    }
    let (index, turn) = best?;
    turn.saved.set(turn.saved.get() - total);
    Some(index)
}

/// The one of two, drawn by weight, that has less open for its weight; the first when it is the same, so that without load
/// the weights alone decide. `draw` gives a number below the one that it gets.
pub(crate) fn least_request<'a>(
    turns: impl Iterator<Item = (usize, &'a Turn)> + Clone,
    mut draw: impl FnMut(u64) -> u64,
) -> Option<usize> {
    let (first, one) = draw_one(turns.clone(), &mut draw)?;
    let Some((second, other)) = draw_one(turns.filter(|(index, _)| *index != first), &mut draw) else {
        return Some(first);
    };
    let cost = |turn: &Turn, against: &Turn| u64::from(turn.open.get()) * u64::from(against.weight);
    Some(if cost(other, one) < cost(one, other) { second } else { first })
}

fn draw_one<'a>(
    turns: impl Iterator<Item = (usize, &'a Turn)> + Clone,
    draw: &mut impl FnMut(u64) -> u64,
) -> Option<(usize, &'a Turn)> {
    let total: u64 = turns.clone().map(|(_, turn)| u64::from(turn.weight)).sum();
    if total == 0 {
        return None;
    }
    let mut left = draw(total);
    debug_assert!(left < total, "a draw is below its bound");
    turns.into_iter().find(|(_, turn)| {
        let is_here = left < u64::from(turn.weight);
        left = left.saturating_sub(u64::from(turn.weight));
        is_here
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(weights: &[u32]) -> Vec<Turn> {
        weights.iter().map(|weight| Turn::new(*weight)).collect()
    }

    fn in_turn(turns: &[Turn], n: usize) -> Vec<usize> {
        (0..n).filter_map(|_| round_robin(turns.iter().enumerate())).collect()
    }

    /// A draw that depends on nothing but its seed.
    fn draws(mut state: u64) -> impl FnMut(u64) -> u64 {
        move |bound| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        }
    }

    #[test]
    fn turns_are_even_and_interleaved_by_weight() {
        assert_eq!(in_turn(&turns(&[1]), 3), [0, 0, 0]);
        assert_eq!(in_turn(&turns(&[1, 1, 1]), 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(in_turn(&turns(&[5, 1, 1]), 7), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(round_robin(std::iter::empty()), None);
    }

    #[test]
    fn without_load_the_weights_decide_and_with_load_what_is_open() {
        let turns = turns(&[3, 1]);
        let mut draw = draws(7);
        let first = (0..10_000).filter(|_| least_request(turns.iter().enumerate(), &mut draw) == Some(0)).count();
        assert!((7_300..7_700).contains(&first), "{first}");
        turns[0].open.set(4);
        turns[1].open.set(1);
        assert!((0..100).all(|_| least_request(turns.iter().enumerate(), &mut draw) == Some(1)));
        turns[0].open.set(2);
        assert!((0..100).all(|_| least_request(turns.iter().enumerate(), &mut draw) == Some(0)));
    }

    proptest! {
        /// Over whole rounds everyone gets exactly its weight, and never far from it in between.
        #[test]
        fn round_robin_is_exact(weights in prop::collection::vec(1_u32..20, 1..8), rounds in 1_usize..4) {
            let total = weights.iter().sum::<u32>() as usize;
            let picks = in_turn(&turns(&weights), total * rounds);
            for (index, weight) in weights.iter().enumerate() {
                let mut n = 0;
                for (at, pick) in picks.iter().enumerate() {
                    n += usize::from(*pick == index);
                    let due = (at + 1) as f64 * f64::from(*weight) / total as f64;
                    prop_assert!((n as f64 - due).abs() <= weights.len() as f64, "{n} of {due}");
                }
                prop_assert_eq!(n, *weight as usize * rounds);
            }
        }

        /// Whoever may not be next is not, and the others share by weight; nobody starves afterwards.
        #[test]
        fn round_robin_skips_and_takes_back(weights in prop::collection::vec(1_u32..10, 2..6), out in 0_usize..6) {
            let (turns, out) = (turns(&weights), out % weights.len());
            let rest = || turns.iter().enumerate().filter(|(index, _)| *index != out);
            let total: u32 = rest().map(|(_, turn)| turn.weight).sum();
            let picks: Vec<_> = (0..total).filter_map(|_| round_robin(rest())).collect();
            prop_assert_eq!(picks.len(), total as usize);
            prop_assert!(!picks.contains(&out));
            let all: u32 = weights.iter().sum();
            prop_assert!(in_turn(&turns, all as usize * 2).contains(&out));
        }

        /// Steady load, each exchange as long as another: what is open follows the weights.
        #[test]
        fn least_request_levels_what_is_open(weights in prop::collection::vec(1_u32..5, 2..6), seed in any::<u64>()) {
            let (turns, mut draw) = (turns(&weights), draws(seed));
            let total: u32 = weights.iter().sum();
            for _ in 0..total * 50 {
                let pick = least_request(turns.iter().enumerate(), &mut draw).expect("there are endpoints");
                turns[pick].open.set(turns[pick].open.get() + 1);
            }
            for (turn, weight) in turns.iter().zip(&weights) {
                let due = *weight * 50;
                prop_assert!(turn.open.get().abs_diff(due) <= 15 + due / 5, "{} of {due}", turn.open.get());
            }
        }
    }
}
