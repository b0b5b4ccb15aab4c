//! Random keys: evenly spread, or by Zipf's law. Pure.

/// A small fast generator (SplitMix64; Steele, Lea and Flood 2014). Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// The same `seed` gives the same numbers.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly below `bound`, by multiplication instead of division (Lemire 2019, its bias left in: below
    /// 2^-32 for the key counts of a benchmark).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Evenly from 0 up to, not including, 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Which keys are used how often.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    /// All alike.
    Uniform { count: u64 },
    /// The key of rank k with a weight of k^-s: few keys get most of the requests.
    Zipf(Zipf),
}

impl Keys {
    /// `count` keys (at least one); `skew` 0 is uniform, 0.99 is what YCSB uses.
    pub(super) fn new(count: u64, skew: f64) -> Self {
        let count = count.max(1);
        if skew > 0.0 { Self::Zipf(Zipf::new(count, skew)) } else { Self::Uniform { count } }
    }

    /// The number of the next key, from 0.
    pub(super) fn next(&self, rng: &mut Rng) -> u64 {
        match self {
            Self::Uniform { count } => rng.below(*count),
            Self::Zipf(zipf) => zipf.next(rng),
        }
    }
}

/// Zipf's distribution by rejection-inversion: constant time and memory for any number of keys.
///
/// Source: Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
/// distributions", 1996. Names as there.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    count: f64,
    skew: f64,
    h_of_first: f64,
    h_of_count: f64,
    accept: f64,
}

impl Zipf {
    fn new(count: u64, skew: f64) -> Self {
        let mut zipf = Self { count: count as f64, skew, h_of_first: 0.0, h_of_count: 0.0, accept: 0.0 };
        zipf.h_of_first = zipf.h(1.5) - 1.0;
        zipf.h_of_count = zipf.h(zipf.count + 0.5);
        zipf.accept = 2.0 - zipf.h_inverse(zipf.h(2.5) - 2f64.powf(-skew));
        zipf
    }

    /// The integral of x^-s.
    fn h(&self, x: f64) -> f64 {
        let log_x = x.ln();
        expm1_over((1.0 - self.skew) * log_x) * log_x
    }

    fn h_inverse(&self, x: f64) -> f64 {
        let t = (x * (1.0 - self.skew)).max(-1.0);
        (ln1p_over(t) * x).exp()
    }

    fn next(&self, rng: &mut Rng) -> u64 {
        loop {
            let u = self.h_of_count + rng.fraction() * (self.h_of_first - self.h_of_count);
            let x = self.h_inverse(u);
            let k = x.round().clamp(1.0, self.count);
            if k - x <= self.accept || u >= self.h(k + 0.5) - (-self.skew * k.ln()).exp() {
                return k as u64 - 1;
            }
        }
    }
}

/// (e^x - 1) / x, also near 0.
fn expm1_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.exp_m1() / x } else { 1.0 + x / 2.0 }
}

/// ln(1 + x) / x, also near 0.
fn ln1p_over(x: f64) -> f64 {
    if x.abs() > 1e-8 { x.ln_1p() / x } else { 1.0 - x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(keys: &Keys, count: usize, draws: usize) -> Vec<f64> {
        let mut rng = Rng::new(7);
        let mut counts = vec![0.0; count];
        (0..draws).for_each(|_| counts[keys.next(&mut rng) as usize] += 1.0);
        counts
    }

    #[test]
    fn uniform_keys_are_used_alike() {
        let counts = counts(&Keys::new(10, 0.0), 10, 100_000);
        assert!(counts.iter().all(|&n| (9_000.0..11_000.0).contains(&n)), "{counts:?}");
    }

    #[test]
    fn skewed_keys_follow_zipf() {
        for skew in [0.5, 0.99, 1.0, 1.5] {
            let draws = 200_000;
            let counts = counts(&Keys::new(50, skew), 50, draws);
            let total: f64 = (1..=50).map(|k| f64::from(k).powf(-skew)).sum();
            for rank in [1, 2, 5, 20, 50] {
                let expected = draws as f64 * f64::from(rank).powf(-skew) / total;
                let got = counts[rank as usize - 1];
                // Five standard deviations.
                assert!(
                    (got - expected).abs() < 5.0 * expected.sqrt(),
                    "skew {skew} rank {rank}: {got} {expected}"
                );
            }
        }
    }

    #[test]
    fn one_key_is_enough() {
        assert_eq!(counts(&Keys::new(1, 0.0), 1, 10), [10.0]);
        assert_eq!(counts(&Keys::new(1, 0.99), 1, 10), [10.0]);
        assert_eq!(counts(&Keys::new(0, 0.0), 1, 10), [10.0]);
    }
}
