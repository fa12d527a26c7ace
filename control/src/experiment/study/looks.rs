//! What good answers of a route look like, so that one that looks otherwise is known.

/// So many shapes or sizes are counted; whatever makes up a hundredth is among them.
const KINDS_MAX: usize = 128;

/// What is rarer is unusual.
const USUAL: u64 = 100;

/// Of fewer good answers nothing is known.
const ANSWERS_MIN: u64 = 20;

/// The size of an answer is unusual from so many doublings on.
const CLASSES_APART: u8 = 2;

/// What good answers of a route looked like.
#[derive(Debug, Default)]
pub(super) struct Looks {
    answers: u64,
    shapes: Tally<u64>,
    sizes: Tally<u8>,
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Of status, media type and names of header fields.
    pub(super) shape: u64,
    /// The bits of the number of its bytes.
    size: u8,
}

impl Look {
    /// Of an answer with this shape and so many bytes.
    pub(super) fn new(shape: u64, bytes: u64) -> Self {
        let bits = u64::BITS - bytes.leading_zeros();
        Self { shape, size: u8::try_from(bits).unwrap_or(u8::MAX) }
    }
}

impl Looks {
    /// A good answer.
    pub(super) fn add(&mut self, look: Look) {
        self.answers += 1;
        self.shapes.add(look.shape);
        self.sizes.add(look.size);
    }

    /// Whether nearly no good answer looks like this one, or has about its size.
    pub(super) fn is_unusual(&self, look: Look) -> bool {
        let usual = |count: u64| count * USUAL >= self.answers;
        let knows_shape = self.shapes.0.iter().any(|(shape, count)| usual(*count) && *shape == look.shape);
        let is_near = |size: u8| size.abs_diff(look.size) < CLASSES_APART;
        let knows_size = self.sizes.0.iter().any(|(size, count)| usual(*count) && is_near(*size));
        self.answers >= ANSWERS_MIN && !(knows_shape && knows_size)
    }
}

/// Counts of the most frequent things. When there is no room the rarest makes place, and leaves its count to the new one, so
/// that no count is too low (Metwally, Agrawal and El Abbadi, "Efficient computation of frequent and top-k elements", 2005).
#[derive(Debug)]
struct Tally<T>(Vec<(T, u64)>);

impl<T> Default for Tally<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Tally<T> {
    fn add(&mut self, thing: T) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == thing) {
            *count += 1;
        } else if self.0.len() < KINDS_MAX {
            self.0.push((thing, 1));
        } else if let Some(rarest) = self.0.iter_mut().min_by_key(|(_, count)| *count) {
            *rarest = (thing, rarest.1 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_shape_or_size_is_unusual_and_what_is_not_rare_is_not() {
        let mut looks = Looks::default();
        let (usual, other) = (Look::new(1, 1_000), Look::new(2, 1_000));
        (0..19).for_each(|_| looks.add(usual));
        assert!(!looks.is_unusual(other), "of too few answers nothing is known");
        (0..980).for_each(|_| looks.add(usual));
        assert!(looks.is_unusual(other) && !looks.is_unusual(usual));
        looks.add(other);
        assert!(looks.is_unusual(other), "one of a thousand");
        (0..20).for_each(|_| looks.add(other));
        assert!(!looks.is_unusual(other));
        for (bytes, is_unusual) in [(0, true), (100, true), (300, false), (2_000, false), (5_000, true)] {
            assert_eq!(looks.is_unusual(Look::new(1, bytes)), is_unusual, "{bytes} bytes");
        }
    }

    #[test]
    fn what_is_frequent_is_counted_among_any_number_of_rare_ones() {
        let mut looks = Looks::default();
        for n in 0..100_000 {
            looks.add(Look::new(if n % 50 == 49 { 7 } else { 1_000 + n }, 10));
        }
        assert!(!looks.is_unusual(Look::new(7, 10)));
        assert_eq!(looks.shapes.0.len(), KINDS_MAX);
    }
}
