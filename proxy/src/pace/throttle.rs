//! A bound on bytes per second, kept as the moment until which time is paid for.

use std::time::{Duration, Instant};

use squall_config::units::ByteRate;

/// How much unused time may be caught up: small beside any measurement, larger than a late timer.
const BURST: Duration = Duration::from_millis(50);
/// Bytes pass in portions worth so much time, to bound the wake-ups to 100 per second.
const PORTION: Duration = Duration::from_millis(10);
const NANOS: u128 = 1_000_000_000;

/// Grants bytes at a rate that is exact over time: rounding never adds up to more.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    rate: ByteRate,
    /// All time before this is paid for by bytes that have passed. It begins without credit.
    paid_until: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: ByteRate, now: Instant) -> Self {
        Self { rate, paid_until: now }
    }

    pub(crate) fn rate(&self) -> ByteRate {
        self.rate
    }

    /// How many of `wanted` bytes may pass now; 0 when it is not worth while yet.
    pub(crate) fn allowance(&mut self, wanted: usize, now: Instant) -> usize {
        // A slow rate must still be able to save up for one byte.
        let burst = BURST.max(self.time_for(1));
        if let Some(earliest) = now.checked_sub(burst) {
            self.paid_until = self.paid_until.max(earliest);
        }
        let credit = self.bytes_in(now.saturating_duration_since(self.paid_until));
        if credit < self.portion(wanted) { 0 } else { credit.min(wanted) }
    }

    /// When [`Self::allowance`] will grant something of `wanted` bytes.
    pub(crate) fn ready_at(&self, wanted: usize) -> Instant {
        self.paid_until + self.time_for(self.portion(wanted))
    }

    /// Takes bytes that have passed.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.paid_until += self.time_for(bytes);
    }

    fn portion(&self, wanted: usize) -> usize {
        wanted.min(self.bytes_in(PORTION).max(1))
    }

    /// Rounded down.
    fn bytes_in(&self, time: Duration) -> usize {
        let bytes = u128::from(self.rate.bytes_per_second()) * time.as_nanos() / NANOS;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Rounded up, so that no rate is ever exceeded.
    fn time_for(&self, bytes: usize) -> Duration {
        let nanos = (bytes as u128 * NANOS).div_ceil(u128::from(self.rate.bytes_per_second()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u64, now: Instant) -> TokenBucket {
        TokenBucket::new(ByteRate::from_bytes_per_second(rate).unwrap(), now)
    }

    #[test]
    fn the_rate_is_exact_over_time() {
        for rate in [1, 7, 1_000, 65_537, 1 << 20, 10_000_000_000] {
            let start = Instant::now();
            let mut now = start;
            let mut bucket = bucket(rate, start);
            let mut passed = 0_u128;
            for _ in 0..1_000 {
                now = now.max(bucket.ready_at(65_536));
                let granted = bucket.allowance(65_536, now);
                assert!(granted > 0, "nothing at the promised time, rate {rate}");
                bucket.spend(granted);
                passed += granted as u128;
            }
            let most = u128::from(rate) * (now - start).as_nanos() / NANOS;
            assert!(passed <= most + 1 && passed * 1_000 >= most * 999, "rate {rate}: {passed} of {most}");
        }
    }

    #[test]
    fn silence_saves_up_no_more_than_the_burst() {
        let start = Instant::now();
        let mut bucket = bucket(1_000_000, start);
        assert_eq!(bucket.allowance(1 << 20, start + Duration::from_secs(60)), 50_000);
    }
}
