//! What chance does to bytes: flipped bits, uneven sizes, garbage. All of it follows from the seed.

use std::num::NonZeroU64;

use rand::Rng;
use rand_pcg::Pcg32;
use squall_config::units::Percentage;

/// Makes random bytes and sizes for one faulted body or stream; how the bytes are cut into pieces makes no difference.
#[derive(Debug)]
pub struct Noise {
    generator: Pcg32,
}

impl Noise {
    /// The noise of this seed, as a plan's step gives it.
    pub fn new(seed: u64) -> Self {
        Self { generator: Pcg32::new(seed, 0) }
    }

    /// A size evenly from `middle - variation` to `middle + variation`, at least 1.
    pub fn size(&mut self, middle: NonZeroU64, variation: u64) -> NonZeroU64 {
        let span = u128::from(variation) * 2 + 1;
        let offset = (u128::from(self.generator.next_u64()) * span) >> 64;
        let size = u128::from(middle.get().saturating_sub(variation)) + offset;
        u64::try_from(size).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN)
    }

    /// Fills with bytes of every value.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.generator.fill_bytes(bytes);
    }

    /// Evenly from 0 to 1, neither included.
    fn unit(&mut self) -> f64 {
        (f64::from(self.generator.next_u32()) + 0.5) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Flips one bit in a share of the bytes that pass.
#[derive(Debug)]
pub struct BitFlips {
    noise: Noise,
    /// `ln(1 - share)`: what a byte left alone costs; minus infinity when none is.
    cost: f64,
    /// Bytes to leave alone before the next one.
    skip: u64,
}

impl BitFlips {
    /// Flips in the given share of bytes; each byte has the same chance, independent of the others.
    pub fn new(share: Percentage, seed: u64) -> Self {
        let share = f64::from(share.ppm()) / 1_000_000.0;
        let mut flips = Self { noise: Noise::new(seed), cost: (1.0 - share).ln(), skip: 0 };
        flips.skip = flips.draw_skip();
        flips
    }

    /// Alters what passes.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(byte) = usize::try_from(self.skip).ok().and_then(|skip| bytes.get_mut(at + skip)) {
            *byte ^= 1 << (self.noise.generator.next_u32() % 8);
            at += usize::try_from(self.skip).unwrap_or(usize::MAX) + 1;
            self.skip = self.draw_skip();
        }
        self.skip -= (bytes.len() - at) as u64;
    }

    /// How many bytes lie before the next one to alter: a geometric distribution, drawn by inversion.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative; `as` saturates")]
    fn draw_skip(&mut self) -> u64 {
        if self.cost == 0.0 {
            return u64::MAX;
        }
        // Half the range at most, so that sums of it and of lengths stay in range.
        ((self.noise.unit().ln() / self.cost) as u64).min(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(ppm: u32) -> Percentage {
        Percentage::from_ppm(ppm).unwrap()
    }

    fn flipped(ppm: u32, seed: u64, pieces: &[usize]) -> Vec<u8> {
        let mut flips = BitFlips::new(share(ppm), seed);
        let mut all = Vec::new();
        for piece in pieces {
            let mut bytes = vec![0; *piece];
            flips.apply(&mut bytes);
            all.extend(bytes);
        }
        all
    }

    #[test]
    fn the_share_of_flipped_bytes_is_right() {
        for (ppm, low, high) in [(1_000_000, 1_000_000, 1_000_000), (100_000, 99_000, 101_000), (100, 70, 130)] {
            let bytes = flipped(ppm, 7, &[1_000_000]);
            let count = bytes.iter().filter(|byte| **byte != 0).count();
            assert!((low..=high).contains(&count), "{ppm}: {count}");
            assert!(bytes.iter().all(|byte| byte.count_ones() <= 1));
        }
        assert!(flipped(0, 7, &[100_000]).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn sizes_reach_both_ends_and_no_further() {
        let mut noise = Noise::new(3);
        let sizes: Vec<u64> = (0..1_000).map(|_| noise.size(NonZeroU64::new(5).unwrap(), 2).get()).collect();
        assert_eq!((sizes.iter().min(), sizes.iter().max()), (Some(&3), Some(&7)));
        assert_eq!(noise.size(NonZeroU64::MIN, 0).get(), 1);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(seed: u64, ppm in 0..=1_000_000u32, sizes in prop::collection::vec(0usize..50, 0..20)) {
            let whole: usize = sizes.iter().sum();
            prop_assert_eq!(flipped(ppm, seed, &sizes), flipped(ppm, seed, &[whole]));
        }
    }
}
