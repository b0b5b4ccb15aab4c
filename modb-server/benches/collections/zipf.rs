//! Choices of which few are made often.

use crate::random::Random;

/// Numbers below `n` by Zipf's law with an exponent of 0.99, the small ones most often (Gray and others, 1994).
pub(crate) struct Zipf {
    n: f64,
    zeta: f64,
    eta: f64,
}

const THETA: f64 = 0.99;

impl Zipf {
    pub(crate) fn new(n: u64) -> Self {
        let zeta = |n: u64| (1..=n).map(|k| (k as f64).powf(-THETA)).sum::<f64>();
        let (all, two) = (zeta(n), zeta(2));
        let n = n as f64;
        Self { n, zeta: all, eta: (1.0 - (2.0 / n).powf(1.0 - THETA)) / (1.0 - two / all) }
    }

    pub(crate) fn next(&self, random: &mut Random) -> u64 {
        let u = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        match u * self.zeta {
            below if below < 1.0 => 0,
            below if below < 1.0 + 0.5f64.powf(THETA) => 1,
            _ => ((self.n * (self.eta * u - self.eta + 1.0).powf(1.0 / (1.0 - THETA))) as u64)
                .min(self.n as u64 - 1),
        }
    }
}
