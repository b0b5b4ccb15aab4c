//! Servers that are measured in turns, and what one takes beside another in the same round.

use std::fmt;

use super::report::median;
use super::servers::Kind;
use crate::failure::Result;

/// So many samples of each kind. Each is first in its turn: what the machine does at the time meets all alike.
pub(super) fn in_turns<T>(
    kinds: &[Kind],
    rounds: usize,
    mut sample: impl FnMut(Kind) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut samples: Vec<Vec<T>> = kinds.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for at in 0..kinds.len() {
            let at = (at + round) % kinds.len();
            samples[at].push(sample(kinds[at])?);
        }
    }
    Ok(samples)
}

/// The ratios of two series of one run, round by round, ascending; shown as two cells of a table: the median, and the quartiles.
pub(super) struct Ratios(Vec<f64>);

impl Ratios {
    /// There is at least one round.
    pub(super) fn of(own: &[f64], first: &[f64]) -> Self {
        let mut ratios: Vec<f64> = own.iter().zip(first).map(|(own, first)| own / first).collect();
        ratios.sort_by(f64::total_cmp);
        Self(ratios)
    }
}

impl fmt::Display for Ratios {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ratios) = self;
        let (low, high) = (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]);
        write!(f, "{:.2} | {low:.2} to {high:.2}", median(ratios))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_in_its_turn_and_ratios_are_those_of_a_round() {
        let (kinds, mut order) = ([Kind::Redis, Kind::Bare], Vec::new());
        let samples = in_turns(&kinds, 3, |kind| {
            order.push(matches!(kind, Kind::Redis));
            Ok(order.len() as f64)
        });
        assert_eq!(samples.ok(), Some(vec![vec![1.0, 4.0, 5.0], vec![2.0, 3.0, 6.0]]));
        assert_eq!(order, [true, false, false, true, true, false]);
        let ratios = Ratios::of(&[1.0, 8.0, 3.0, 2.0], &[1.0, 2.0, 1.0, 1.0]);
        assert_eq!(ratios.to_string(), "2.50 | 2.00 to 4.00");
    }
}
