//! Which key the next request is about. Pure, and repeatable from a seed.
//!
//! Invariants: every key drawn is below the size of the key space; drawing allocates nothing.

/// A small generator of random numbers: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014). Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64 bits.
    #[inline]
    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. The bias is below `bound` / 2^64.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [0, 1).
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

/// How the requests spread over the key space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Distribution {
    /// Every key alike.
    Uniform,
    /// Key k is drawn in proportion to 1 / (k + 1)^exponent: key 0 is the hottest.
    Zipf {
        /// Above 0; the larger, the hotter the hot keys. YCSB takes 0.99.
        exponent: f64,
    },
}

/// Draws keys.
#[derive(Clone, Debug)]
pub(super) enum Keys {
    Uniform {
        count: u64,
    },
    Zipf(Zipf),
    /// From `next` on in steps of `step`: what fills a key space once.
    Sequential {
        next: u64,
        step: u64,
    },
}

impl Keys {
    /// Keys 0 to `count` - 1; `count` is not 0.
    pub(super) fn new(count: u64, distribution: Distribution) -> Self {
        match distribution {
            Distribution::Uniform => Self::Uniform { count },
            Distribution::Zipf { exponent } => Self::Zipf(Zipf::new(count, exponent)),
        }
    }

    #[inline]
    pub(super) fn draw(&mut self, rng: &mut Rng) -> u64 {
        match self {
            Self::Uniform { count } => rng.below(*count),
            Self::Zipf(zipf) => zipf.draw(rng),
            Self::Sequential { next, step } => {
                let key = *next;
                *next += *step;
                key
            }
        }
    }
}

/// Zipf's distribution by rejection-inversion: constant memory and expected constant time, whatever the size
/// of the key space (Hörmann and Derflinger, "Rejection-inversion to generate variates from monotone discrete
/// distributions", 1996).
///
/// The bars of the distribution, 1/k^s, lie under a curve whose integral H is easy to invert: a uniform number
/// goes through the inverse, is rounded to a bar, and is kept if it fell under that bar.
#[derive(Clone, Debug)]
pub(super) struct Zipf {
    count: f64,
    exponent: f64,
    /// H where the first bar begins, H(1.5) - 1.
    first: f64,
    /// H where the last bar ends.
    last: f64,
    /// A draw this close above its bar's centre is under the bar in any case.
    always_accepted: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Self {
        let mut zipf = Self { count: count as f64, exponent, first: 0.0, last: 0.0, always_accepted: 0.0 };
        zipf.first = zipf.integral(1.5) - 1.0;
        zipf.last = zipf.integral(zipf.count + 0.5);
        zipf.always_accepted = 2.0 - zipf.integral_inverse(zipf.integral(2.5) - zipf.bar(2.0));
        zipf
    }

    #[inline]
    fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.last + rng.unit() * (self.first - self.last);
            let x = self.integral_inverse(area);
            let rank = x.round().clamp(1.0, self.count);
            if rank - x <= self.always_accepted || area >= self.integral(rank + 0.5) - self.bar(rank) {
                return rank as u64 - 1;
            }
        }
    }

    /// 1 / x^s.
    fn bar(&self, x: f64) -> f64 {
        (-self.exponent * x.ln()).exp()
    }

    /// H(x), the integral of 1 / t^s from 1 to x: (x^(1-s) - 1) / (1-s), written so that s near 1 keeps its
    /// digits.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        let scaled = (1.0 - self.exponent) * log;
        log * if scaled.abs() > NEAR_ZERO { scaled.exp_m1() / scaled } else { 1.0 + scaled / 2.0 }
    }

    /// The x where H is `area`.
    fn integral_inverse(&self, area: f64) -> f64 {
        let scaled = (area * (1.0 - self.exponent)).max(-1.0);
        let log = area * if scaled.abs() > NEAR_ZERO { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
        log.exp()
    }
}

/// Below it, two terms of the series are exact to the last digit of a double.
const NEAR_ZERO: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert, proptest};

    const DRAWS: usize = 200_000;

    fn counts(keys: u64, distribution: Distribution) -> Vec<u64> {
        let (mut keys_of, mut rng) = (Keys::new(keys, distribution), Rng::new(7));
        let mut counts = vec![0; keys as usize];
        (0..DRAWS).for_each(|_| counts[keys_of.draw(&mut rng) as usize] += 1);
        counts
    }

    /// Chi-squared per degree of freedom: about 1 if the counts are from these weights.
    fn misfit(counts: &[u64], weight: impl Fn(usize) -> f64) -> f64 {
        let total: f64 = (0..counts.len()).map(&weight).sum();
        let terms = counts.iter().enumerate().map(|(key, &count)| {
            let expected = DRAWS as f64 * weight(key) / total;
            (count as f64 - expected).powi(2) / expected
        });
        terms.sum::<f64>() / (counts.len() - 1) as f64
    }

    #[test]
    fn uniform_keys_are_drawn_alike() {
        let fit = misfit(&counts(100, Distribution::Uniform), |_| 1.0);
        assert!((0.6..1.5).contains(&fit), "{fit}");
    }

    #[test]
    fn zipf_keys_follow_their_law_on_both_sides_of_one_and_at_it() {
        for exponent in [0.5, 0.99, 1.0, 1.0 + 1e-12, 2.0] {
            let fit = misfit(&counts(100, Distribution::Zipf { exponent }), |key| {
                (key as f64 + 1.0).powf(-exponent)
            });
            assert!((0.6..1.5).contains(&fit), "exponent {exponent}: {fit}");
        }
    }

    #[test]
    fn steps_of_all_workers_fill_the_key_space_once() {
        let mut rng = Rng::new(1);
        let mut drawn: Vec<u64> = (0..3)
            .flat_map(|worker| {
                let mut keys = Keys::Sequential { next: worker, step: 3 };
                (0..4).map(|_| keys.draw(&mut rng)).collect::<Vec<_>>()
            })
            .collect();
        drawn.sort_unstable();
        assert_eq!(drawn, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_repeats_its_keys_and_another_does_not() {
        let keys = |seed| {
            let (mut keys, mut rng) = (Keys::new(1 << 40, Distribution::Uniform), Rng::new(seed));
            (0..8).map(|_| keys.draw(&mut rng)).collect::<Vec<_>>()
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
    }

    proptest! {
        #[test]
        fn no_key_is_outside_the_key_space(
            count in 1u64..=1 << 50,
            exponent in 0.01f64..5.0,
            seed: u64,
        ) {
            let mut rng = Rng::new(seed);
            for distribution in [Distribution::Uniform, Distribution::Zipf { exponent }] {
                let mut keys = Keys::new(count, distribution);
                for _ in 0..50 {
                    prop_assert!(keys.draw(&mut rng) < count);
                }
            }
        }
    }
}
