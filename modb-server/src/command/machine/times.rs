//! A histogram of how long something took: buckets whose bounds grow with the value. Pure.

/// Eight buckets for each doubling: a value is known to an eighth of itself.
const PER_DOUBLING: u32 = 8;
const BITS: u32 = PER_DOUBLING.trailing_zeros();

/// Up to 2^39 ns, some nine minutes; longer ones are counted as that.
const DOUBLINGS: u32 = 37;

/// How many buckets there are.
pub(crate) const BUCKETS: usize = (DOUBLINGS * PER_DOUBLING) as usize;

/// The bucket of a time in nanoseconds.
pub(crate) fn bucket(nanos: u64) -> usize {
    // Below eight the buckets are the values themselves.
    let doubling = (nanos | u64::from(PER_DOUBLING - 1)).ilog2();
    let shift = doubling.saturating_sub(BITS);
    let within = (nanos >> shift) as usize;
    // The topmost of the bits that `within` keeps is the same in a whole doubling, but in the first.
    ((shift * PER_DOUBLING) as usize + within).min(BUCKETS - 1)
}

/// The longest time of a bucket, in nanoseconds.
fn longest(bucket: usize) -> u64 {
    let (bucket, per_doubling) = (bucket as u64, u64::from(PER_DOUBLING));
    if bucket < 2 * per_doubling {
        return bucket;
    }
    let shift = bucket / per_doubling - 1;
    ((bucket - shift * per_doubling + 1) << shift) - 1
}

/// How many took how long.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<u64>);

impl Times {
    /// Adds the counts of all buckets.
    pub(crate) fn add(&mut self, counts: impl Iterator<Item = u64>) {
        self.0.resize(BUCKETS, 0);
        for (sum, count) in self.0.iter_mut().zip(counts) {
            *sum += count;
        }
    }

    /// Takes off what was counted before.
    pub(crate) fn take_off(&mut self, before: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&before.0) {
            *sum = sum.saturating_sub(*count);
        }
    }

    /// How many were timed.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time that `percent` of all did not exceed, in microseconds.
    pub fn percentile_us(&self, percent: f64) -> f64 {
        let wanted = (self.count() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return longest(bucket) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// Pairs of a bound in microseconds and how many took at most that long; bounds double, and one at which no more
    /// were than at the one before is left out.
    pub fn doubling_us(&self) -> Vec<(u64, u64)> {
        /// About a microsecond, and a bound of buckets.
        const FIRST_NANOS: u64 = 1024;
        let mut pairs: Vec<(u64, u64)> = Vec::new();
        let (mut bound, mut seen) = (FIRST_NANOS, 0);
        for (bucket, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            while longest(bucket) > bound {
                bound *= 2;
            }
            seen += count;
            match pairs.last_mut() {
                Some((last, so_far)) if *last == bound / 1000 => *so_far = seen,
                _ => pairs.push((bound / 1000, seen)),
            }
        }
        pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap_and_hold_an_eighth() {
        let mut last = 0;
        for nanos in (0..100_000_u64).chain((100_000..1 << 36).step_by(12_345_677)) {
            let bucket = bucket(nanos);
            assert!(bucket == last || bucket == last + 1 || nanos > 100_000, "{nanos}");
            assert!(longest(bucket) >= nanos && longest(bucket) <= nanos + nanos / 8, "{nanos}");
            last = bucket;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_and_bounds_are_those_of_the_values() {
        let mut counts = vec![0; BUCKETS];
        for n in 1..=1000_u64 {
            counts[bucket(n * 1000)] += 1;
        }
        let mut times = Times::default();
        times.add(counts.iter().copied());
        for (percent, exact) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1000.0)] {
            let found = times.percentile_us(percent);
            assert!((exact..exact * 1.13).contains(&found), "{percent}: {found}");
        }
        let bounds = times.doubling_us();
        assert_eq!((bounds[0], bounds[1], bounds.last()), ((1, 1), (2, 2), Some(&(1048, 1000))));
        let all = times.clone();
        times.take_off(&all);
        assert_eq!((times.count(), times.percentile_us(50.0), times.doubling_us()), (0, 0.0, Vec::new()));
    }
}
